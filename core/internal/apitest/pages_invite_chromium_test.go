// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// pgMembersInChromium posts every form of members and invitations, from the page of a
// signed-in owner, who is signed in again at the end.
func pgMembersInChromium(t *testing.T, c *chromium) {
	t.Helper()
	s := c.server
	w := &wsWorld{Server: s, id: sqlText(t, s, `SELECT id FROM workspaces`)}
	invite := func(email string) string {
		t.Helper()
		c.open(pgMembers)
		c.fill("email", email)
		c.press(`form[action="/workspace/members"] button`)
		c.sees("Send this link to " + email)
		return strings.TrimPrefix(get(c, chromedp.Text(chromedp.CSS(".link-box code"))), s.URL)
	}
	c.press(`.places a[href="/workspace/members"]`)
	c.sees("Nobody else is here yet.")
	invite("grace@example.com")
	c.press(`a[href^="/workspace/members/edit"]`)
	c.fill("role", "Admin")
	c.press(`form[action="/workspace/members/edit"] button`)
	c.at("/workspace/members?outcome=role")
	c.press(`a[href^="/workspace/members/edit"]`)
	c.press(`a[href^="/workspace/members/remove"]`)
	c.press(`form[action="/workspace/members/remove"] button`)
	c.at("/workspace/members?outcome=removed")
	w.workspace(t, "Difference", ownerID(t, s))
	c.open(pgMembers)
	c.press(`form[action="/workspace/switch"] button`)
	c.at("/workspace/members?outcome=switched")

	link := invite("grace@example.com")
	c.press(pgSignOut)
	c.open(link)
	c.fill("name", "Grace")
	c.fill("password", apitest.OwnerPassword)
	c.fill("password_again", apitest.OwnerPassword)
	c.press(`form[action="/activate"] button`)
	c.at("/account/sessions")
	c.sees("Signed in as grace@example.com")
	for _, address := range pgHistory(c) { // what was opened is kept by the browser; it is spent
		if path, ok := strings.CutPrefix(address, s.URL); ok && strings.Contains(path, "token=") {
			c.open(path)
			c.sees("This invitation is no longer valid.")
		}
	}
	c.press(pgSignOut)
	c.signIn(apitest.OwnerEmail)
}
