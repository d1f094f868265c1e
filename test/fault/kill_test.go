// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
)

// takeovers say what another process makes of a step whose process was killed, from
// the exchange on that the stores have done: device-flow.md, When the process dies, and
// tokens.md, Cache. The last row of a step that holds is it.
var takeovers = []struct {
	ids, step, since, name string
	holds                  func(l *lane, s *subject)
}{
	{"DF-24 DEV-06", "redeem", "", "nothing has happened", func(l *lane, s *subject) { l.redeems(s) }},
	{"DF-24 DEV-06 INV-2", "redeem", "poll", "the claim lapses", func(l *lane, s *subject) {
		l.bearer(s.token, http.StatusOK) // the device's former one
		l.lapses(s)
		l.redeems(s)
	}},
	{"DF-24 DEV-06 INV-2", "redeem", "commit", "the row is rotated, and what nobody received is dead", func(l *lane, s *subject) {
		lost := l.hash(s)
		l.lapses(s)
		s.unheard = true
		l.redeems(s)
		if n := l.count(`SELECT count(*) FROM oauth_access_tokens WHERE token_hash = $1`, lost); n != 0 {
			l.t.Error("the token that nobody received lives")
		}
	}},
	{"DF-24 DEV-06", "redeem", "end of a claim", "the session is seen and can be ended", func(l *lane, s *subject) {
		l.due(s.g)
		l.polls(s.g, "expired_token")
		l.bearer(s.token, http.StatusUnauthorized) // the device's former one
		mine, _ := l.warm(l.label())
		if a := l.core.bearer(http.MethodDelete, "/openapi/v1/account/sessions/"+s.id, mine); !ok(a) {
			l.t.Errorf("%d %s %v", a.Status, a.Body, a.Err)
		}
		if !ended(l, s) {
			l.t.Error("the session is live")
		}
	}},
	{"TK-29", "revoke self", "", "the token lives and can be revoked", func(l *lane, s *subject) {
		l.bearer(s.token, http.StatusOK)
		if a := l.core.logout(s.token); !ok(a) {
			l.t.Errorf("%d %s %v", a.Status, a.Body, a.Err)
		}
		dead(l, s)
	}},
	{"TK-29", "revoke self", "commit", "the token is refused within 30 s", func(l *lane, s *subject) {
		l.older(liveFor)
		dead(l, s)
	}},
	{"TK-29 TK-10", "revoke self", "set auth x", "the token is refused at once", dead},
}

// killCase is a kill -9 while one exchange stands still.
type killCase struct {
	strikeCase
	name  string
	holds func(l *lane, s *subject)
}

func kills(t *testing.T) (cases []killCase) {
	t.Helper()
	known, err := golden()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"redeem", "revoke self"} {
		var done []string // by the stores
		for _, x := range known[step] {
			for _, how := range []blow{heldBefore, heldAfter} {
				if how == heldAfter {
					done = append(done, x.name)
				}
				c := killCase{strikeCase: strikeCase{step: named(step), x: x, nth: 1, how: how}}
				for _, o := range takeovers {
					if o.step == step && (o.since == "" || slices.Contains(done, o.since)) {
						c.name = fmt.Sprintf("%s %s %s %s %s: %s", o.ids, step, how, x.store, x.name, o.name)
						c.holds = o.holds
					}
				}
				cases = append(cases, c)
			}
		}
	}
	return cases
}

// A process dies between any two exchanges of a redemption and of a revocation, and
// another one of the fleet goes on.
func TestKilledBetweenExchanges(t *testing.T) {
	t.Parallel()
	lanes(t, 3, kills(t), func(c killCase) string { return c.name }, (*lane).killed)
}

// killed runs a step until an exchange stands still, kills the process and lets the
// other one take over.
func (l *lane) killed(c killCase) {
	if l.other == nil {
		l.other = l.beside()
	}
	l.other.t = l.t
	s := c.step.ready(l)
	if c.x.name == "begin" { // whose it is must be certain
		l.settle()
	}
	p := l.tap.strike(c.plan(s))
	heard := make(chan answer, 1)
	core := l.core
	go func() { heard <- c.step.act(l, s) }()
	l.hit(p)
	core.kill()
	close(p.resume)
	if a := <-heard; a.Err == nil {
		l.t.Fatalf("it was answered: %d %s", a.Status, a.Body)
	}
	l.tap.clear()
	l.core = l.other
	c.holds(l, s)
	l.invariants()
	l.restart()
	if c.step.name == "revoke self" {
		dead(l, s)
	}
}

// beside starts a process that goes past the tap.
func (l *lane) beside() *process {
	t := l.t
	l.t = l.root // it outlives the case
	defer func() { l.t = t }()
	return l.serve(plentyOfLimits, fewConns)
}

// lapses is a client that goes on polling a grant whose claim nobody works on.
func (l *lane) lapses(s *subject) {
	l.t.Helper()
	l.due(s.g)
	l.polls(s.g, "authorization_pending")
	l.later(s.g)
}

// redeems wants the token, and all that follows from it.
func (l *lane) redeems(s *subject) {
	l.t.Helper()
	if s.delivered = l.core.poll(s.g); !ok(s.delivered) {
		l.t.Fatalf("the poll reads %d %s %v", s.delivered.Status, s.delivered.Body, s.delivered.Err)
	}
	redeemed(l, s)
}

// hash is what the registry knows of the session's live token.
func (l *lane) hash(s *subject) (hash []byte) {
	l.t.Helper()
	if err := l.sql.QueryRow(l.t.Context(), `SELECT token_hash FROM oauth_access_tokens WHERE id = $1 AND revoked_at IS NULL`, s.id).Scan(&hash); err != nil {
		l.t.Fatal(err)
	}
	return hash
}
