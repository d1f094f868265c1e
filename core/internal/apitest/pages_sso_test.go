// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
)

const (
	pgInitiate        = apitest.DevicePath + "/sso-initiate"
	pgApproval        = apitest.DevicePath + "/approval"
	pgApproveExternal = apitest.DevicePath + "/approve-external"
	pgDenyExternal    = apitest.DevicePath + "/deny-external"
)

// pgCompany starts core with a company that has one connection.
func pgCompany(t *testing.T, options ...apitest.Option) (*apitest.Server, *apitest.Company) {
	t.Helper()
	return apitest.StartCompany(t, append([]apitest.Option{unlimited()}, options...)...)
}

// pgCameBack types a code and signs in at the company.
func pgCameBack(t *testing.T, b *apitest.Browser, code string) apitest.Answer {
	t.Helper()
	pgEnter(b, code)
	b.Click(pgInitiate + "?user_code=" + code)
	if b.Path != pgApproval || b.Page.Status != http.StatusOK || !strings.Contains(b.Page.Body, ` formaction="`+pgApproveExternal+`"`) {
		t.Fatalf("%d at %s:\n%s", b.Page.Status, b.Path, b.Page.Body)
	}
	return b.Page
}

func pgShows(t *testing.T, a apitest.Answer, status int, texts ...string) {
	t.Helper()
	if a.Status != status {
		t.Errorf("status %d instead of %d", a.Status, status)
	}
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(a.Body), text) {
			t.Errorf("the page does not show %q:\n%s", text, a.Body)
		}
	}
}

// pgDecidingCompanyPage checks what the page for a company identity must say, whatever
// else changes on it.
func pgDecidingCompanyPage(t *testing.T, lang string, views []pgView) {
	say := map[string][]string{
		"en": {"Signing in as Grace ( grace@corp.example )", "Confirmed by Corp · https://login.corp.example", "Not you?", "Says it is difyctl", "Device grace's laptop", "seconds ago from 203.0.113.7", "KM7X-QT4R",
			"It will be able to run the apps your company has opened to you, until 2026-03-16 14:35 UTC or until you end it.",
			"Only continue if you started this yourself, just now, and the code matches. Nobody from support will ever ask you to.", "Don't allow Allow"},
		"zh-Hans": {"登录身份： Grace （ grace@corp.example ）", "由 Corp 确认 · https://login.corp.example", "不是您？", "自称为 difyctl", "设备 grace's laptop", "秒 前从 203.0.113.7 发起", "KM7X-QT4R",
			"在 2026-03-16 14:35 UTC 之前或您终止之前，它可以运行公司向您开放的应用。", "仅当是您本人刚刚发起、且代码一致时才继续。客服绝不会要求您这样做。", "拒绝 允许"},
	}[lang]
	ask, posing := pgFind(t, views, "sso-authorize"), pgFind(t, views, "sso-authorize-unconfirmed")
	t.Run("DEV-10 PPL-01 DEV-19 the page of a company identity names who, what, whence and since when, and warns: "+lang, func(t *testing.T) {
		for _, text := range say {
			if !strings.Contains(ask.text(), text) {
				t.Errorf("it does not say %q:\n%s", text, ask.text())
			}
		}
	})
	t.Run("PPL-03 a label that reads like ours is set apart there too: "+lang, func(t *testing.T) { pgContained(t, posing.html) })
	t.Run("PPL-10 a reference is no way in: "+lang, func(t *testing.T) {
		if v := pgFind(t, views, "sso-error"); !strings.Contains(v.text(), pgReference) || regexp.MustCompile(`(?:href|action|value)="/openapi[^"]*`+pgReference).MatchString(v.html) {
			t.Error(v.html)
		}
	})
}

func TestTheWayToACompanySignIn(t *testing.T) {
	s, company := pgCompany(t)
	b, c := s.Browser(t), s.Code(t, "x")
	t.Run("the chooser leads to both ways, and each knows the code", func(t *testing.T) {
		a := pgEnter(b, c.User)
		pgShows(t, a, http.StatusOK, c.User, `href="/signin?return_to=%2fdevice%3fuser_code%3d`+c.User, `href="`+pgInitiate+`?user_code=`+c.User+`"`)
	})
	t.Run("who is signed in is asked at once", func(t *testing.T) {
		signedIn := s.SignedIn(t)
		pgEnter(signedIn, c.User)
		pgAsks(t, signedIn, c.User)
	})
	t.Run("a company that cannot be asked leaves the way open, and says so when it is taken", func(t *testing.T) {
		company.Down(true)
		defer company.Down(false)
		s.Clock.Advance(time.Minute)
		pgShows(t, pgEnter(b, c.User), http.StatusOK, "Use company single sign-on")
		pgShows(t, b.Click(pgInitiate+"?user_code="+c.User), http.StatusOK, ssocode.Unavailable.Text("en"), `href="`+pgInitiate+`"`)
	})
	t.Run("without a connection there is no choice", func(t *testing.T) {
		company.Offers("none")
		defer company.Offers("single", apitest.Corp)
		s.Clock.Advance(time.Minute)
		pgEnter(b, c.User)
		if !strings.HasPrefix(b.Path, "/signin") {
			t.Fatalf("at %s", b.Path)
		}
	})
	t.Run("PPL-07 Not you? asks the provider for a fresh sign-in, for the same code", func(t *testing.T) {
		s.Clock.Advance(time.Minute)
		a := pgCameBack(t, b, c.User)
		if company.Last(t).Fresh {
			t.Error("the first sign-in was a fresh one")
		}
		link := regexp.MustCompile(`href="(` + pgInitiate + `\?[^"]*)"`).FindStringSubmatch(a.Body)
		if link == nil {
			t.Fatal(a.Body)
		}
		b.Click(html.UnescapeString(link[1]))
		if b.Path != pgApproval || !company.Last(t).Fresh {
			t.Fatalf("at %s: %+v", b.Path, company.Last(t))
		}
	})
}

func TestCompanySignInsAreNotThere(t *testing.T) {
	s := apitest.Start(t)
	for _, query := range []string{"sso_error=sso_failed", "sso_verified=1", "outcome=approved&sso_error=x"} {
		t.Run("SSO-01 the views that a sign-in comes back to: "+query, func(t *testing.T) {
			a := s.Call(t, http.MethodGet, "/device?"+query, "", "Accept", "text/html")
			wantAnswer(t, a, http.StatusNotFound, "not_found")
			if len(a.Cookies) != 0 {
				t.Error(a.Cookies)
			}
		})
	}
}

func TestAFailedCompanySignIn(t *testing.T) {
	s, company := pgCompany(t)
	b := s.Browser(t)
	const good = pgReference
	for _, code := range ssocode.Known() {
		t.Run("SSO-23 in its words: "+string(code), func(t *testing.T) {
			pgShows(t, b.Get("/device?sso_error="+string(code)+"&attempt="+good), http.StatusOK, code.Text("en"), "Reference "+good, `href="/device"`)
		})
	}
	plain := pgWithoutSwitch(b.Get("/device?sso_error=sso_failed").Body)
	const markup = `"><script>alert(1)</script>`
	for name, query := range map[string]url.Values{
		"unknown": {"sso_error": {"none"}}, "empty": {"sso_error": {""}}, "markup": {"sso_error": {markup}, "attempt": {markup}}, "a long one": {"sso_error": {strings.Repeat("x", 10<<10)}},
		"a bad reference": {"sso_error": {"sso_failed"}, "attempt": {"7k2qd-9xm4p"}}, "the inner code": {"sso_error": {"oidc_nonce_mismatch"}, "attempt": {good + "0"}},
	} {
		t.Run("SSO-23 SSO-97 nothing is echoed: "+name, func(t *testing.T) {
			a := b.Get("/device?" + query.Encode())
			if a.Status != http.StatusOK || pgWithoutSwitch(a.Body) != plain || strings.Contains(a.Body, "xxxx") || strings.Contains(a.Body, "alert") || strings.Contains(a.Body, "7k2qd") {
				t.Errorf("%d:\n%s", a.Status, a.Body)
			}
		})
	}
	t.Run("the other language has the same end", func(t *testing.T) {
		a := b.Get("/device?sso_error=sso_cancelled&attempt=" + good)
		link := regexp.MustCompile(`<a class="aside-link" href="([^"]*)"`).FindStringSubmatch(a.Body)[1]
		other := s.Browser(t).Get(html.UnescapeString(link))
		pgShows(t, other, http.StatusOK, ssocode.Cancelled.Text("zh-Hans"), "参考编号 "+good)
	})
	t.Run("an end view is not overwritten", func(t *testing.T) {
		pgShows(t, b.Get("/device?outcome=approved&sso_error=sso_failed&sso_verified=1"), http.StatusOK, "Device connected.")
	})
	t.Run("Try again needs no code in the address, and a code that is gone has none", func(t *testing.T) {
		company.Refuses(ssocode.Cancelled)
		c := s.Code(t, "x")
		pgEnter(b, c.User)
		pgShows(t, b.Click(pgInitiate+"?user_code="+c.User), http.StatusOK, ssocode.Cancelled.Text("en"), "Reference "+company.Last(t).Reference, `href="`+pgInitiate+`"`)
		company.Refuses("")
		b.Click(pgInitiate)
		if b.Path != pgApproval {
			t.Fatalf("at %s:\n%s", b.Path, b.Page.Body)
		}
		if a := b.Get("/device?sso_error=invalid_user_code"); strings.Contains(a.Body, pgInitiate) {
			t.Error(a.Body)
		}
	})
}

func TestTheApprovalPage(t *testing.T) {
	s, _ := pgCompany(t)
	b, c := s.Browser(t), s.Code(t, "grace's laptop")
	first := pgCameBack(t, b, c.User)
	t.Run("SSO-30 DEV-12 coming back and looking approve nothing", func(t *testing.T) {
		for _, path := range []string{pgApproval, "/device?sso_verified=1", "/device?outcome=approved", "/device?user_code=" + c.User, "/device?sso_error=sso_failed"} {
			b.Get(path)
			b.Click(path)
		}
		pgStands(t, s, c)
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
	})
	t.Run("SSO-24 the page stays the same and is nobody else's", func(t *testing.T) {
		if again := b.Get(pgApproval); pgSteady(s, again.Body) != pgSteady(s, first.Body) {
			t.Error(pgFirstDifference(first.Body, again.Body))
		}
		for name, cookie := range map[string]string{"none": "", "forged": "device_approval_grant=" + strings.Repeat("x", 43), "twice": "device_approval_grant=x; device_approval_grant=y"} {
			a := s.Call(t, http.MethodGet, pgApproval, "", "Cookie", cookie, "Accept", "text/html")
			pgShows(t, a, http.StatusUnauthorized, "This approval page is no longer valid.", `href="/device"`)
			if len(a.Cookies) != 0 || a.Header.Get("WWW-Authenticate") != "" || strings.Contains(a.Body, c.User) {
				t.Errorf("%s: %v\n%s", name, a.Header, a.Body)
			}
		}
	})
	t.Run("the person of a console session is not named beside the one who decides", func(t *testing.T) {
		both := s.SignedIn(t)
		both.Click(pgInitiate + "?user_code=" + c.User)
		if both.Path != pgApproval || strings.Contains(both.Page.Body, apitest.OwnerEmail) || strings.Contains(both.Page.Body, `action="/signout"`) {
			t.Errorf("at %s:\n%s", both.Path, both.Page.Body)
		}
	})
	t.Run("SSO-98 the way to it", func(t *testing.T) {
		a := s.Call(t, http.MethodGet, "/device?sso_verified=1", "", "Accept", "text/html", "Origin", "https://elsewhere.example")
		for name, want := range map[string]string{
			"Location": s.URL + pgApproval, "Cache-Control": "no-store", "Pragma": "no-cache", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Access-Control-Allow-Origin": "",
		} {
			if got := a.Header.Get(name); a.Status != http.StatusSeeOther || got != want {
				t.Errorf("%d, %s: %q", a.Status, name, got)
			}
		}
	})
	t.Run("SSO-98 DEV-15 a form of another origin", func(t *testing.T) {
		b.Get(pgApproval)
		fields := b.Hidden(pgDenyExternal)
		a := b.Call(http.MethodPost, pgApproveExternal, fields.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Origin", "https://elsewhere.example", "Accept", "text/html")
		pgShows(t, a, http.StatusForbidden)
		if !strings.Contains(a.Header.Get("Content-Type"), "text/html") || a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%v", a.Header)
		}
		b.Get(pgApproval)
		pgShows(t, b.SubmitTo(pgDenyExternal, pgApproveExternal, url.Values{"csrf_token": {"old"}}), http.StatusForbidden)
		pgStands(t, s, c)
	})
	t.Run("SSO-24 what was decided or is gone", func(t *testing.T) {
		owner := s.SignedIn(t)
		wantAnswer(t, owner.Decide("deny", c.User), http.StatusOK, "")
		pgShows(t, b.Get(pgApproval), http.StatusConflict, "That code has expired or was already used.")
		late := s.Browser(t)
		pgCameBack(t, late, s.Code(t, "late").User)
		s.Clock.Advance(6 * time.Minute)
		pgShows(t, late.Get(pgApproval), http.StatusUnauthorized, "This approval page is no longer valid.")
	})
}

func TestTheApprovalPageWhenAStoreIsDown(t *testing.T) {
	grants := &pgGrants{}
	s, _ := apitest.StartCompany(t, unlimited("sso.context.addr=3/5m"), apitest.Wrap(grants.wrap))
	b, c := s.Browser(t), s.Code(t, "x")
	pgCameBack(t, b, c.User)
	page := b.Page
	grants.down.Store(true)
	a := b.Get(pgApproval)
	pgShows(t, a, http.StatusServiceUnavailable, "We couldn't check the code.")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	b.Page = page
	pgShows(t, b.SubmitTo(pgDenyExternal, pgApproveExternal, nil), http.StatusServiceUnavailable, "We couldn't check the code.")
	grants.down.Store(false)
	pgShows(t, b.Get(pgApproval), http.StatusOK, c.User)
	a = b.Get(pgApproval)
	pgShows(t, a, http.StatusTooManyRequests, "Too many tries.", `href="/device"`)
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	b.Page = page
	b.SubmitTo(pgDenyExternal, pgApproveExternal, nil)
	if b.Path != "/device?outcome=approved" {
		t.Fatalf("the same grant does not decide: at %s:\n%s", b.Path, b.Page.Body)
	}
}

func TestDecidingOnTheApprovalPage(t *testing.T) {
	s, _ := pgCompany(t, apitest.Set("DEVICE_VERIFICATION_URI_COMPLETE_ENABLED", "true"))
	b := s.Browser(t)
	t.Run("SSO-105 a typed code: no tick, and the form is accepted without", func(t *testing.T) {
		c := s.Code(t, "typed")
		if a := pgCameBack(t, b, c.User); pgTick.MatchString(a.Body) {
			t.Error(a.Body)
		}
		b.SubmitTo(pgDenyExternal, pgApproveExternal, nil)
		if b.Path != "/device?outcome=approved" {
			t.Fatalf("at %s:\n%s", b.Path, b.Page.Body)
		}
		a := s.Poll(t, c)
		if !strings.HasPrefix(a.Text(t, "token"), "dfoe_") {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("refusing", func(t *testing.T) {
		c := s.Code(t, "refused")
		pgCameBack(t, b, c.User)
		b.Submit(pgDenyExternal, nil)
		if b.Path != "/device?outcome=denied" {
			t.Fatalf("at %s:\n%s", b.Path, b.Page.Body)
		}
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "access_denied")
	})
	linked, brought := s.Browser(t), s.Code(t, "linked")
	pgFollow(linked, brought.User)
	bare, unknown := s.Browser(t), s.Code(t, "without a proof")
	foreign, other := s.Browser(t), s.Code(t, "with another's proof")
	pgEnter(foreign, s.Code(t, "x").User)
	for name, tc := range map[string]struct {
		b *apitest.Browser
		c apitest.Codes
	}{"marked as linked": {linked, brought}, "no device_entry": {bare, unknown}, "a foreign one": {foreign, other}} {
		t.Run("SSO-105 a tick, never preset, for a code that a link brought: "+name, func(t *testing.T) {
			tc.b.Click(pgInitiate + "?user_code=" + tc.c.User)
			for _, fields := range []url.Values{nil, {"confirm": {"no"}}} {
				if tick := pgTick.FindString(tc.b.Page.Body); tick == "" || strings.Contains(tick, "checked") {
					t.Fatalf("the tick is %q at %s:\n%s", tick, tc.b.Path, tc.b.Page.Body)
				}
				a := tc.b.SubmitTo(pgDenyExternal, pgApproveExternal, fields)
				pgShows(t, a, http.StatusBadRequest, "Please compare the code with your terminal and tick the box.", `href="#confirm"`, "I started this and my terminal shows")
				pgStands(t, s, tc.c)
			}
			tc.b.SubmitTo(pgDenyExternal, pgApproveExternal, url.Values{"confirm": {"yes"}})
			if tc.b.Path != "/device?outcome=approved" {
				t.Fatalf("at %s:\n%s", tc.b.Path, tc.b.Page.Body)
			}
		})
	}
}

func TestMarkupOfACompanySignInIsText(t *testing.T) {
	const attack = `</bdi><script>alert(1)</script>`
	s, company := pgCompany(t)
	who := apitest.Grace
	who.Name = attack + "&'"
	company.Sends(who)
	company.Offers("choose", apitest.CompanyConnection{ID: "corp", Name: attack, Button: attack, Protocol: "oidc"}, apitest.Corp)
	b, c := s.Browser(t), s.Code(t, attack)
	pgEnter(b, c.User)
	for _, path := range []string{pgInitiate + "?user_code=" + c.User, pgInitiate + "?connection=corp"} {
		t.Run("SSO-97 DEV-18 "+path, func(t *testing.T) {
			a := b.Click(path)
			if a.Status != http.StatusOK || strings.Contains(a.Body, "<script>alert") || !strings.Contains(a.Body, "&lt;/bdi&gt;&lt;script&gt;alert(1)") {
				t.Errorf("%d at %s:\n%s", a.Status, b.Path, a.Body)
			}
		})
	}
}
