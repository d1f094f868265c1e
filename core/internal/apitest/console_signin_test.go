// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

func TestRefusedSignIn(t *testing.T) {
	slow(t)
	s := apitest.Start(t, unlimited())
	for email, statement := range map[string]string{
		"banned@example.com": `UPDATE accounts SET status = 'banned' WHERE email = $1`, "pending@example.com": `UPDATE accounts SET status = 'pending' WHERE email = $1`,
		"closed@example.com": `UPDATE accounts SET status = 'closed' WHERE email = $1`, "none@example.com": `UPDATE accounts SET password_hash = NULL WHERE email = $1`,
	} {
		addAccount(t, s, email)
		sqlExec(t, s, statement, email)
	}
	right, wrong := tkEncoded(apitest.OwnerPassword), tkEncoded("wrong battery staple")
	cases := []struct{ name, email, password, cause string }{
		{name: "W-11 TOK-15 unknown e-mail", email: "nobody@example.com", password: right, cause: "unknown"},
		{name: "W-11 TOK-15 wrong password", email: apitest.OwnerEmail, password: wrong, cause: "password"},
		{name: "W-11 TOK-15 banned", email: "banned@example.com", password: right, cause: "status"},
		{name: "W-11 TOK-15 banned, wrong password", email: "banned@example.com", password: wrong, cause: "password"},
		{name: "W-11 TOK-15 pending", email: "pending@example.com", password: right, cause: "status"},
		{name: "W-11 TOK-15 closed", email: "closed@example.com", password: right, cause: "status"},
		{name: "W-11 TOK-15 no password", email: "none@example.com", password: right, cause: "password"},
		{name: "W-11 TOK-15 not base64", email: apitest.OwnerEmail, password: apitest.OwnerPassword + "!", cause: "password"},
		{name: "W-11 TOK-15 no e-mail address", email: "ada", password: right, cause: "unknown"},
	}
	var first *apitest.Answer
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var a apitest.Answer
			hashed := tkHashes(func() {
				a = s.Call(t, http.MethodPost, loginPath, tkLoginBody(tc.email, tc.password, false), "Content-Type", "application/json")
			})
			wantAnswer(t, a, http.StatusUnauthorized, "invalid_credentials")
			if hashed != 1 {
				t.Errorf("%d hash computations", hashed)
			}
			if len(a.Cookies) > 0 || a.Header.Get("WWW-Authenticate") != `Cookie realm="console"` {
				t.Errorf("%v", a.Header)
			}
			if first == nil {
				first = &a
			}
			tkSameFailure(t, *first, a)
			awaitEvents(t, s, "account.sign_in_failed", i+1)
			if f := eventFields(t, s, "account.sign_in_failed"); f["cause"] != tc.cause {
				t.Errorf("cause %v", f)
			}
		})
	}
	t.Run("W-11 a right password costs one computation too", func(t *testing.T) {
		if n := tkHashes(func() {
			wantAnswer(t, s.Call(t, http.MethodPost, loginPath, tkLoginBody(apitest.OwnerEmail, right, false), "Content-Type", "application/json"), http.StatusOK, "")
		}); n != 1 {
			t.Fatal(n)
		}
	})
	t.Run("W-11 the page says the same of each", func(t *testing.T) {
		b := s.Browser(t)
		var first string
		for _, tc := range cases {
			b.Get("/signin")
			a := b.Submit("/signin", url.Values{"email": {tc.email}, "password": {"wrong battery staple"}})
			body := strings.ReplaceAll(a.Body, tc.email, "the e-mail")
			body = tkRequestID.ReplaceAllString(body, "")
			if first == "" {
				first = body
			}
			if a.Status != http.StatusUnauthorized || body != first {
				t.Fatalf("%s: %d\n%s\nis not\n%s", tc.email, a.Status, body, first)
			}
		}
	})
	t.Run("W-11 an empty body names what is missing and costs nothing", func(t *testing.T) {
		if n := tkHashes(func() {
			wantAnswer(t, s.Post(t, loginPath, map[string]string{}), http.StatusBadRequest, "bad_request")
		}); n != 0 {
			t.Fatal(n)
		}
	})
}

func TestScriptedSignIn(t *testing.T) {
	t.Run("W-15 a script signs in, reads its workspaces and approves", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		c := s.Code(t, "script")
		a := s.Call(t, http.MethodPost, loginPath, tkLoginBody(apitest.OwnerEmail, tkEncoded(apitest.OwnerPassword), true), "Content-Type", "application/json")
		wantAnswer(t, a, http.StatusOK, "")
		if a.Body != `{"result":"success"}` {
			t.Fatal(a.Body)
		}
		cookies := map[string]string{}
		for _, cookie := range a.Cookies {
			cookies[cookie.Name] = cookie.Value
		}
		session, csrf := cookies["console_session"], cookies["csrf_token"]
		cookie := "console_session=" + session
		list := s.Call(t, http.MethodGet, "/console/api/workspaces", "", "Cookie", cookie)
		wantAnswer(t, list, http.StatusOK, "")
		w := list.JSON(t)["workspaces"].([]any)[0].(map[string]any)
		if len(w) != 6 || w["name"] != apitest.Workspace || w["role"] != "owner" || w["status"] != "normal" || w["current"] != true || w["id"] == "" || w["created_at"] == "" {
			t.Fatal(list.Body)
		}
		me := s.Call(t, http.MethodGet, "/console/api/account/profile", "", "Cookie", cookie).JSON(t)
		if len(me) != 9 || me["email"] != apitest.OwnerEmail || me["name"] != apitest.OwnerName || me["status"] != "active" || me["deployment_admin"] != true || me["avatar"] != nil || me["last_login_at"] == nil {
			t.Fatal(me)
		}
		if got := s.Call(t, http.MethodGet, "/console/api/csrf-token", "", "Cookie", cookie).Text(t, "csrf_token"); got != csrf {
			t.Fatal("the cookie does not carry the session's CSRF token")
		}
		wantAnswer(t, s.Post(t, "/openapi/v1/oauth/device/approve", map[string]string{"user_code": c.User}, "Cookie", cookie, "X-CSRFToken", csrf), http.StatusOK, "")
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
	})
}

func TestWrongPasswordsAreBounded(t *testing.T) {
	t.Run("W-16 the sixth wrong password of an address and e-mail", func(t *testing.T) {
		frozen := &tkFrozen{}
		s := apitest.Start(t, apitest.Set("TRUSTED_PROXIES", "127.0.0.1/32"), apitest.Wrap(frozen.wrap))
		login := func(ip, email, password string) apitest.Answer {
			return s.Call(t, http.MethodPost, loginPath, tkLoginBody(email, tkEncoded(password), false), "Content-Type", "application/json", "X-Forwarded-For", ip)
		}
		for range 5 {
			wantAnswer(t, login("198.51.100.1", apitest.OwnerEmail, "wrong battery staple"), http.StatusUnauthorized, "invalid_credentials")
		}
		// Another spelling is the same e-mail, and the right password is refused, too.
		for _, email := range []string{apitest.OwnerEmail, "ADA@example.com"} {
			var a apitest.Answer
			if n := tkHashes(func() { a = login("198.51.100.1", email, apitest.OwnerPassword) }); n != 0 {
				t.Errorf("%d hash computations for a refused try", n)
			}
			wantAnswer(t, a, http.StatusTooManyRequests, "too_many_requests")
			tkRefusedBy(t, a, "5")
			if wait, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || wait != 180 {
				t.Errorf("Retry-After %q, want a fifth of 15 minutes", a.Header.Get("Retry-After"))
			}
		}
		wantAnswer(t, login("198.51.100.1", "bob@example.com", "wrong battery staple"), http.StatusUnauthorized, "invalid_credentials")
		wantAnswer(t, login("198.51.100.2", apitest.OwnerEmail, apitest.OwnerPassword), http.StatusOK, "")
	})
	t.Run("W-16 the page shows how long to wait", func(t *testing.T) {
		frozen := &tkFrozen{}
		s := apitest.Start(t, apitest.Wrap(frozen.wrap))
		b := s.Browser(t)
		for i := range 6 {
			b.Get("/signin")
			a := b.Submit("/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {"wrong battery staple"}})
			want := http.StatusUnauthorized
			if i == 5 {
				want = http.StatusTooManyRequests
			}
			if a.Status != want || (a.Header.Get("Retry-After") != "") != (i == 5) {
				t.Fatalf("try %d: %d, Retry-After %q", i+1, a.Status, a.Header.Get("Retry-After"))
			}
		}
	})
}

func TestBeforeSetUp(t *testing.T) {
	s := apitest.Start(t, unlimited(), apitest.Fresh())
	for _, path := range []string{"/", "/signin", "/device", "/device?user_code=BCDF-GHJK", "/account/sessions", "/account/sessions/end?kind=others"} {
		t.Run("W-22 page "+path, func(t *testing.T) {
			a := s.Call(t, http.MethodGet, path, "", "Accept", "text/html")
			if a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/setup" {
				t.Fatalf("%d to %q", a.Status, a.Header.Get("Location"))
			}
		})
	}
	for _, path := range []string{"/signin", "/signout", "/device", "/device/authorize", "/account/sessions/end"} {
		t.Run("W-22 form "+path, func(t *testing.T) {
			a := s.Form(t, path, url.Values{"x": {"y"}}, "Origin", s.URL)
			if a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/setup" {
				t.Fatalf("%d to %q", a.Status, a.Header.Get("Location"))
			}
		})
	}
	for _, r := range [][2]string{{http.MethodPost, loginPath}, {http.MethodPost, "/console/api/logout"}, {http.MethodGet, "/console/api/csrf-token"},
		{http.MethodGet, "/console/api/account/profile"}, {http.MethodGet, "/console/api/workspaces"},
		{http.MethodPost, "/openapi/v1/oauth/device/approve"}, {http.MethodPost, "/openapi/v1/oauth/device/deny"}} {
		t.Run("W-22 route "+r[1], func(t *testing.T) {
			a := s.Call(t, r[0], r[1], `{}`, "Content-Type", "application/json", "Origin", s.URL)
			wantAnswer(t, a, http.StatusUnauthorized, "not_setup")
		})
	}
	t.Run("W-22 the set-up itself is there", func(t *testing.T) {
		if a := s.Call(t, http.MethodGet, "/console/api/setup", ""); a.Body != `{"step":"not_started","setup_at":null}` {
			t.Fatal(a.Body)
		}
		if a := s.Call(t, http.MethodGet, "/setup", ""); a.Status != http.StatusOK {
			t.Fatal(a.Status)
		}
	})
}

func TestSetUpByPage(t *testing.T) {
	fields := func(code, email string) url.Values {
		return url.Values{"setup_code": {code}, "email": {email}, "name": {apitest.OwnerName}, "password": {apitest.OwnerPassword},
			"password_again": {apitest.OwnerPassword}, "workspace_name": {apitest.Workspace}}
	}
	t.Run("W-10 a wrong code sets nothing up", func(t *testing.T) {
		s := apitest.Start(t, unlimited(), apitest.Fresh())
		for _, known := range []bool{false, true} { // no code was drawn yet, then one was
			if known {
				if _, err := s.App.Installation.NewCode(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			b := s.Browser(t)
			b.Get("/setup")
			if a := b.Submit("/setup", fields("wrong code of 16+", apitest.OwnerEmail)); a.Status != http.StatusForbidden || len(b.Cookie("console_session")) > 0 {
				t.Fatal(a.Status)
			}
		}
		if n := sqlInt(t, s, `SELECT count(*) FROM accounts`); n != 0 {
			t.Fatalf("%d accounts", n)
		}
	})
	t.Run("W-10 of twenty at once one wins and is signed in at the start page", func(t *testing.T) {
		s := apitest.Start(t, unlimited(), apitest.Fresh())
		code, err := s.App.Installation.NewCode(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		browsers := make([]*apitest.Browser, 20)
		for i := range browsers {
			browsers[i] = s.Browser(t)
			browsers[i].Get("/setup")
		}
		answers := tkAtOnce(len(browsers), func(i int) apitest.Answer {
			return browsers[i].SubmitOnly("/setup", fields(code.Reveal(), "owner"+strconv.Itoa(i)+"@example.com"))
		})
		var winners []int
		for i, a := range answers {
			switch where := a.Header.Get("Location"); {
			case a.Status == http.StatusSeeOther && where == "/":
				winners = append(winners, i)
			case a.Status == http.StatusSeeOther && where == "/signin":
			case a.Status == http.StatusServiceUnavailable: // the queue of password hashes was full
			default:
				t.Errorf("%d to %q", a.Status, where)
			}
		}
		if len(winners) != 1 || sqlInt(t, s, `SELECT count(*) FROM accounts`) != 1 || sqlInt(t, s, `SELECT count(*) FROM workspaces`) != 1 {
			t.Fatalf("winners %v, %d accounts", winners, sqlInt(t, s, `SELECT count(*) FROM accounts`))
		}
		b := browsers[winners[0]]
		if b.Get("/"); b.Path != "/account/sessions" || b.Page.Status != http.StatusOK {
			t.Fatalf("%d at %s", b.Page.Status, b.Path)
		}
		if n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'account.setup'`); n != 1 {
			t.Fatalf("%d events", n)
		}
	})
	t.Run("W-10 a second time leads to the sign-in", func(t *testing.T) {
		s := apitest.Start(t, unlimited(), apitest.Fresh())
		code, err := s.App.Installation.NewCode(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		late := s.Browser(t)
		late.Get("/setup")
		early := s.Browser(t)
		early.Get("/setup")
		early.Submit("/setup", fields(code.Reveal(), apitest.OwnerEmail))
		if a := late.SubmitOnly("/setup", fields(code.Reveal(), "eve@example.com")); a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/signin" {
			t.Fatalf("%d to %q", a.Status, a.Header.Get("Location"))
		}
		if a := s.Call(t, http.MethodGet, "/setup", ""); a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/signin" {
			t.Fatalf("%d to %q", a.Status, a.Header.Get("Location"))
		}
		if n := sqlInt(t, s, `SELECT count(*) FROM accounts`); n != 1 {
			t.Fatalf("%d accounts", n)
		}
	})
}
