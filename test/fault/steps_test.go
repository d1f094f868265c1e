// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"strings"
	"time"
)

// subject is what one run of a step is about.
type subject struct {
	label     string
	g         codes
	token, id string // live before the step
	browsers  int    // signed in before the step
	before    person // signed in before the step
	delivered answer // the step's success
	unheard   bool   // it took effect before that, and nobody was told
}

// step is one thing that a client does.
type step struct {
	name string
	// background is what a worker does after the answer.
	background bool
	// ready prepares a run of the step.
	ready func(l *lane) *subject
	act   func(l *lane, s *subject) answer
	// success reports whether an answer is the one that the client waits for.
	success func(a answer) bool
	// happened reads from the stores whether the step took effect; nil for a step that
	// has none of its own.
	happened func(l *lane, s *subject) bool
	// holds checks everything that follows from the success.
	holds func(l *lane, s *subject)
}

// liveFor is how long a live token may be remembered after the read of its row.
const liveFor = 30 * time.Second

func ok(a answer) bool { return a.Status == http.StatusOK }

// steps are all that this module fails, kills and enumerates.
var steps = []step{
	{name: "code", ready: labelled, success: ok, act: func(l *lane, s *subject) answer {
		var a answer
		s.g, a = l.core.code(s.label)
		return a
	}, holds: func(l *lane, s *subject) { l.polls(s.g, "authorization_pending") }},

	{name: "pending poll", ready: coded, act: pollIt, success: func(a answer) bool { return a.refusal() == "authorization_pending" },
		holds: func(l *lane, s *subject) {
			l.later(s.g)
			l.polls(s.g, "authorization_pending")
		}},

	{name: "redeem", ready: func(l *lane) *subject {
		s := live(l)
		s.g = l.approved(s.label)
		return s
	}, act: pollIt, success: ok, happened: minted, holds: redeemed},

	{name: "approve", ready: undecided, success: ok, act: func(l *lane, s *subject) answer { return l.core.decide(l.owner(), "approve", s.g) },
		happened: func(l *lane, s *subject) bool { return l.grant(s.g, "status") == "approved" },
		holds: func(l *lane, s *subject) {
			l.polls(s.g, "")
			l.owe(func() { l.once(s, "oauth.device_flow_approved") })
		}},

	{name: "deny", ready: undecided, success: ok, act: func(l *lane, s *subject) answer { return l.core.decide(l.owner(), "deny", s.g) },
		happened: func(l *lane, s *subject) bool { return l.grant(s.g, "status") == "denied" },
		holds: func(l *lane, s *subject) {
			l.polls(s.g, "access_denied")
			l.owe(func() { l.once(s, "oauth.device_flow_denied") })
		}},

	{name: "resolve cold", ready: func(l *lane) *subject {
		s := labelled(l)
		s.token, s.id = l.core.login(l.owner(), s.label)
		return s
	}, act: identify, success: ok, holds: lives},

	{name: "resolve warm", ready: live, act: identify, success: ok, holds: lives},

	{name: "revoke self", ready: live, success: ok, act: func(l *lane, s *subject) answer { return l.core.logout(s.token) }, happened: ended,
		holds: dead},

	{name: "sign-in", ready: func(l *lane) *subject {
		l.owner()
		return &subject{browsers: l.count(`SELECT count(*) FROM console_sessions`)}
	}, success: ok, act: func(l *lane, _ *subject) answer {
		var a answer
		l.who, a = l.core.signIn(ownerEmail, ownerPassword)
		return a
	}, happened: func(l *lane, s *subject) bool { return l.count(`SELECT count(*) FROM console_sessions`) > s.browsers },
		holds: func(l *lane, s *subject) {
			want := s.browsers + 1
			if s.unheard {
				want++
			}
			if n := l.count(`SELECT count(*) FROM console_sessions`); n != want {
				l.t.Errorf("%d browsers instead of %d", n, want)
			}
			l.browser(l.who, http.StatusOK)
		}},

	{name: "introspect", ready: func(l *lane) *subject {
		s := labelled(l)
		s.token, s.id = l.core.login(l.owner(), s.label)
		return s
	}, act: func(l *lane, s *subject) answer { return l.core.introspect(s.token) }, success: func(a answer) bool {
		return ok(a) && bytes.Contains(a.Body, []byte(`"active":true`))
	}, holds: func(l *lane, s *subject) {
		if a := l.core.introspect(s.token); !bytes.Contains(a.Body, []byte(`"active":true`)) {
			l.t.Errorf("afterwards: %d %s", a.Status, a.Body)
		}
	}},

	{name: "kill", ready: func(l *lane) *subject {
		l.operatorKills() // what other cases left
		s := live(l)
		s.before = l.owner()
		return s
	}, act: func(l *lane, _ *subject) answer { return l.operatorKills() }, success: ok, happened: ended, holds: func(l *lane, s *subject) {
		dead(l, s)
		l.browser(s.before, http.StatusUnauthorized)
	}},

	{name: "list apps", ready: withApp, act: func(l *lane, s *subject) answer {
		return l.core.bearer(http.MethodGet, "/openapi/v1/apps?workspace_id="+l.text(`SELECT workspace_id FROM apps WHERE id = $1`, l.app), s.token)
	}, success: ok, holds: lives},

	{name: "describe", ready: withApp, act: func(l *lane, s *subject) answer {
		return l.core.bearer(http.MethodGet, "/openapi/v1/apps/"+l.app+"/describe", s.token)
	}, success: ok, holds: lives},

	{name: "run", ready: withApp, act: func(l *lane, s *subject) answer { return l.core.block(l.app, s.token) }, success: ok,
		happened: func(l *lane, _ *subject) bool {
			return l.count(`SELECT count(*) FROM app_runs WHERE app_id = $1`, l.app) > 0
		}, holds: lives},

	{name: "events of requests", background: true, ready: labelled, success: ok, act: func(l *lane, s *subject) answer {
		_, a := l.core.code(s.label)
		return a
	}, holds: func(l *lane, s *subject) {
		l.core.mustCode(l.label()) // what comes after it is not kept out
		l.settle()
		l.once(s, "oauth.device_flow_started")
	}},

	{name: "last use", background: true, ready: func(l *lane) *subject {
		s := labelled(l)
		s.token, s.id = l.core.login(l.owner(), s.label)
		return s
	}, act: identify, success: ok, holds: func(l *lane, s *subject) {
		l.used[s.token] = s.id
		l.settle()
		lives(l, s)
	}},
}

func labelled(l *lane) *subject { return &subject{label: l.label()} }

func coded(l *lane) *subject {
	s := labelled(l)
	s.g = l.core.mustCode(s.label)
	return s
}

// undecided comes with a browser that was last seen long enough ago to be noted anew.
func undecided(l *lane) *subject {
	s := coded(l)
	l.owner()
	l.exec(`UPDATE console_sessions SET last_seen_at = last_seen_at - interval '2 minutes'`)
	return s
}

func live(l *lane) *subject {
	s := labelled(l)
	s.token, s.id = l.warm(s.label)
	return s
}

// withApp comes with an app that nobody runs or has run.
func withApp(l *lane) *subject {
	if l.app == "" {
		l.app = l.workflow("Echo", "--runtime", "echo")
	}
	l.exec(`DELETE FROM app_runs WHERE app_id = $1`, l.app)
	if err := l.store.Del(l.t.Context(), l.prefix+"run:{"+l.app+"}").Err(); err != nil {
		l.t.Fatal(err)
	}
	return live(l)
}

func pollIt(l *lane, s *subject) answer { return l.core.poll(s.g) }

func identify(l *lane, s *subject) answer { return l.core.identity(s.token) }

func lives(l *lane, s *subject) { l.bearer(s.token, http.StatusOK) }

func ended(l *lane, s *subject) bool {
	return l.count(`SELECT count(*) FROM oauth_access_tokens WHERE id = $1 AND revoked_at IS NOT NULL`, s.id) == 1
}

// dead: the very next request is refused, and the registry says so too.
func dead(l *lane, s *subject) {
	l.bearer(s.token, http.StatusUnauthorized)
	if !ended(l, s) {
		l.t.Error("the session is live in the registry")
	}
}

// minted reports whether this grant has made a token, delivered or not.
func minted(l *lane, s *subject) bool {
	ref := sha256.Sum256([]byte(s.g.device))
	return l.count(`SELECT count(*) FROM oauth_access_tokens WHERE grant_ref = $1`, ref[:]) == 1
}

// redeemed: the token that was delivered is the one that lives, in the row of the
// device's former one, and the code is used.
func redeemed(l *lane, s *subject) {
	fresh := s.delivered.text("token")
	l.bearer(fresh, http.StatusOK)
	hash := sha256.Sum256([]byte(fresh))
	if n := l.count(`SELECT count(*) FROM oauth_access_tokens WHERE device_label = $1 AND id = $2 AND token_hash = $3 AND revoked_at IS NULL`, s.label, s.id, hash[:]); n != 1 ||
		s.delivered.text("token_id") != s.id {
		l.t.Errorf("the delivered token %s is in %d live rows of %s", s.delivered.text("token_id"), n, s.id)
	}
	mints := 2 // the first was before the step
	if s.unheard {
		mints++
	}
	if n := l.count(`SELECT count(*) FROM audit_events WHERE event = 'oauth.token_minted' AND token_id = $1`, s.id); n != mints {
		l.t.Errorf("%d mints on record instead of %d", n, mints)
	}
	if s.unheard { // its hash was rotated twice, and its tombstone lost
		l.older(liveFor)
	}
	eventually(l.t, "the former token is refused", func() bool { return l.core.identity(s.token).Status == http.StatusUnauthorized })
	eventually(l.t, "the grant is gone", func() bool { return l.grant(s.g, "status") == "" })
	l.polls(s.g, "expired_token")
}

// polls wants a refusal, or with an empty one the token.
func (l *lane) polls(g codes, want string) {
	l.t.Helper()
	if a := l.core.poll(g); a.refusal() != want || (want == "") != ok(a) {
		l.t.Errorf("the poll reads %d %s %v, not %q", a.Status, a.Body, a.Err, want)
	}
}

func (l *lane) bearer(token string, want int) {
	l.t.Helper()
	if a := l.core.identity(token); a.Status != want {
		l.t.Errorf("the token is answered %d %s %v, not %d", a.Status, a.Body, a.Err, want)
	}
}

func (l *lane) browser(p person, want int) {
	l.t.Helper()
	if a := l.core.call(http.MethodGet, "/console/api/account/profile", "", "", p.headers()...); a.Status != want {
		l.t.Errorf("the browser is answered %d %s %v, not %d", a.Status, a.Body, a.Err, want)
	}
}

// once wants exactly one event that names the label, once core has written what it
// has.
func (l *lane) once(s *subject, event string) {
	l.t.Helper()
	const named = `SELECT count(*) FROM audit_events WHERE event = $1 AND fields LIKE $2`
	eventually(l.t, event+" is on record", func() bool { return l.count(named, event, `%"`+s.label+`"%`) > 0 })
	if n := l.count(named, event, `%"`+s.label+`"%`); n != 1 {
		l.t.Errorf("%s is %d times on record", event, n)
	}
}

// operatorKills ends all access of the owner, who signs in anew.
func (l *lane) operatorKills() answer {
	a := l.core.revokeSubject(map[string]string{"account_id": l.ownerID()})
	if ok(a) {
		l.who = person{}
	}
	return a
}

func (l *lane) ownerID() string {
	l.t.Helper()
	return l.text(`SELECT id FROM accounts WHERE email = $1`, ownerEmail)
}

// introspect asks as a service does (RFC 7662).
func (c client) introspect(token string) answer {
	return c.call(http.MethodPost, "/openapi/v1/oauth/introspect", "application/x-www-form-urlencoded", "token="+token, "Authorization", basic())
}

func named(name string) step {
	for _, s := range steps {
		if s.name == name {
			return s
		}
	}
	panic("no step is named " + strings.TrimSpace(name))
}
