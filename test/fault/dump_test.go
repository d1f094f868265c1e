// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dify-sso/dify-sso/pkg/testserver"
)

const dumpLabel = "the label in the dumps"

// run is a fleet in use, with everything secret that came up on the wire.
type run struct {
	*duo
	secrets secrets
	dump    dump // of both stores, after each act
	calls   int
}

// Whoever reads every table and every key learns nothing that opens anything.
func TestTheStoresHoldNoSecret(t *testing.T) {
	r := newRun(t)
	r.everything(t)

	t.Run("DF-37 TOK-02 INV-7 the dump is the right one", func(t *testing.T) { r.dump.complete(t, r.prefix) })
	t.Run("DF-37 the search sees each form", func(t *testing.T) { r.secrets.seen(t, r.dump.content.Bytes()) })
	t.Run("DF-37 TOK-02 INV-7 no table and no key holds a secret", func(t *testing.T) {
		for _, found := range r.secrets.in(r.dump.content.Bytes()) {
			t.Errorf("the stores hold %s", found)
		}
	})
}

// newRun has a Redis of its own, so that all of it can be read, and nobody is set up.
func newRun(t *testing.T) *run {
	t.Helper()
	f := newFleet(t)
	f.redis = testserver.StartRedis(t).URL()
	o, err := redis.ParseURL(f.redis)
	if err != nil {
		t.Fatal(err)
	}
	f.store = redis.NewClient(o)
	t.Cleanup(func() { _ = f.store.Close() })
	f.exec(`DELETE FROM memberships`)
	f.exec(`DELETE FROM workspaces`)
	f.exec(`DELETE FROM accounts`)
	f.exec(`UPDATE installation SET setup_at = NULL`)

	environ := []string{"RATE_LIMITS=", "FORWARD_AUTH_KEY=" + forwardKey, "INTROSPECTION_CLIENTS=" + introspector + ":" + hexDigest(introspectorSecret)}
	r := &run{duo: &duo{fleet: f, a: f.serve(environ...), b: f.serve(environ...)}, secrets: secrets{}}
	sealing, err := os.ReadFile(f.sealing)
	if err != nil {
		t.Fatal(err)
	}
	_, encoded, _ := strings.Cut(strings.TrimSpace(string(sealing)), ":")
	raw, _ := base64.StdEncoding.DecodeString(encoded)
	for name, value := range map[string]string{
		"SECRET_KEY": f.secret, "sealing key": string(raw), "sealing key as its file has it": encoded, "operator's key": operatorKey,
		"forward-auth key": forwardKey, "introspection secret": introspectorSecret, "password": ownerPassword,
	} {
		r.secrets.add(name, value)
	}
	return r
}

// next takes turns.
func (r *run) next() *process { r.calls++; return r.of(r.calls) }

var formToken = regexp.MustCompile(`name="csrf_token" value="([^"]+)"`)

// did remembers the secrets of an answer, wants its status and reads the stores as
// they are after it.
func (r *run) did(status int, a answer) answer {
	r.t.Helper()
	if a.Status != status {
		r.t.Fatalf("%d %s %v, want %d", a.Status, a.Body, a.Err, status)
	}
	for _, c := range (&http.Response{Header: a.Header}).Cookies() {
		if c.Value != "" && c.Name != "lang" {
			r.secrets.add("cookie "+c.Name, c.Value)
		}
	}
	if m := formToken.FindSubmatch(a.Body); m != nil {
		r.secrets.add("CSRF token of a form", string(m[1]))
	}
	for _, name := range []string{"token", "device_code"} {
		if v := a.text(name); v != "" {
			r.secrets.add(name, v)
		}
	}
	if code := a.text("user_code"); code != "" {
		for _, form := range []string{code, strings.ReplaceAll(code, "-", "")} {
			r.secrets.add("user code", form)
			r.secrets.add("user code in small letters", strings.ToLower(form))
		}
	}
	r.dump.take(r.fleet)
	return a
}

// tab is a browser: it keeps its cookies.
type tab struct {
	*run
	cookies map[string]string
}

func (b *tab) headers() []string {
	var all []string
	for name, value := range b.cookies {
		all = append(all, name+"="+value)
	}
	return []string{"Cookie", strings.Join(all, "; "), "Origin", publicURL}
}

func (b *tab) load(method, path string, status int, form url.Values) answer {
	b.t.Helper()
	contentType := ""
	if form != nil {
		contentType = formType
	}
	a := b.did(status, b.next().call(method, path, contentType, form.Encode(), b.headers()...))
	for _, c := range (&http.Response{Header: a.Header}).Cookies() {
		b.cookies[c.Name] = c.Value
	}
	maps.DeleteFunc(b.cookies, func(_, value string) bool { return value == "" })
	return a
}

// submit loads a page and sends its form.
func (b *tab) submit(page, action string, status int, fields url.Values) answer {
	b.t.Helper()
	m := formToken.FindSubmatch(b.load(http.MethodGet, page, http.StatusOK, nil).Body)
	if m == nil {
		b.t.Fatalf("%s has no form", page)
	}
	fields.Set("csrf_token", string(m[1]))
	return b.load(http.MethodPost, action, status, fields)
}

// everything walks through whatever has a secret in it.
func (r *run) everything(t *testing.T) {
	code := strings.TrimSpace(strings.TrimPrefix(strings.SplitN(r.command(nil, "admin", "setup-code"), "\n", 2)[0], "Set-up code:"))
	r.secrets.add("set-up code", code)
	setup := func(code, password string, status int) {
		r.secrets.add("presented set-up code", code)
		r.did(status, r.next().json(http.MethodPost, "/console/api/setup", map[string]string{
			"setup_code": code, "email": ownerEmail, "name": "Ada", "password": password, "workspace_name": "Engines",
		}))
	}
	setup("not the set-up code", ownerPassword, http.StatusForbidden)
	setup(code, ownerPassword, http.StatusCreated)

	signIn := func(email, password string, status int) person {
		r.secrets.add("presented password", password)
		r.secrets.add("presented password as it is sent", base64.StdEncoding.EncodeToString([]byte(password)))
		p, a := r.next().signIn(email, password)
		r.did(status, a)
		return p
	}
	signIn(ownerEmail, "not the password at all", http.StatusUnauthorized)
	signIn("nobody@example.com", "a password of nobody", http.StatusUnauthorized)
	who := signIn(ownerEmail, ownerPassword, http.StatusOK)

	begin := func(label string) codes {
		a := r.did(http.StatusOK, r.next().json(http.MethodPost, "/openapi/v1/oauth/device/code", map[string]string{"client_id": clientID, "device_label": label}))
		g := codes{a.text("device_code"), a.text("user_code")}
		r.did(http.StatusOK, r.next().call(http.MethodGet, "/openapi/v1/oauth/device/lookup?user_code="+url.QueryEscape(g.user), "", ""))
		return g
	}
	login := func(label string) string {
		g := begin(label)
		r.did(http.StatusOK, r.next().decide(who, "approve", g))
		token := r.did(http.StatusOK, r.next().poll(g)).text("token")
		r.did(http.StatusBadRequest, r.next().poll(g))
		r.did(http.StatusOK, r.next().identity(token))
		return token
	}
	first := login(dumpLabel)
	rotated := login(dumpLabel)
	r.did(http.StatusUnauthorized, r.next().identity(first))
	r.did(http.StatusUnauthorized, r.next().identity("dfoa_"+strings.Repeat("u", 42)+"A")) // nobody's
	r.pages(begin)

	denied := begin("denied")
	r.did(http.StatusOK, r.next().decide(who, "deny", denied))
	r.did(http.StatusBadRequest, r.next().poll(denied))

	for _, token := range []string{rotated, first} {
		r.did(http.StatusOK, r.next().call(http.MethodPost, "/openapi/v1/oauth/introspect", formType, url.Values{"token": {token}}.Encode(), "Authorization", basicAuth(introspector, introspectorSecret)))
	}
	p := r.next()
	r.did(http.StatusOK, p.call(http.MethodGet, p.inner+"/inner/api/auth/verify", "", "", "X-Inner-Api-Key", forwardKey, "Authorization", "Bearer "+rotated))
	r.did(http.StatusOK, r.next().call(http.MethodPost, "/openapi/v1/oauth/revoke", formType, url.Values{"token": {rotated}}.Encode()))
	r.did(http.StatusOK, r.next().logout(login("logged out")))
	login("ended with the others")
	r.did(http.StatusOK, r.next().bearer(http.MethodDelete, "/openapi/v1/account/sessions", login("ends the others")))

	changed := "another horse, another battery"
	r.secrets.add("new password", changed)
	r.did(http.StatusOK, r.next().json(http.MethodPost, "/console/api/account/password", map[string]string{"password": ownerPassword, "new_password": changed}, who.headers()...))
	r.did(http.StatusOK, r.next().revokeSubject(map[string]string{"issuer": "dify:account", "email": ownerEmail}))

	who = signIn(ownerEmail, changed, http.StatusOK) // and what is there when nobody does anything
	login(dumpLabel)
	r.did(http.StatusOK, r.next().decide(who, "approve", begin("approved, and nobody has asked since")))
	begin("waits for a decision")
	if n := len(r.secrets); n < 60 {
		t.Fatalf("only %d secrets came up", n)
	}
}

// pages signs in and lets a device in, both by forms.
func (r *run) pages(begin func(label string) codes) {
	b := &tab{run: r, cookies: map[string]string{}}
	r.secrets.add("presented password", "not the password of the page")
	b.submit("/signin", "/signin", http.StatusUnauthorized, url.Values{"email": {ownerEmail}, "password": {"not the password of the page"}})
	b.submit("/signin", "/signin", http.StatusSeeOther, url.Values{"email": {ownerEmail}, "password": {ownerPassword}, "remember_me": {"yes"}})
	for _, decision := range []string{"allow", "deny"} {
		g := begin("by the page")
		b.submit("/device", "/device", http.StatusSeeOther, url.Values{"user_code": {g.user}})
		b.submit("/device?user_code="+g.user, "/device/authorize", http.StatusSeeOther, url.Values{"user_code": {g.user}, "decision": {decision}})
		status := map[string]int{"allow": http.StatusOK, "deny": http.StatusBadRequest}[decision]
		r.did(status, r.next().poll(g))
	}
	b.submit("/account/sessions", "/signout", http.StatusSeeOther, url.Values{})
}
