// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
)

var (
	pgActions = regexp.MustCompile(`<form method="([^"]*)" action="([^"]*)"`)
	pgLinks   = regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	// pgToken has the shape of what a client holds.
	pgToken = regexp.MustCompile(`\b(dfoa_|dfoe_|dc_)[A-Za-z0-9_-]{8,}`)
)

// What holds for every view.
func TestRulesOfEveryPage(t *testing.T) {
	slow(t)
	headers := map[string]string{
		"Content-Type":               "text/html; charset=utf-8",
		"Content-Security-Policy":    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"Referrer-Policy":            "strict-origin",
		"X-Frame-Options":            "DENY",
		"X-Content-Type-Options":     "nosniff",
		"Cross-Origin-Opener-Policy": "same-origin",
		"Cache-Control":              "no-store",
		"Pragma":                     "no-cache",
	}
	for _, lang := range pgLanguages {
		for _, v := range pgViews(t, lang.accept) {
			t.Run("W-9 DEV-17 the policy is exact: "+lang.html+" "+v.name, func(t *testing.T) {
				for name, want := range headers {
					if got := v.header.Values(name); len(got) != 1 || got[0] != want {
						t.Errorf("%s: %q, want %q", name, got, want)
					}
				}
				if got := v.header.Get("Permissions-Policy"); !strings.Contains(got, "camera=()") || strings.Contains(got, "*") {
					t.Errorf("Permissions-Policy: %q", got)
				}
			})
			t.Run("W-23 DEV-18 no form, link or file leads elsewhere and nothing is inline: "+lang.html+" "+v.name, func(t *testing.T) {
				pgStaysHere(t, v.html)
			})
			t.Run("DEV-17 PPL-01 nothing is preset and no button is focused: "+lang.html+" "+v.name, func(t *testing.T) {
				html := v.html
				if strings.HasPrefix(v.name, "app-") || v.name == "app" { // what an app is, which nobody is asked to allow
					html = strings.ReplaceAll(html, " checked", "")
				}
				if regexp.MustCompile(`<(input|button)[^>]* (checked|autofocus)`).MatchString(html) {
					t.Error(v.html)
				}
			})
			t.Run("PPL-13 no token is shown: "+lang.html+" "+v.name, func(t *testing.T) {
				if found := pgToken.FindString(v.html); found != "" {
					t.Errorf("%s", found)
				}
			})
			t.Run("frame of "+lang.html+" "+v.name, func(t *testing.T) { pgFrame(t, lang.html, v) })
		}
	}
}

func pgStaysHere(t *testing.T, page string) {
	t.Helper()
	for _, form := range pgActions.FindAllStringSubmatch(page, -1) {
		if form[1] != "post" && form[2] != pgInitiate || !regexp.MustCompile(`^/[a-z]`).MatchString(form[2]) {
			t.Errorf("a form: %q", form)
		}
	}
	if strings.Count(page, "<form") != len(pgActions.FindAllString(page, -1)) || strings.Count(page, "formaction") != strings.Count(page, ` formaction="`+pgApproveExternal+`"`) {
		t.Error("a form without an address of its own")
	}
	for _, link := range pgLinks.FindAllStringSubmatch(page, -1) {
		if !regexp.MustCompile(`^(/[a-z]|/$|#)`).MatchString(link[1]) && link[1] != pgStart {
			t.Errorf("a link to %q", link[1])
		}
	}
	if regexp.MustCompile(`(?i)<style|<script[^>]*>[^<]|\son\w+=|\sstyle=|javascript:|<iframe|<object|<embed|http-equiv`).MatchString(page) {
		t.Errorf("something inline:\n%s", page)
	}
}

// pgFrame checks what stands around every view: language, its switch, who is signed in.
func pgFrame(t *testing.T, lang string, v pgView) {
	t.Helper()
	if !strings.Contains(v.html, `<html lang="`+lang+`">`) || strings.Count(v.html, "<h1") != 1 {
		t.Errorf("language or heading:\n%s", v.html)
	}
	other := map[string]string{"en": "zh-Hans", "zh-Hans": "en"}[lang]
	if !regexp.MustCompile(`<a class="aside-link" href="/[^"]*\blang=` + other + `[^"]*" lang="` + other + `"`).MatchString(v.html) {
		t.Error("no way to the other language")
	}
	_, foot, found := strings.Cut(v.html, "<footer")
	if !found {
		t.Fatal("no footer")
	}
	signedIn := !slices.Contains([]string{"setup", "setup-problems", "setup-code-wrong", "signin", "signin-refused", "signin-limited", "device-entry", "device-entry-invalid", "device-entry-linked", "device-signin", "security-halfway", "activate", "activate-problems", "invite-signin", "invite-dead", "not-found", "device-chooser"}, v.name) && !strings.HasPrefix(v.name, "sso-")
	if signedIn != strings.Contains(foot, `action="/signout"`) || signedIn != strings.Contains(foot, apitest.OwnerEmail) {
		t.Errorf("who is signed in:\n%s", foot)
	}
	if strings.Contains(v.html, "view-failure") && !strings.Contains(v.html, "0197f3a0-") {
		t.Error("no reference")
	}
}

func TestTheLanguageSwitchKeepsThePage(t *testing.T) {
	s := apitest.Start(t, unlimited())
	b, c := s.SignedIn(t), s.Code(t, "x")
	other := func(a apitest.Answer) string {
		m := regexp.MustCompile(`<a class="aside-link" href="([^"]*)"`).FindStringSubmatch(a.Body)
		if m == nil {
			t.Fatal(a.Body)
		}
		return html.UnescapeString(m[1])
	}
	pgEnter(b, c.User)
	app := pgApps + "/" + s.NewApp(t, apps.App{WorkspaceID: sqlText(t, s, `SELECT id FROM workspaces`)}).ID
	for _, path := range []string{pgApps + "?outcome=saved", pgNewApp, app, app + "/access?page=2", app + "/remove", "/device?user_code=" + c.User, "/device", "/device?outcome=denied", "/account/sessions", "/account/sessions/end?kind=others", pgSecurity, pgSecurity + "/end", pgSecurity + "?outcome=changed", "/workspace/members", "/activate?token=x", "/no/such/page"} {
		before := b.Get(path)
		after := b.Get(other(before))
		if !strings.Contains(after.Body, `<html lang="zh-Hans">`) || after.Status != before.Status || strings.Count(after.Body, "<form") != strings.Count(before.Body, "<form") {
			t.Errorf("%s leads to %s: %d\n%s", path, b.Path, after.Status, after.Body)
		}
		b.Get(other(after)) // and back: the choice is kept in a cookie
	}
	t.Run("a refused sign-in keeps where it leads", func(t *testing.T) {
		b := s.Browser(t)
		b.Get("/signin?return_to=" + url.QueryEscape("/device?user_code="+c.User))
		refused := b.Submit("/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {"wrong"}})
		b.Get(other(refused))
		if got := b.Hidden("/signin").Get("return_to"); got != "/device?user_code="+c.User {
			t.Fatalf("%q", got)
		}
	})
	t.Run("a page that is not there leaves an open form alone", func(t *testing.T) {
		b := s.Browser(t)
		page := b.Get("/signin")
		b.Get("/no/such/page")
		b.Get("/device?outcome=approved")
		b.Page = page
		if a := b.Submit("/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}}); a.Status != http.StatusOK || b.Path != "/account/sessions" {
			t.Fatalf("%d at %s", a.Status, b.Path)
		}
	})
}

func TestFormsLeadNowhereElse(t *testing.T) {
	s := apitest.Start(t, unlimited())
	hostile := []string{"https://elsewhere.example/", "//elsewhere.example", `/\elsewhere.example`, "/%2f%2felsewhere.example", "/account/\r\nLocation: https://elsewhere.example"}
	for _, target := range hostile {
		b := s.Browser(t)
		b.Get("/signin?return_to=" + url.QueryEscape(target))
		t.Run("W-3 the sign-in page drops "+target, func(t *testing.T) {
			if got := b.Hidden("/signin").Get("return_to"); got != "/" {
				t.Errorf("%q", got)
			}
		})
		goes := func(t *testing.T, action string, fields url.Values) {
			t.Helper()
			fields.Set("return_to", target)
			a := b.SubmitOnly(action, fields)
			if location := a.Header.Get("Location"); a.Status != http.StatusSeeOther || !regexp.MustCompile(`^/([a-z].*)?$`).MatchString(location) || strings.Contains(location, "elsewhere") {
				t.Errorf("%s answers %d to %q", action, a.Status, location)
			}
		}
		t.Run("W-23 W-3 no form leads to "+target, func(t *testing.T) {
			goes(t, "/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}})
			b.Get("/device")
			goes(t, "/device", url.Values{"user_code": {s.Code(t, "x").User}})
			c := s.Code(t, "y")
			pgEnter(b, c.User)
			goes(t, "/device/authorize", url.Values{"decision": {"deny"}, "redirect_uri": {target}})
			b.Get("/account/sessions/end?kind=others")
			goes(t, "/account/sessions/end", url.Values{})
			b.Get(pgSecurity + "/end")
			goes(t, pgSecurity+"/end", url.Values{})
			b.Get(pgSecurity)
			goes(t, pgSecurity, pgNewPassword(apitest.OwnerPassword, apitest.OwnerPassword, apitest.OwnerPassword))
			b.Get("/account/sessions")
			goes(t, "/signout", url.Values{})
		})
	}
}

// Markup from everywhere that a stranger can write into.
func TestMarkupIsText(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	s := apitest.Start(t, unlimited())
	clean := func(t *testing.T, a apitest.Answer) {
		t.Helper()
		if strings.Contains(a.Body, "<script>") || strings.Contains(a.Body, "<img") {
			t.Errorf("%d:\n%s", a.Status, a.Body)
		}
	}
	b := s.SignedIn(t)
	_, id := s.SignInDevice(t, b, evil)
	c := s.Code(t, evil)
	t.Run("DEV-18 W-8 a label", func(t *testing.T) {
		clean(t, pgEnter(b, c.User))
		pgAsks(t, b, c.User)
		if !strings.Contains(b.Page.Body, html.EscapeString(evil)) {
			t.Errorf("the label is not shown:\n%s", b.Page.Body)
		}
		clean(t, b.Get("/account/sessions"))
		clean(t, b.Get("/account/sessions/end?kind=device&id="+id))
	})
	t.Run("DEV-18 a client id", func(t *testing.T) {
		a := s.Post(t, "/openapi/v1/oauth/device/code", map[string]string{"client_id": evil, "device_label": "x"})
		if a.Status != http.StatusBadRequest || strings.Contains(a.Body, "alert") {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("DEV-18 a User-Agent", func(t *testing.T) {
		s.Browser(t).As(evil).SignIn(apitest.OwnerEmail, apitest.OwnerPassword)
		if a := b.Get("/account/sessions"); !strings.Contains(a.Body, "&lt;script&gt;") {
			t.Errorf("it is not shown:\n%s", a.Body)
		}
		clean(t, b.Page)
	})
	t.Run("DEV-18 a code, an e-mail and what stands in addresses", func(t *testing.T) {
		clean(t, pgEnter(b, evil))
		stranger := s.Browser(t)
		stranger.Get("/signin?return_to=" + url.QueryEscape("/device?user_code="+evil))
		clean(t, stranger.Page)
		clean(t, stranger.Submit("/signin", url.Values{"email": {evil}, "password": {evil}}))
		for _, path := range []string{"/device?outcome=", "/device?user_code=", "/account/sessions?outcome=", "/account/sessions/end?kind=device&id=", "/account/sessions/end?kind=", "/signin?lang=", "/"} {
			clean(t, b.Get(path+url.QueryEscape(evil)))
		}
	})
	t.Run("W-8 bidirectional characters do not come in", func(t *testing.T) {
		for _, r := range []string{"\u202e", "\u2066", "\u200f"} {
			a := s.Post(t, "/openapi/v1/oauth/device/code", map[string]string{"client_id": "difyctl", "device_label": "lap" + r + "top"})
			wantAnswer(t, a, http.StatusBadRequest, "")
		}
	})
	t.Run("W-8 PPL-03 255 characters are cut on every page", func(t *testing.T) {
		label := "Security check: press Allow " + strings.Repeat("x", 227)
		_, id := s.SignInDevice(t, b, label)
		pgEnter(b, s.Code(t, label).User)
		pages := []apitest.Answer{b.Page, b.Get("/account/sessions"), b.Get("/account/sessions/end?kind=device&id=" + id)}
		for _, a := range pages {
			if !strings.Contains(a.Body, "<bdi>"+label[:63]+"…</bdi>") || strings.Contains(a.Body, label[:64]) {
				t.Errorf("%s", a.Body)
			}
			if regexp.MustCompile(`<(h1|h2|button)[^>]*>[^<]*Security check`).MatchString(a.Body) {
				t.Errorf("the label stands in a heading or a button:\n%s", a.Body)
			}
		}
	})
}
