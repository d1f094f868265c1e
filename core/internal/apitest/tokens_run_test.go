// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// tkGrants keeps every byte that the store of grants was given: that store has no
// files to read.
type tkGrants struct {
	devicegrant.Store
	mu   sync.Mutex
	dump []byte
}

func (g *tkGrants) wrap(s *app.Stores) { g.Store, s.Grants = s.Grants, g }

func (g *tkGrants) add(parts ...[]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range parts {
		g.dump = append(append(g.dump, p...), '\n')
	}
}

func (g *tkGrants) addGrant(v devicegrant.Grant) {
	g.add(v.Ref[:], v.UserMAC[:], v.Subject, []byte(strings.Join([]string{v.ClientID, v.Label, v.CreatedIP, v.Transition, v.Owner}, "\n")))
}

func (g *tkGrants) Create(ctx context.Context, v devicegrant.Grant) error {
	g.addGrant(v)
	return g.Store.Create(ctx, v)
}

func (g *tkGrants) Decide(ctx context.Context, d devicegrant.Decision) error {
	g.add(d.Ref[:], d.Subject, []byte(d.Transition))
	return g.Store.Decide(ctx, d)
}

func (g *tkGrants) Poll(ctx context.Context, p devicegrant.Poll) (devicegrant.PollResult, devicegrant.Grant, error) {
	r, v, err := g.Store.Poll(ctx, p)
	g.addGrant(v)
	return r, v, err
}

// tkRun is a server in use, with everything secret that came up.
type tkRun struct {
	t       *testing.T
	s       *apitest.Server
	secrets *apitest.Scanner
	grants  *tkGrants
	counted *tkFrozen
	answers []apitest.Answer
}

// did keeps an answer and the cookies it set.
func (r *tkRun) did(a apitest.Answer) apitest.Answer {
	r.t.Helper()
	r.answers = append(r.answers, a)
	values, _ := tkCookies(r.t, a)
	for name, value := range values {
		switch {
		case value == "" || name == "lang":
		case name == "csrf_token":
			r.secrets.Add("CSRF token", value)
		default:
			r.secrets.Add("cookie "+name, value)
		}
	}
	if m := tkFormToken.FindStringSubmatch(a.Body); m != nil {
		r.secrets.Add("CSRF token", m[1])
	}
	return a
}

func (r *tkRun) call(method, path, body string, headers ...string) apitest.Answer {
	r.t.Helper()
	return r.did(r.s.Call(r.t, method, path, body, headers...))
}

func (r *tkRun) json(path, body string, headers ...string) apitest.Answer {
	r.t.Helper()
	return r.call(http.MethodPost, path, body, append([]string{"Content-Type", "application/json"}, headers...)...)
}

// form loads a page and posts its form with the cookies given and those it set.
func (r *tkRun) form(page, action, cookies string, fields url.Values) apitest.Answer {
	r.t.Helper()
	a := r.call(http.MethodGet, page, "", "Cookie", cookies)
	values, _ := tkCookies(r.t, a)
	for name, value := range values {
		cookies += "; " + name + "=" + value
	}
	m := tkFormToken.FindStringSubmatch(a.Body)
	if m == nil {
		r.t.Fatalf("no form on %s: %d %s", page, a.Status, a.Body)
	}
	fields.Set("csrf_token", m[1])
	return r.call(http.MethodPost, action, fields.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Origin", r.s.URL, "Cookie", strings.TrimPrefix(cookies, "; "))
}

// canary is a value that a request carries where secrets stand.
func (r *tkRun) canary(name string) string {
	value := "canary-" + secret.Random()
	r.secrets.Add("canary "+name, value)
	return value
}

func (r *tkRun) cookies(a apitest.Answer) string {
	r.t.Helper()
	values, _ := tkCookies(r.t, a)
	return "console_session=" + values["console_session"] + "; csrf_token=" + values["csrf_token"]
}

func (r *tkRun) csrf(cookies string) string {
	r.t.Helper()
	csrf := r.call(http.MethodGet, "/console/api/csrf-token", "", "Cookie", cookies).Text(r.t, "csrf_token")
	r.secrets.Add("CSRF token", csrf)
	return csrf
}

const tkLabel = "label-that-is-no-secret"

// setUp sets the installation up by its page and gives the owner's cookies.
func (r *tkRun) setUp() string {
	code, err := r.s.App.Installation.NewCode(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	r.secrets.Add("set-up code", code.Reveal())
	fields := func(code, again string) url.Values {
		return url.Values{"setup_code": {code}, "email": {apitest.OwnerEmail}, "name": {apitest.OwnerName}, "password": {apitest.OwnerPassword},
			"password_again": {again}, "workspace_name": {apitest.Workspace}}
	}
	r.secrets.Add("password", apitest.OwnerPassword)
	wantStatus := func(a apitest.Answer, status int) apitest.Answer {
		r.t.Helper()
		wantAnswer(r.t, a, status, "")
		return a
	}
	wantStatus(r.form("/setup", "/setup", "", fields(r.canary("set-up code"), apitest.OwnerPassword)), http.StatusForbidden)
	wantStatus(r.form("/setup", "/setup", "", fields(code.Reveal(), r.canary("password again"))), http.StatusBadRequest)
	a := wantStatus(r.form("/setup", "/setup", "", fields(code.Reveal(), apitest.OwnerPassword)), http.StatusSeeOther)
	return r.cookies(a)
}

// signIns signs in by page and script, with wrong passwords before.
func (r *tkRun) signIns() (cookies string) {
	for range 2 {
		r.form("/signin", "/signin", "", url.Values{"email": {apitest.OwnerEmail}, "password": {r.canary("wrong password")}})
		r.json(loginPath, tkLoginBody(apitest.OwnerEmail, tkEncoded(r.canary("wrong password of a script")), false))
	}
	r.json(loginPath, tkLoginBody(apitest.OwnerEmail, r.canary("password that is not base64")+"!", false))
	r.json(loginPath, tkLoginBody(apitest.OwnerEmail, tkEncoded(apitest.OwnerPassword), false)) // the sixth: 429
	r.json(loginPath, tkLoginBody(r.canary("password typed as an e-mail"), tkEncoded("x"), false))
	r.json(loginPath, `{"email":"a@example.com","password":{"`+r.canary("malformed JSON")+`":`)
	r.s.Clock.Advance(time.Hour)
	r.counted.advance(time.Hour)
	return r.cookies(r.form("/signin", "/signin", "", url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}}))
}

// device starts a login and has it decided on the page.
func (r *tkRun) device(cookies, decision string) apitest.Answer {
	r.counted.advance(time.Hour)
	a := r.json(codePath, `{"client_id":"difyctl","device_label":"`+tkLabel+`"}`)
	device, user := a.Text(r.t, "device_code"), a.Text(r.t, "user_code")
	r.secrets.Add("device code", device)
	r.secrets.AddUserCode(user)
	poll := func() apitest.Answer {
		a := r.json(tokenPath, `{"client_id":"difyctl","device_code":"`+device+`"}`)
		r.s.Clock.Advance(time.Minute)
		return a
	}
	poll()
	r.call(http.MethodGet, lookPath+"?user_code="+user, "")
	typed := r.form("/device", "/device", cookies, url.Values{"user_code": {strings.ToLower(user)}})
	values, _ := tkCookies(r.t, typed)
	page := "/device?user_code=" + user
	done := r.form(page, "/device/authorize", cookies+"; device_entry="+values["device_entry"], url.Values{"user_code": {user}, "decision": {decision}})
	wantAnswer(r.t, done, http.StatusSeeOther, "")
	again := r.json("/openapi/v1/oauth/device/approve", `{"user_code":"`+user+`"}`, "Cookie", cookies, "Origin", r.s.URL, "X-CSRF-Token", r.csrf(cookies))
	wantAnswer(r.t, again, http.StatusConflict, "already_resolved")
	won := poll()
	poll() // redeemed or denied by now
	if decision == "allow" {
		wantAnswer(r.t, won, http.StatusOK, "")
		r.secrets.Add("bearer token", won.Text(r.t, "token"))
	}
	return won
}

// waiting leaves a login that nobody has decided and one that nobody has polled since.
func (r *tkRun) waiting(cookies string) {
	r.counted.advance(time.Hour)
	for _, decided := range []bool{false, true} {
		a := r.json(codePath, `{"client_id":"difyctl","device_label":"`+tkLabel+`"}`)
		device, user := a.Text(r.t, "device_code"), a.Text(r.t, "user_code")
		r.secrets.Add("device code", device)
		r.secrets.AddUserCode(user)
		if decided {
			wantAnswer(r.t, r.json("/openapi/v1/oauth/device/approve", `{"user_code":"`+user+`"}`, "Cookie", cookies, "Origin", r.s.URL, "X-CSRF-Token", r.csrf(cookies)), http.StatusOK, "")
		}
	}
}

// refusals provokes every kind of failure with something secret in it.
func (r *tkRun) refusals(cookies, bearer string) {
	for _, presented := range []string{r.canary("bearer"), "dfoa_" + secret.Random(), "dfoe_" + secret.Random(), "app-" + r.canary("app key"), bearer + "x"} {
		r.call(http.MethodGet, accountPath, "", "Authorization", "Bearer "+presented)
	}
	r.call(http.MethodGet, accountPath, "", "Authorization", "Bearer "+bearer, "Authorization", "Basic "+tkEncoded("user:"+r.canary("Basic password")))
	r.call(http.MethodGet, accountPath+"?access_token="+bearer, "", "Cookie", "other="+r.canary("foreign cookie"))
	r.call(http.MethodGet, sessionsPath+"?page="+r.canary("page"), "", "Authorization", "Bearer "+bearer)
	r.call(http.MethodDelete, sessionsPath+"/"+r.canary("session id"), "", "Authorization", "Bearer "+bearer)
	r.call(http.MethodPost, tokenPath, "client_id=difyctl", "Content-Type", "application/x-www-form-urlencoded", "Authorization", "Basic "+tkEncoded("difyctl:"+r.canary("client secret")))
	for _, code := range []string{r.canary("device code"), "dc_" + secret.Random()} {
		r.json(tokenPath, `{"client_id":"difyctl","device_code":"`+code+`"}`)
	}
	r.json(tokenPath, `{"client_id":"difyctl","device_code":"`+r.canary("device code again")+`","device_code":1}`)
	r.call(http.MethodGet, lookPath+"?user_code="+r.canary("user code"), "")
	r.call(http.MethodGet, "/"+r.canary("path")+"?token="+r.canary("query"), "", "Accept", "text/html")
	r.call(http.MethodGet, "/openapi/v1/"+r.canary("API path"), "")
	for _, csrf := range []string{r.canary("CSRF token"), secret.Random()} {
		r.json("/openapi/v1/oauth/device/approve", `{"user_code":"BCDF-GHJK"}`, "Cookie", cookies, "Origin", r.s.URL, "X-CSRF-Token", csrf)
	}
	r.json("/openapi/v1/oauth/device/deny", `{"user_code":"`+r.canary("user code to deny")+`"}`, "Cookie", cookies, "Origin", r.s.URL, "X-CSRF-Token", r.csrf(cookies))
	r.json("/openapi/v1/oauth/device/approve", `{}`, "Cookie", "console_session="+r.canary("session")+"; "+cookies, "Referer", r.s.URL+"/device?user_code="+r.canary("Referer"))
	r.call(http.MethodPost, codePath, r.canary("XML"), "Content-Type", "application/xml")
	r.json(codePath, strings.Repeat(r.canary("large body"), 2000))
}

// keys tells the scanner of the two keys and gives, by file, which one stands in it.
func (r *tkRun) keys() map[string]string {
	r.t.Helper()
	read := func(name string) string {
		content, err := os.ReadFile(name)
		if err != nil {
			r.t.Fatal(err)
		}
		return strings.TrimSpace(string(content))
	}
	file := filepath.Join(r.s.Dir, datadir.SealingKeyFile)
	if r.s.Pair != nil {
		file = r.s.Pair.SealingFile
		r.secrets.Add("SECRET_KEY", apitest.SecretKey)
	} else {
		r.secrets.Add("SECRET_KEY", read(filepath.Join(r.s.Dir, datadir.SecretKeyFile)))
	}
	_, sealing, _ := strings.Cut(read(file), ":")
	raw, err := base64.StdEncoding.DecodeString(sealing)
	if err != nil {
		r.t.Fatal(err)
	}
	r.secrets.Add("sealing key", sealing, string(raw))
	return map[string]string{datadir.SecretKeyFile: "SECRET_KEY", datadir.SealingKeyFile: "sealing key"}
}
