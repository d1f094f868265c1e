// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"bytes"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// outage is what clients have in their hands when a store goes away.
type outage struct {
	pending, approved, denied codes
	token, id                 string // warm
	otherID                   string // of another live token
	revoked                   string // ended a moment ago
	who                       person
	entry                     string // cookie of a browser that typed the pending code
	signInForm                url.Values
	signInCookie              string
	browserID                 string // of who
	workspace                 string // of the lane's app
}

// outages are the stores that are away, those of which a part of the routes can do
// without one last: what those change stays changed.
var outages = []struct {
	name   string
	stores []string
	want   func(v visit) int
}{
	{"both stores", []string{postgres, redisDB}, func(v visit) int { return v.both }},
	{"Postgres", []string{postgres}, func(v visit) int { return v.sql }},
	{"Redis", []string{redisDB}, func(v visit) int { return v.redis }},
}

// Each store goes away as a whole, is asked by every route, and comes back to the same
// clients.
func TestStoresAreAway(t *testing.T) {
	t.Parallel()
	l := newLane(t)
	for _, o := range outages {
		s := l.beforeOutage()
		l.settle()
		l.tap.down(o.stores...)
		for _, v := range visits {
			want := o.want(v)
			if want == 0 {
				continue
			}
			t.Run(v.name+", without "+o.name, func(t *testing.T) {
				l.enter(t)
				defer l.enter(l.root)
				l.isAnswer(v, v.ask(l, s), want)
				if want == http.StatusServiceUnavailable && v.how != once { // connections that were dead are gone by now
					l.isAnswer(v, v.ask(l, s), want)
				}
			})
		}
		l.tap.up(t, o.stores...)
		// The driver of Redis tries each second; whoever was told to come again in two is
		// not too early.
		eventually(t, "core is ready again", func() bool { return ok(l.get("/openapi/v1/_ready", "")) })
		t.Run("DF-27 DF-28 INV-6 OUT-01 OUT-02 afterwards every client goes on, without "+o.name, func(t *testing.T) {
			l.enter(t)
			defer l.enter(l.root)
			l.afterOutage(s, o.name)
		})
	}
}

// isAnswer wants a status; that of an outage says when to come again and gives no
// verdict.
func (l *lane) isAnswer(v visit, a answer, want int) {
	l.t.Helper()
	if a.Status != want {
		l.t.Fatalf("%d %s %v, not %d", a.Status, a.Body, a.Err, want)
	}
	if want != http.StatusServiceUnavailable || v.how == bare {
		return
	}
	if a.Header.Get("Retry-After") == "" {
		l.t.Errorf("it does not say when to come again: %s", a.Body)
	}
	if isPage := bytes.HasPrefix(a.Body, []byte("<!")); !isPage && a.text("code") != "service_unavailable" {
		l.t.Errorf("it says %s", a.Body)
	}
	for _, verdict := range []string{"access_denied", "expired_token", "invalid_token", "invalid_grant", "slow_down", "unauthorized", "invalid_credentials"} {
		if a.text("error") == verdict || a.text("code") == verdict || strings.Contains(a.Header.Get("WWW-Authenticate"), verdict) {
			l.t.Errorf("an outage is no verdict: %s", a.Body)
		}
	}
}

var hiddenToken = regexp.MustCompile(`name="csrf_token" value="([^"]+)"`)

// beforeOutage gives every kind of client something to lose.
func (l *lane) beforeOutage() *outage {
	l.t.Helper()
	l.who = person{}
	s := &outage{who: l.owner(), pending: l.core.mustCode(l.label()), denied: l.core.mustCode(l.label()), approved: l.approved(l.label())}
	l.mustDecide(s.who, "deny", s.denied)
	s.token, s.id = l.warm(l.label())
	_, s.otherID = l.warm(l.label())
	s.revoked, _ = l.warm(l.label())
	if a := l.core.logout(s.revoked); !ok(a) {
		l.t.Fatalf("logout: %d %s", a.Status, a.Body)
	}
	typed := l.form("/device", s.who, url.Values{"user_code": {s.pending.user}})
	if typed.Status != http.StatusSeeOther {
		l.t.Fatalf("the code is typed: %d %s", typed.Status, typed.Body)
	}
	s.entry = cookiesOf(typed)
	page := l.get("/signin", "")
	s.signInCookie = cookiesOf(page)
	if m := hiddenToken.FindSubmatch(page.Body); m != nil {
		s.signInForm = url.Values{"csrf_token": {string(m[1])}, "email": {ownerEmail}, "password": {ownerPassword}}
	}
	withApp(l)
	s.workspace = l.text(`SELECT workspace_id FROM apps WHERE id = $1`, l.app)
	s.browserID = l.text(`SELECT id FROM console_sessions ORDER BY created_at DESC LIMIT 1`)
	return s
}

// afterOutage is what was promised before it.
func (l *lane) afterOutage(s *outage, without string) {
	l.later(s.pending)
	l.polls(s.pending, "authorization_pending")
	l.polls(s.approved, "")
	if without == "both stores" { // else it was read
		l.polls(s.denied, "access_denied")
	}
	l.browser(s.who, http.StatusOK)
	l.mustDecide(s.who, "approve", s.pending)
	l.later(s.pending)
	l.polls(s.pending, "")
	want := http.StatusOK
	if without == "Redis" { // it was ended, without its tombstone
		want = http.StatusUnauthorized
	}
	eventually(l.t, "the token is what it was", func() bool { return l.core.identity(s.token).Status == want })
	l.bearer(s.revoked, http.StatusUnauthorized)
	if want == http.StatusOK {
		if a := l.core.block(l.app, s.token); !ok(a) {
			l.t.Errorf("a run: %d %s", a.Status, a.Body)
		}
	}
	if a := l.revoke(s.revoked); !ok(a) { // the repeat of what was a 503
		l.t.Errorf("RFC 7009: %d %s", a.Status, a.Body)
	}
	if _, a := l.core.signIn(ownerEmail, ownerPassword); !ok(a) {
		l.t.Errorf("sign-in: %d %s", a.Status, a.Body)
	}
	l.settle()
	l.invariants()
}

func (l *lane) mustDecide(p person, what string, g codes) {
	l.t.Helper()
	if a := l.core.decide(p, what, g); !ok(a) {
		l.t.Fatalf("%s: %d %s %v", what, a.Status, a.Body, a.Err)
	}
}

// cookiesOf gives the cookies of an answer as a request sends them.
func cookiesOf(a answer) (line string) {
	for _, c := range (&http.Response{Header: a.Header}).Cookies() {
		line += c.Name + "=" + c.Value + "; "
	}
	return line
}

// form posts a form of a page as a signed-in browser, with further cookies.
func (l *lane) form(path string, p person, fields url.Values, cookies ...string) answer {
	fields.Set("csrf_token", p.csrf)
	return l.core.call(http.MethodPost, path, "application/x-www-form-urlencoded", fields.Encode(),
		"Cookie", p.cookie+strings.Join(cookies, ""), "Origin", publicURL, "Accept", "text/html")
}

// get asks for a page or a resource of the console.
func (l *lane) get(path, cookies string) answer {
	return l.core.call(http.MethodGet, path, "", "", "Cookie", cookies)
}
