// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// pgAppWords is what the pages of apps say on the way.
type pgAppWords struct{ empty, added, saved, deleted, off, chosen, key string }

var pgAppSays = map[string]pgAppWords{
	"en":    {"No app yet.", "Added.", "Saved.", "Deleted.", "Off", "Chosen members", "Key is set ("},
	"zh-CN": {"尚无应用。", "已添加", "已保存", "已删除", "关闭", "选定的成员", "密钥已设置（"},
}

// replace types into a field that may hold something.
func (c *chromium) replace(id, text string) {
	c.t.Helper()
	get(c, chromedp.Evaluate[bool](fmt.Sprintf(`(document.getElementById(%q).value = "") === ""`, id)))
	c.fill(id, text)
}

// choose takes an option by its value.
func (c *chromium) choose(id, value string) {
	c.t.Helper()
	if got := get(c, chromedp.Evaluate[string](fmt.Sprintf(`document.getElementById(%q).value = %q, document.getElementById(%q).value`, id, value, id))); got != value {
		c.t.Fatalf("%s offers no %s", id, value)
	}
}

// pgAppInChromium posts every form of apps as an owner, from any page with the navigation:
// an app is added, changed, restricted to a member, switched off and deleted.
func pgAppInChromium(t *testing.T, c *chromium, member string, says pgAppWords) {
	t.Helper()
	s, button := c.server, `main form button[type="submit"]`
	c.press(`.places a[href="/workspace/apps"]`)
	c.sees(says.empty)
	c.press(`main a[href="/workspace/apps/new"]`)
	c.fill("name", "Difference engine")
	c.fill("description", "Answers what engines can do.")
	c.fill("tags", "numbers, tables")
	c.choose("runtime", "echo")
	c.replace("max_active_requests", "many")
	c.press(button)
	c.at(pgNewApp)
	eventually(t, func() (bool, string) {
		return get(c, chromedp.Evaluate[bool](`document.activeElement.matches(".problems")`)), "the summary has not the focus"
	})
	c.keep("app-refused")
	c.replace("max_active_requests", "2")
	c.press(button)
	c.at(pgApps + "?outcome=created")
	c.sees(says.added, "Difference engine")
	id := pgAppID(t, s, "Difference engine")
	at := pgApps + "/" + id
	c.keep("apps")

	c.press(`a[href="` + at + `"]`)
	c.replace("name", "Analytical engine")
	c.fill("runtime_key", pgAppKey)
	c.press(button)
	c.at(pgApps + "?outcome=saved")
	c.sees(says.saved, "Analytical engine")
	c.press(`a[href="` + at + `"]`)
	c.sees(says.key)
	if got := get(c, chromedp.Evaluate[string](`document.getElementById("runtime_key").value`)); got != "" {
		t.Errorf("the key came back: %q", got)
	}

	c.press(`a[href="` + at + `/access"]`)
	c.choose("access", "internal")
	c.do(chromedp.Click(chromedp.CSS(`input[name="allow_` + member + `"]`)))
	c.keep("app-access")
	c.press(button)
	c.at(pgApps + "?outcome=access")
	c.sees(says.chosen)
	if sqlInt(t, s, `SELECT count(*) FROM app_access WHERE app_id = $1 AND account_id = $2`, id, member) != 1 {
		t.Error("the member is not on the list")
	}

	c.press(`a[href="` + at + `"]`)
	c.do(chromedp.Click(chromedp.CSS(`input[name="api"]`)))
	c.press(button)
	c.at(pgApps + "?outcome=saved")
	c.sees(says.off)

	c.press(`a[href="` + at + `"]`)
	c.press(`a[href="` + at + `/remove"]`)
	c.keep("app-remove")
	c.press(button)
	c.at(pgApps + "?outcome=removed")
	c.sees(says.deleted, says.empty)
	if sqlInt(t, s, `SELECT count(*) FROM apps WHERE id = $1`, id) != 0 {
		t.Error("it is still there")
	}
	c.press(`.places a[href="/workspace/members"]`)
	c.at(pgMembers)
}

// pgJoined makes a member of the workspace that the owner works in.
func pgJoined(t *testing.T, s *apitest.Server, email string) (id string) {
	t.Helper()
	id = addAccount(t, s, email)
	(&wsWorld{Server: s}).join(t, sqlText(t, s, `SELECT workspace_id FROM memberships WHERE account_id = $1 AND current`, ownerID(t, s)), id, "normal")
	return id
}

func TestAppsInChromium(t *testing.T) {
	browserPath(t)
	for _, how := range []struct {
		lang   string
		script bool
		width  int64
	}{{"en", true, 900}, {"zh-CN", false, 360}} {
		t.Run(fmt.Sprintf("W-2 W-25 an app from its first form to its last: %s, script %v, %d pixels", how.lang, how.script, how.width), func(t *testing.T) {
			s := apitest.Start(t, unlimited())
			member := pgJoined(t, s, "grace@example.com")
			c := openChromium(t, s, "apps-"+how.lang, how.lang, how.script, chromedp.EmulateViewport(how.width, 800))
			c.open("/signin")
			c.signIn(apitest.OwnerEmail)
			pgAppInChromium(t, c, member, pgAppSays[how.lang])
			c.quiet()
			pgUntold(t, s, pgAppKey)
		})
	}
}
