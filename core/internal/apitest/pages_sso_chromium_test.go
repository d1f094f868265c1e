// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
)

const pgAllowExternal = `button[formaction="` + pgApproveExternal + `"]`

// A company sign-in from the typed code to the token in a real browser, by every view on
// the way.
func TestACompanySignInInChromium(t *testing.T) {
	browserPath(t)
	for _, tc := range []struct {
		name, accept, html string
		script             bool
		view               []chromedp.Action[chromedp.Void]
	}{
		{name: "SSO-96 English with JavaScript", accept: "en", html: "en", script: true},
		{name: "SSO-96 Chinese without JavaScript, phone", accept: "zh-CN", html: "zh-Hans", view: []chromedp.Action[chromedp.Void]{phone()}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, company := apitest.StartCompany(t, unlimited())
			company.Offers("choose_or_email", apitest.Corp)
			c := openChromium(t, s, "company-"+tc.html, tc.accept, tc.script, tc.view...)
			pgCompanyFails(t, c, company, ssocode.Cancelled.Text(tc.html))
			code := s.Code(t, "grace's laptop")
			c.enter(code.User)
			c.press(`a[href^="` + pgInitiate + `"]`)
			c.fill("email", apitest.Grace.Email)
			if tc.script { // which follows the link of the page that comes
				c.do(chromedp.Click(chromedp.CSS("form button")))
				c.arrives(pgApproval)
			} else {
				c.press("form button")
				c.press("a.button")
			}
			c.at(pgApproval)
			c.sees(code.User, "grace's laptop", "difyctl", apitest.Grace.Name, apitest.Grace.Email, apitest.Grace.Issuer, apitest.ConnectionName)
			pgStands(t, s, code) // SSO-30: there is nothing but a question yet
			if tc.script {
				pgHeld(t, c)
			}
			c.press(pgAllowExternal)
			c.at("/device?outcome=approved")
			if token := s.Poll(t, code).Text(t, "token"); !strings.HasPrefix(token, "dfoe_") {
				t.Error("the device has no token of an external subject")
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.troubles) > 0 {
				t.Errorf("the console says %q", c.troubles)
			}
		})
	}
}

// pgCompanyFails lets a sign-in fail and looks at what is told of it.
func pgCompanyFails(t *testing.T, c *chromium, company *apitest.Company, sentence string) {
	t.Helper()
	company.Refuses(ssocode.Cancelled)
	defer company.Refuses("")
	code := c.server.Code(t, "x")
	c.enter(code.User)
	c.press(`a[href^="` + pgInitiate + `"]`)
	c.press(`.choices a`)
	c.sees(sentence, company.Last(t).Reference)
	kept := strings.Contains(get(c, chromedp.Location()), "sso_error")
	if kept == c.script {
		t.Errorf("the address is %s", get(c, chromedp.Location()))
	}
	wantAnswer(t, c.server.Poll(t, code), http.StatusBadRequest, "authorization_pending")
}

// pgHeld fails unless what allows is dead at first, has not the focus, and comes to life.
func pgHeld(t *testing.T, c *chromium) {
	t.Helper()
	const held = `document.querySelector("[data-hold]").getAttribute("aria-disabled") === "true"`
	if focused := get(c, chromedp.Evaluate[string](`document.activeElement.tagName`)); focused != "BODY" {
		t.Errorf("DEV-17: %s has the focus", focused)
	}
	// Whenever the page comes into view it waits anew, however long it has been open.
	get(c, chromedp.Evaluate[int](`dispatchEvent(new Event("focus")); document.querySelector("[data-hold]").click(); 0`))
	began := time.Now()
	if !get(c, chromedp.Evaluate[bool](held)) {
		t.Error("DEV-17: Allow is alive at once")
	}
	eventually(t, func() (bool, string) { return !get(c, chromedp.Evaluate[bool](held)), "Allow stays dead" })
	if waited := time.Since(began); waited < 1500*time.Millisecond {
		t.Errorf("DEV-17: Allow was dead for %s", waited)
	}
	c.at(pgApproval) // the press before has done nothing
}
