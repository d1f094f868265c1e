// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

// strikeCase is one blow against one exchange of one step.
type strikeCase struct {
	step step
	x    exchange
	nth  int // of that name within the step
	how  blow
	ids  string
	want expects
}

// strikes gives the cases of some blows, in the order of the file of exchanges.
func strikes(t *testing.T, blows ...blow) (cases []strikeCase) {
	t.Helper()
	known, err := golden()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		for i, x := range known[s.name] {
			nth := 0
			for _, same := range known[s.name][:i+1] {
				if same == x {
					nth++
				}
			}
			for _, how := range blows {
				ids, want, ok := outcome(s.name, x, how)
				if !ok {
					t.Errorf("no outcome is written down for %s: %s, %s", s.name, x.name, how)
				}
				cases = append(cases, strikeCase{s, x, nth, how, ids, want})
			}
		}
	}
	return cases
}

func (c strikeCase) name() string {
	return fmt.Sprintf("%s %s: %s %s, number %d, %s", c.ids, c.step.name, c.x.store, c.x.name, c.nth, c.how)
}

// Every exchange of every step fails once, in every way that shows at once.
func TestEachExchangeFails(t *testing.T) {
	t.Parallel()
	lanes(t, 3, strikes(t, refused, cutBefore, cutAfter), strikeCase.name, (*lane).struck)
}

// Every exchange of every step arrives too late once. With Postgres that takes as long
// as a request may: 10 s in a redemption, 30 s elsewhere.
func TestEachExchangeIsLate(t *testing.T) {
	t.Parallel()
	var quick, slow []strikeCase
	for _, c := range strikes(t, late) {
		if c.x.store == redisDB || c.step.background {
			quick = append(quick, c)
		} else {
			slow = append(slow, c)
		}
	}
	lanes(t, 8, append(some(slow), quick...), strikeCase.name, (*lane).struck)
}

// some gives every tenth case, with all rounds every one.
func some[C any](cases []C) (chosen []C) {
	for i, every := 0, len(cases)/rounds(len(cases)); i < len(cases); i += every {
		chosen = append(chosen, cases[i])
	}
	return chosen
}

// struck runs a step under a blow and then without, as its client would, and wants
// what the table says.
func (l *lane) struck(c strikeCase) {
	s := c.step.ready(l)
	if c.x.name == "begin" || c.step.background { // whose it is must be certain
		l.settle()
	}
	p := l.tap.strike(c.plan(s))
	first := c.step.act(l, s)
	l.hit(p)
	if c.how == late {
		l.await("core gives the late request up", p.left)
		close(p.resume)
		l.await("the late request is answered", p.answered)
	}
	l.tap.clear()
	if c.how == refused {
		l.tap.up(l.t, c.x.store)
	}
	l.reads(c.step, "first", first, c.want.retryAfter)
	if c.step.happened != nil && !c.step.background {
		if got := c.step.happened(l, s); c.want.effect != unasked && got != (c.want.effect == whole) {
			l.t.Errorf("the step took effect: %v, wanted %q", got, c.want.effect)
		}
	}
	if s.delivered = first; c.want.retryAfter != "" {
		s.unheard = c.want.effect == whole
		l.repeats(c, s)
	}
	if !l.t.Failed() {
		c.step.holds(l, s)
	}
	l.invariants()
}

// plan aims at what the case is about. Workers repeat what failed in another case under
// the same names.
func (c strikeCase) plan(s *subject) plan {
	p := plan{store: c.x.store, name: c.x.name, nth: c.nth, background: c.step.background, how: c.how}
	switch c.x.name {
	case "set auth x":
		p.about = hexSum(s.token)
	case "end of a claim":
		p.about = hexSum(s.g.device)
	}
	return p
}

// repeats is the same client's next try.
func (l *lane) repeats(c strikeCase, s *subject) {
	if c.want.then == lease {
		l.polls(s.g, "authorization_pending") // at once, and no slow_down
		l.later(s.g)
	}
	s.delivered = c.step.act(l, s)
	if c.want.then == over && s.delivered.Status == http.StatusUnauthorized && s.delivered.refusal() == "invalid_token" {
		return
	}
	l.reads(c.step, "next", s.delivered, "")
}

// reads wants the step's success or a 503 that says when to come again.
func (l *lane) reads(s step, which string, a answer, retryAfter string) {
	l.t.Helper()
	switch {
	case retryAfter == "" && s.success(a):
	case retryAfter != "" && a.Status == http.StatusServiceUnavailable && a.text("code") == "service_unavailable" &&
		!slices.Contains([]string{"access_denied", "expired_token", "invalid_token", "slow_down"}, a.text("error")):
		if got := a.Header.Get("Retry-After"); got != retryAfter {
			l.t.Errorf("the %s answer says Retry-After %q, not %q", which, got, retryAfter)
		}
	default:
		l.t.Errorf("the %s answer is %d %s %v (503 wanted: %v)", which, a.Status, a.Body, a.Err, retryAfter != "")
	}
}

// hit wants a plan to have struck.
func (l *lane) hit(p *plan) {
	l.t.Helper()
	l.await("the exchange is asked", p.hit)
}

func (l *lane) await(what string, ch <-chan struct{}) {
	l.t.Helper()
	select {
	case <-ch:
	case <-time.After(20 * time.Second):
		l.t.Fatalf("never: %s", what)
	}
}
