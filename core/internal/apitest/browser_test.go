// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// words are what a page shows in one language; the rest of its texts is webui's test.
type words struct {
	lang, html                               string
	setup, empty, entry, invalid, ask        string
	approved, denied, never, ended, signedIn string
	current, refused                         string
}

var (
	english = words{
		lang: "en", html: "en", setup: "Set up this installation", empty: "No device yet", entry: "Connect a device",
		invalid: "That code is not valid", ask: "Allow this device?", approved: "Device connected", denied: "Access was refused",
		never: "Not used yet", ended: "It no longer works", signedIn: "Devices and browsers", current: "This one", refused: "E-mail or password is not right.",
	}
	chinese = words{
		lang: "zh-CN", html: "zh-Hans", setup: "初始化此系统", empty: "尚无设备", entry: "连接设备",
		invalid: "代码无效", ask: "允许此设备访问？", approved: "设备已连接", denied: "已拒绝访问",
		never: "尚未使用", ended: "已终止", signedIn: "设备与浏览器", current: "当前", refused: "邮箱或密码不正确。",
	}
)

// From an empty installation to an ended device in a real browser.
func TestTheWholeWayInChromium(t *testing.T) {
	browserPath(t)
	cases := []struct {
		name   string
		words  words
		script bool
		shape  string
		view   []chromedp.Action[chromedp.Void]
	}{
		{name: "W-1 W-9 W-25 English with JavaScript, light", words: english, script: true, shape: "en-light"},
		{name: "W-2 W-25 English without JavaScript, dark", words: english, shape: "en-dark", view: dark()},
		{name: "W-1 W-25 Chinese with JavaScript, phone and dark", words: chinese, script: true, shape: "zh-phone-dark", view: append(dark(), phone())},
		{name: "W-2 W-25 Chinese without JavaScript, phone", words: chinese, shape: "zh-phone", view: []chromedp.Action[chromedp.Void]{phone()}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := apitest.Start(t, apitest.Fresh())
			c := openChromium(t, s, tc.shape, tc.words.lang, tc.script, tc.view...)
			setUpInBrowser(t, c, tc.words)
			token := allowInBrowser(t, c, tc.words)
			refuseInBrowser(t, c, tc.words)
			endInBrowser(t, c, tc.words, token)
			signInAgain(t, c, tc.words)
			c.quiet()
		})
	}
}

func dark() []chromedp.Action[chromedp.Void] {
	return []chromedp.Action[chromedp.Void]{command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
	})}
}

func phone() chromedp.Action[chromedp.Void] {
	return chromedp.EmulateViewport(360, 780, chromedp.EmulateScale(2))
}

func setUpInBrowser(t *testing.T, c *chromium, w words) {
	code, err := c.server.App.Installation.NewCode(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c.open("/") // every page leads to the set-up
	c.at("/setup")
	c.open("/setup?code=" + code.Reveal())
	if lang := get(c, chromedp.AttributeValue(chromedp.CSS("html"), "lang")).Value; lang != w.html {
		t.Errorf("the page is in %q, want %q", lang, w.html)
	}
	c.sees(w.setup)
	c.keep("setup")
	for id, text := range map[string]string{"email": apitest.OwnerEmail, "name": apitest.OwnerName, "password": apitest.OwnerPassword, "password_again": apitest.OwnerPassword, "workspace_name": apitest.Workspace} {
		c.fill(id, text)
	}
	c.press(`form[action="/setup"] button`)
	c.at("/account/sessions")
	c.sees(w.signedIn, w.empty, "difyauth login --host "+c.server.URL, w.current)
	c.keep("no-device")
}

func allowInBrowser(t *testing.T, c *chromium, w words) string {
	codes := c.server.Code(t, "ada's laptop")
	c.open("/device")
	c.sees(w.entry)
	c.keep("entry")
	c.fill("user_code", "ABCD-EFGH")
	c.press(`form[action="/device"] button`)
	c.sees(w.invalid)
	c.keep("entry-invalid")
	c.do(chromedp.Clear(chromedp.CSS("#user_code")))
	c.fill("user_code", strings.ToLower(strings.ReplaceAll(codes.User, "-", "")))
	c.press(`form[action="/device"] button`)
	c.sees(w.ask, codes.User, "ada's laptop", "difyctl", "127.0.0.1", apitest.OwnerEmail, apitest.Workspace)
	if c.script {
		allowIsNotFocused(t, c)
	}
	c.keep("authorize")
	c.press(`button[value="allow"]`)
	c.at("/device?outcome=approved")
	c.sees(w.approved)
	c.keep("approved")
	a := c.server.Poll(t, codes)
	if a.Status != http.StatusOK {
		t.Fatalf("poll: %d %s", a.Status, a.Body)
	}
	return a.Text(t, "token")
}

// allowIsNotFocused: Enter must not approve (RFC 8628 section 5.4).
func allowIsNotFocused(t *testing.T, c *chromium) {
	if get(c, chromedp.Evaluate[string](`document.activeElement ? document.activeElement.value || "" : ""`)) == "allow" {
		t.Error("Allow has the focus")
	}
}

func refuseInBrowser(t *testing.T, c *chromium, w words) {
	codes := c.server.Code(t, "a stranger's machine")
	c.open("/device")
	c.fill("user_code", codes.User)
	c.press(`form[action="/device"] button`)
	c.press(`button[value="deny"]`)
	c.at("/device?outcome=denied")
	c.sees(w.denied)
	c.keep("denied")
	if got := c.server.Poll(t, codes).Text(t, "error"); got != "access_denied" {
		t.Errorf("W-6: the client reads %q", got)
	}
}

func endInBrowser(t *testing.T, c *chromium, w words, token string) {
	c.open("/account/sessions")
	c.sees("ada's laptop", "difyctl", w.never)
	if got := c.server.Bearer(t, token, http.MethodGet, "/openapi/v1/account"); got.Status != http.StatusOK {
		t.Fatalf("the token: %d %s", got.Status, got.Body)
	}
	c.keep("sessions")
	c.press(`a[href^="/account/sessions/end?kind=device"]`)
	c.keep("end")
	c.press(`form[action="/account/sessions/end"] button`)
	c.at("/account/sessions?outcome=ended")
	c.sees(w.ended, w.empty)
	c.keep("ended")
	if got := c.server.Bearer(t, token, http.MethodGet, "/openapi/v1/account"); got.Status != http.StatusUnauthorized {
		t.Errorf("the ended token: %d %s", got.Status, got.Body)
	}
}

func signInAgain(t *testing.T, c *chromium, w words) {
	c.press(`form[action="/signout"] button`)
	c.at("/signin")
	c.keep("signin")
	c.fill("email", apitest.OwnerEmail)
	c.fill("password", "wrong password")
	c.press(`form[action="/signin"] button`)
	c.sees(w.refused)
	c.keep("signin-refused")
	c.fill("password", apitest.OwnerPassword)
	c.press(`form[action="/signin"] button`)
	c.at("/account/sessions")
	c.open("/no/such/page")
	c.keep("not-found")
	c.server.Clock.Advance(31 * 24 * time.Hour)
	c.open("/account/sessions")
	c.at("/signin")
}
