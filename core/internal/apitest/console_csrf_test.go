// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// tkWrite is a cookie route that changes something.
type tkWrite struct {
	path string
	// method and pattern are POST and the path where they are empty.
	method, pattern string
	// class is the class of caller in the route table.
	class string
	// body is a form's fields, or the JSON where there are none.
	fields url.Values
	json   string
	// cookie names the session that the token is bound to.
	cookie string
	// token is the right one, foreign are right ones of others.
	token   string
	foreign []string
	// done reports whether the write has taken effect; an answer that carries it can
	// be judged alone.
	done func(t *testing.T, a apitest.Answer) bool
}

// tkVariant is how a request differs from one that passes.
type tkVariant struct {
	name    string
	token   string // empty: the right one
	noToken bool
	inQuery bool
	inHead  bool // of a form: the token in a header instead
	headers []string
	code    string
}

// tkSend sends a write; headers say where it comes from.
func tkSend(t *testing.T, s *apitest.Server, w tkWrite, v tkVariant) apitest.Answer {
	t.Helper()
	presented := v.token
	if presented == "" && !v.noToken {
		presented = w.token
	}
	path, headers := w.path, append([]string{"Cookie", w.cookie, "Accept", "text/html"}, v.headers...)
	if v.inQuery {
		path += "?csrf_token=" + url.QueryEscape(w.token)
	}
	if w.fields != nil {
		fields := url.Values{}
		for name, values := range w.fields {
			fields[name] = values
		}
		switch {
		case v.inHead:
			headers = append(headers, "X-CSRF-Token", presented)
		case !v.noToken:
			fields.Set("csrf_token", presented)
		}
		return s.Form(t, path, fields, headers...)
	}
	if !v.noToken {
		headers = append(headers, "X-CSRF-Token", presented)
	}
	return s.Call(t, cmp.Or(w.method, http.MethodPost), path, w.json, append(headers, "Content-Type", "application/json")...)
}

// tkVariants are the refusals that a class of route must give.
func tkVariants(s *apitest.Server, w tkWrite) []tkVariant {
	const mismatch, origin = "csrf_mismatch", "origin_not_allowed"
	here := []string{"Origin", s.URL, "Sec-Fetch-Site", "same-origin"}
	port, _ := strconv.Atoi(s.URL[strings.LastIndex(s.URL, ":")+1:])
	list := []tkVariant{
		{name: "foreign origin", headers: []string{"Origin", "https://evil.example"}, code: origin},
		{name: "foreign origin and a fitting Sec-Fetch-Site", headers: []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "same-origin"}, code: origin},
		{name: "origin null", headers: []string{"Origin", "null"}, code: origin},
		{name: "another port", headers: []string{"Origin", fmt.Sprintf("http://127.0.0.1:%d", port+1)}, code: origin},
		{name: "another scheme", headers: []string{"Origin", strings.Replace(s.URL, "http:", "https:", 1)}, code: origin},
		{name: "a host that begins alike", headers: []string{"Origin", s.URL + ".evil.example"}, code: origin},
		{name: "another loopback name", headers: []string{"Origin", strings.Replace(s.URL, "127.0.0.1", "localhost", 1)}, code: origin},
		{name: "cross-site", headers: []string{"Origin", s.URL, "Sec-Fetch-Site", "cross-site"}, code: origin},
		{name: "same site, another origin", headers: []string{"Sec-Fetch-Site", "same-site"}, code: origin},
		{name: "from the address bar", headers: []string{"Sec-Fetch-Site", "none"}, code: origin},
	}
	if w.class == "signIn" {
		return list
	}
	list = append(list,
		tkVariant{name: "no token", noToken: true, headers: here, code: mismatch},
		tkVariant{name: "no token and no origin", noToken: true, code: origin},
		tkVariant{name: "no token and a foreign referer", noToken: true, headers: []string{"Referer", "https://evil.example/x"}, code: origin},
		tkVariant{name: "no token and a referer that begins alike", noToken: true, headers: []string{"Referer", s.URL + ".evil.example/"}, code: origin},
		tkVariant{name: "forged token", token: secret.Random(), headers: here, code: mismatch},
		tkVariant{name: "token cut short", token: w.token[:42], headers: here, code: mismatch},
		tkVariant{name: "token in the query", noToken: true, inQuery: true, headers: here, code: mismatch},
	)
	for i, foreign := range w.foreign {
		list = append(list, tkVariant{name: fmt.Sprintf("token of another session (%d)", i+1), token: foreign, headers: here, code: mismatch})
	}
	if w.fields != nil {
		list = append(list,
			tkVariant{name: "form whose origin nobody tells", code: origin},
			tkVariant{name: "token of a form in a header", inHead: true, headers: here, code: mismatch},
		)
	}
	return list
}

func tkRefusesForgery(t *testing.T, s *apitest.Server, w tkWrite) {
	t.Helper()
	refused := map[string]string{} // the cause by request
	for _, v := range tkVariants(s, w) {
		t.Run(v.name, func(t *testing.T) {
			a := tkSend(t, s, w, v)
			if a.Status != http.StatusForbidden {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			if w.fields == nil && reasonOf(a) != v.code {
				t.Errorf("%q, want %q", reasonOf(a), v.code)
			}
			if w.done(t, a) {
				t.Error("the refused write took effect")
			}
			refused[a.Header.Get("X-Request-Id")] = v.code
		})
	}
	t.Run("each refusal is on record", func(t *testing.T) {
		eventually(t, func() (bool, string) {
			for id, cause := range refused {
				n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'console.csrf_refused' AND request_id = $1 AND fields = $2`,
					id, fmt.Sprintf(`{"route":%q,"cause":%q}`, cmp.Or(w.pattern, w.path), cause))
				if n != 1 {
					return false, "a refusal for " + cause + " is not on record"
				}
			}
			return len(refused) > 0, "nothing was refused"
		})
	})
	t.Run("the right one passes", func(t *testing.T) {
		a := tkSend(t, s, w, tkVariant{headers: []string{"Origin", s.URL, "Sec-Fetch-Site", "same-origin"}})
		if a.Status >= http.StatusBadRequest || !w.done(t, a) {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	})
}

func TestCSRFOnEveryConsoleWrite(t *testing.T) {
	slow(t)
	s := apitest.Start(t, unlimited())
	fresh := apitest.Start(t, unlimited(), apitest.Fresh())
	code, err := fresh.App.Installation.NewCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	covered := map[string]string{}
	run := func(s *apitest.Server, w tkWrite) {
		covered[cmp.Or(w.method, http.MethodPost)+" "+cmp.Or(w.pattern, w.path)] = w.class
		t.Run("W-14 "+cmp.Or(w.method, http.MethodPost)+" "+w.path, func(t *testing.T) { tkRefusesForgery(t, s, w) })
	}

	// What is bound to a session.
	session, other := tkSignIn(t, s, false), tkSignIn(t, s, false)
	csrf := func(session string) string {
		return s.Call(t, http.MethodGet, "/console/api/csrf-token", "", "Cookie", "console_session="+session).Text(t, "csrf_token")
	}
	presession, before := tkPresession(t, s, "/signin")
	_, stranger := tkPresession(t, s, "/signin")
	signed := func(w tkWrite) tkWrite {
		w.cookie, w.token, w.foreign = "console_session="+session, csrf(session), []string{csrf(other), before}
		// Its copy for scripts is never read: a planted one changes nothing.
		w.cookie += "; csrf_token=" + w.token
		return w
	}
	lives := func(session string) bool {
		return s.Call(t, http.MethodGet, profilePath, "", "Cookie", "console_session="+session).Status == http.StatusOK
	}
	decided := func(c apitest.Codes) func(*testing.T, apitest.Answer) bool {
		return func(t *testing.T, _ apitest.Answer) bool { return lookUp(t, s, c.User).JSON(t)["valid"] != true }
	}
	approve, deny, byPage := s.Code(t, "a"), s.Code(t, "b"), s.Code(t, "c")
	run(s, signed(tkWrite{path: "/openapi/v1/oauth/device/approve", class: "cookieWrite", json: `{"user_code":"` + approve.User + `"}`, done: decided(approve)}))
	run(s, signed(tkWrite{path: "/openapi/v1/oauth/device/deny", class: "cookieWrite", json: `{"user_code":"` + deny.User + `"}`, done: decided(deny)}))

	entry := s.Form(t, "/device", url.Values{"csrf_token": {csrf(session)}, "user_code": {byPage.User}}, "Origin", s.URL, "Cookie", "console_session="+session)
	values, _ := tkCookies(t, entry)
	w := signed(tkWrite{path: "/device/authorize", class: "pageSignedWrite", fields: url.Values{"user_code": {byPage.User}, "decision": {"allow"}}, done: decided(byPage)})
	w.cookie += "; device_entry=" + values["device_entry"]
	run(s, w)

	b := s.SignedIn(t)
	bearer, id := tkLogin(t, s, b, "laptop")
	run(s, signed(tkWrite{path: "/account/sessions/end", class: "pageSignedWrite", fields: url.Values{"kind": {"device"}, "id": {id}}, done: func(t *testing.T, _ apitest.Answer) bool {
		return s.Bearer(t, bearer, http.MethodGet, accountPath).Status != http.StatusOK
	}}))
	gone := func(session string) func(*testing.T, apitest.Answer) bool {
		return func(*testing.T, apitest.Answer) bool { return !lives(session) }
	}
	third := tkSignIn(t, s, false)
	thirdID := sqlText(t, s, `SELECT id FROM console_sessions WHERE token_hash = $1`, tkBytes(secret.DigestOf(third)))
	run(s, signed(tkWrite{method: http.MethodDelete, path: "/console/api/sessions/" + thirdID, pattern: "/console/api/sessions/:id", class: "cookieWrite", done: gone(third)}))
	run(s, signed(tkWrite{path: "/signout", class: "pageSignedWrite", fields: url.Values{}, done: gone(session)}))
	session = tkSignIn(t, s, false)
	run(s, signed(tkWrite{path: "/console/api/logout", class: "cookieLoose", done: gone(session)}))

	// What is bound to a pre-session, or to none.
	sets := func(name string) func(*testing.T, apitest.Answer) bool {
		return func(t *testing.T, a apitest.Answer) bool {
			values, _ := tkCookies(t, a)
			return values[name] != ""
		}
	}
	run(s, tkWrite{path: "/device", class: "pageWrite", fields: url.Values{"user_code": {s.Code(t, "d").User}}, cookie: "presession=" + presession, token: before,
		foreign: []string{stranger, csrf(other)}, done: sets("device_entry")})
	run(s, tkWrite{path: "/signin", class: "pageWrite", fields: url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}}, cookie: "presession=" + presession,
		token: before, foreign: []string{stranger, csrf(other)}, done: sets("console_session")})
	session = tkSignIn(t, s, false)
	run(s, tkWrite{path: loginPath, class: "signIn", json: tkLoginBody(apitest.OwnerEmail, tkEncoded(apitest.OwnerPassword), false), cookie: "x=y", done: sets("console_session")})
	tkMemberWrites(t, s, run, signed, func(w tkWrite) tkWrite {
		w.cookie, w.token, w.foreign = "presession="+presession, before, []string{stranger, csrf(other)}
		return w
	})
	tkAppWrites(t, s, run, signed)
	run(s, signed(tkWrite{path: "/account/security/end", class: "pageSignedWrite", fields: url.Values{}, done: gone(other)}))
	other = tkSignIn(t, s, false)
	run(s, signed(tkWrite{path: "/account/security", class: "pageSignedWrite", done: gone(session),
		fields: url.Values{"password": {apitest.OwnerPassword}, "new_password": {apitest.OwnerPassword}, "password_again": {apitest.OwnerPassword}}}))
	session, other = tkSignIn(t, s, false), tkSignIn(t, s, false)
	run(s, signed(tkWrite{path: passwordPath, class: "cookieWrite", json: `{"password":"` + apitest.OwnerPassword + `","new_password":"` + apitest.OwnerPassword + `"}`, done: gone(session)}))
	firstPresession, first := tkPresession(t, fresh, "/setup")
	run(fresh, tkWrite{path: "/setup", class: "pageWrite", cookie: "presession=" + firstPresession, token: first, foreign: []string{before}, done: sets("console_session"),
		fields: url.Values{"setup_code": {code.Reveal()}, "email": {apitest.OwnerEmail}, "name": {"A"}, "password": {apitest.OwnerPassword}, "password_again": {apitest.OwnerPassword}, "workspace_name": {"W"}}})

	t.Run("W-14 these are all the writes that a cookie carries", func(t *testing.T) {
		want := tkCookieWrites(t)
		if len(want) < 10 {
			t.Fatalf("only %v found in the route table", want)
		}
		for path, class := range want {
			if covered[path] != class {
				t.Errorf("%s is a %s in the route table and was tried as %q", path, class, covered[path])
			}
		}
		if len(covered) != len(want) {
			t.Errorf("tried %v, the table has %v", covered, want)
		}
	})
	t.Run("W-14 the token alone is enough where it stands in a header", func(t *testing.T) {
		c := s.Code(t, "x")
		session := tkSignIn(t, s, false)
		for _, header := range []string{"X-CSRF-Token", "X-CSRFToken"} {
			a := s.Post(t, "/openapi/v1/oauth/device/approve", map[string]string{"user_code": c.User}, "Cookie", "console_session="+session, header, csrf(session))
			if a.Status != http.StatusOK && reasonOf(a) != "already_resolved" {
				t.Errorf("%s: %d %s", header, a.Status, a.Body)
			}
		}
	})
	t.Run("W-14 a form is accepted by its referer, too", func(t *testing.T) {
		session := tkSignIn(t, s, false)
		a := s.Form(t, "/signout", url.Values{"csrf_token": {csrf(session)}}, "Cookie", "console_session="+session, "Referer", s.URL+"/device?x=1")
		if a.Status != http.StatusSeeOther || lives(session) {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("W-14 a script that sends neither origin nor token may sign in", func(t *testing.T) {
		tkSignIn(t, s, false)
	})
}

// tkPresession loads a page before sign-in and gives its pre-session and token.
func tkPresession(t *testing.T, s *apitest.Server, path string) (value, csrf string) {
	t.Helper()
	a := s.Call(t, http.MethodGet, path, "")
	values, _ := tkCookies(t, a)
	m := tkFormToken.FindStringSubmatch(a.Body)
	if values["presession"] == "" || m == nil {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	return values["presession"], m[1]
}

// tkCookieWrites reads the route table for rows that change something and are carried
// by a cookie, and gives their classes by method and path.
func tkCookieWrites(t *testing.T) map[string]string {
	t.Helper()
	bearing := map[string]string{"cookie write": "cookieWrite", "cookie or none": "cookieLoose", "sign-in": "signIn", "form": "pageWrite", "signed-in form": "pageSignedWrite"}
	found := map[string]string{}
	for _, r := range httpapi.Routes() {
		if class := bearing[r.Caller]; class != "" {
			found[r.Method+" "+r.Path] = class
		}
	}
	return found
}
