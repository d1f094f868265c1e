// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// way is how somebody signs in by one protocol, where one connection is offered.
type way struct {
	name string
	// arrive ends at the question of core.
	arrive func(w *waiting, b *browser) *page
	// returns stops before the browser returns to the bridge; send returns there, and again
	// as often as it is called.
	returns func(w *waiting, b *browser) (send func() *page)
	// assertion stops before core's address with the assertion, and gives it.
	assertion func(w *waiting, b *browser) string
}

var byOIDC = way{
	name:   "OpenID Connect",
	arrive: (*waiting).arrive,
	returns: func(w *waiting, b *browser) func() *page {
		callback := w.upTo(b, "/sso/oidc/callback")
		return func() *page { return b.open(callback) }
	},
	assertion: func(w *waiting, b *browser) string { return w.upTo(b, "sso-complete") },
}

var bySAML = way{
	name: "SAML",
	arrive: func(w *waiting, b *browser) *page {
		return known(w.arrive(b)).submit("/sso/saml/acs/")
	},
	returns: func(w *waiting, b *browser) func() *page {
		answer := known(w.arrive(b))
		return func() *page { return answer.submit("/sso/saml/acs/") }
	},
	assertion: func(w *waiting, b *browser) string {
		answer := known(w.arrive(b))
		action, method, fields := answer.form("/sso/saml/acs/")
		return b.hop(answer, method, action, fields).header.Get("Location")
	},
}

// known ends where the provider answers, also for somebody whom it knows already.
func known(p *page) *page {
	p.b.t.Helper()
	if strings.Contains(p.body, "SAMLResponse") {
		return p
	}
	return p.signIn("alice")
}

// killed kills the bridge at each step that a login can be at. A table that is locked
// holds it there.
func killed(t *testing.T, in *install, own *ownServers, way way) {
	clients, browsers := map[string]*waiting{}, map[string]*browser{}
	for _, step := range []string{"created", "started", "away", "claimed", "marked", "left"} {
		clients[step], browsers[step] = in.client(step), newBrowser(t)
	}
	created := clients["created"].chooser(browsers["created"])
	ticket := clients["started"].upTo(browsers["started"], "/sso/start/")
	away := way.returns(clients["away"], browsers["away"])
	claimed := way.returns(clients["claimed"], browsers["claimed"])
	marked := way.returns(clients["marked"], browsers["marked"])
	left := way.assertion(clients["left"], browsers["left"])

	// The answer is judged and its assertion spent before the success is written.
	own.killAt(t, in, "sso_audit_events", func() { marked() })
	browsers["left"].open(left).must(http.StatusOK, "Alice Liddell") // nobody needs the bridge for it
	var first *page
	own.killAt(t, in, "sso_attempts", func() { first = created.click("sso-initiate") }, func() { browsers["started"].open(ticket) }, func() { claimed() })

	for _, seen := range []struct {
		step, text string
		p          *page
	}{
		{"created", "We cannot sign you in right now", first},
		{"started", "only once", browsers["started"].open(ticket)},
		{"claimed", "already used", claimed()},
		{"marked", "already used", marked()},
		{"away", "Alice Liddell", away()}, // Redis has lost nothing
	} {
		if !strings.Contains(seen.p.body, seen.text) {
			t.Errorf("%s: %d %s shows not %q:\n%s", seen.step, seen.p.status, seen.p.url.Redacted(), seen.text, seen.p.body)
		}
	}
	for step, w := range clients {
		w.pending()
		if step == "away" || step == "left" {
			continue
		}
		if p := browsers[step].open(in.core.url + approvalPage); strings.Contains(p.body, "Alice Liddell") {
			t.Errorf("%s: may be approved", step)
		}
	}
	way.arrive(clients["marked"], browsers["marked"]).must(http.StatusOK, "Alice Liddell")
	way.arrive(clients["created"], browsers["created"]).must(http.StatusOK, "Alice Liddell")
}

// killAt locks a table of the bridge, kills it when every act waits for the lock, and
// starts it anew.
func (own *ownServers) killAt(t *testing.T, in *install, table string, acts ...func()) {
	t.Helper()
	lock, watch := own.connect(t, "postgres"), own.connect(t, "postgres")
	exec := func(sql string) {
		t.Helper()
		if _, err := lock.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("BEGIN; LOCK TABLE " + table + " IN ACCESS EXCLUSIVE MODE")
	var requests sync.WaitGroup
	for _, act := range acts {
		requests.Go(act)
	}
	waiting := fmt.Sprintf(` FROM pg_locks WHERE NOT granted AND relation = '%s'::regclass`, table)
	// Events that belong to no login are written beside.
	const ofLogins = ` AND (relation = 'sso_attempts'::regclass OR pid IN (SELECT pid FROM pg_locks WHERE granted AND relation = 'sso_attempts'::regclass))`
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var n int
		if err := watch.QueryRow(t.Context(), "SELECT count(*)"+waiting+ofLogins).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n >= len(acts) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d wait for %s:\n%s", n, len(acts), table, in.logs())
		}
	}
	in.bridges[0].kill()
	requests.Wait()
	// What a server still does for the dead would be an answer that was lost, not none.
	exec("SELECT pg_terminate_backend(pid)" + waiting)
	exec("ROLLBACK")
	in.restart()
}
