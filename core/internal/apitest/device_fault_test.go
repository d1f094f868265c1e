// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
)

// redeemSteps are what a poll asks of the stores from its arrival to its answer. The
// tests fail, kill and hold at each of them, so a step that is added is covered too.
func (s *dvServer) redeemSteps(t *testing.T) []string {
	t.Helper()
	c := s.approved(t, "rehearsal")
	steps := s.steps(func() { wantAnswer(t, s.Poll(t, c), http.StatusOK, "") })
	first := []string{"grants Poll", "grants Poll claimed"}
	last := []string{"sql COMMIT", "sql COMMIT done", "grants Delete", "grants Delete done"}
	if n := len(steps); n < 10 || !slices.Equal(steps[:2], first) || !slices.Equal(steps[n-4:], last) {
		t.Fatalf("a redemption takes %v", steps)
	}
	for _, step := range []string{"sql INSERT subject_epochs", "sql SELECT accounts", "sql INSERT grant_fences", "sql INSERT oauth_access_tokens", "sql INSERT audit_events"} {
		if !slices.Contains(steps, step) {
			t.Fatalf("%s is no step of %v", step, steps)
		}
	}
	return steps
}

func down() error { return errDown }

// Each step of a redemption fails once, at a first login and at one that rotates.
func TestRedemptionWithAStoreThatFails(t *testing.T) {
	slow(t)
	s := dvStart(t)
	steps := s.redeemSteps(t)
	for i, step := range steps {
		for _, rotates := range []bool{false, true} {
			label := fmt.Sprintf("step %d %v", i, rotates)
			t.Run(fmt.Sprintf("DF-23 DEV-08 OUT-02 INV-6 %s, step %d, rotates %v", step, i+1, rotates), func(t *testing.T) {
				old := ""
				if rotates {
					old = s.lastToken(t, label)
				}
				rows := liveRows(t, s.Server)
				c := s.approved(t, label)
				s.once("", i+1, down)
				a := s.Poll(t, c)
				s.heal()

				committed := false
				switch step {
				case "grants Poll", "grants Poll claimed": // asked for again within the request
					wantAnswer(t, a, http.StatusOK, "")
					s.oneRow(t, label, a.Text(t, "token"), a.Text(t, "token_id"))
					if rotates {
						s.works(t, old, false)
					}
					wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
					return
				case "sql COMMIT": // nobody knows, and nothing was written
					dvOutage(t, a, "15")
					s.untilLease(t, c)
				case "sql COMMIT done": // nobody knows, and the row is there
					dvOutage(t, a, "15")
					committed = true
					s.untilLease(t, c)
				case "grants Delete", "grants Delete done": // the token is out; the rest is tidied up
					wantAnswer(t, a, http.StatusOK, "")
					s.oneRow(t, label, a.Text(t, "token"), a.Text(t, "token_id"))
					eventually(t, func() (bool, string) { return s.state(t) == "", "the grant is never deleted" })
					wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
					return
				default: // before the commit: back to approved
					dvOutage(t, a, "5")
					s.awaits(t, devicegrant.Approved)
				}
				if rotates && !committed {
					s.works(t, old, true)
				}
				if n := liveRows(t, s.Server); !committed && n != rows {
					t.Fatalf("%d live rows instead of %d after the failure", n, rows)
				}
				a = s.Poll(t, c) // at once: no slow_down
				wantAnswer(t, a, http.StatusOK, "")
				s.oneRow(t, label, a.Text(t, "token"), a.Text(t, "token_id"))
				s.works(t, a.Text(t, "token"), true)
				if rotates {
					s.works(t, old, false)
				}
				wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
			})
		}
	}
	t.Run("DEV-08 INV-6 no poll reaches the store, and nothing has happened", func(t *testing.T) {
		c := s.approved(t, "unreached")
		s.fail("grants Poll")
		dvOutage(t, s.Poll(t, c), "2")
		s.heal()
		s.awaits(t, devicegrant.Approved)
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "") // at once: no slow_down
	})
	t.Run("DEV-08 INV-6 every reply to a claim is lost, and its lease lapses", func(t *testing.T) {
		c := s.approved(t, "unheard")
		s.fail("grants Poll claimed")
		dvOutage(t, s.Poll(t, c), "2")
		s.heal()
		s.untilLease(t, c)
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
	})
	t.Run("DEV-08 the mint fails and so does giving the grant back", func(t *testing.T) {
		c := s.approved(t, "neither")
		s.fail("sql INSERT audit_events", "grants Release")
		dvOutage(t, s.Poll(t, c), "5")
		s.heal()
		s.untilLease(t, c)
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
	})
	t.Run("DEV-08 the work under a claim ends before its lease", func(t *testing.T) {
		s.lastToken(t, "timed")
		s.mu.Lock()
		left := s.left["sql COMMIT"]
		s.mu.Unlock()
		if left <= 0 || left > devicegrant.RedeemLimit || devicegrant.RedeemLimit >= devicegrant.Lease {
			t.Fatalf("%s for a commit under a lease of %s", left, devicegrant.Lease)
		}
	})
	t.Run("DEV-08 a store that stays down delays the deletion, not the answer", func(t *testing.T) {
		c := s.approved(t, "undeleted")
		s.fail("grants Delete")
		a := s.Poll(t, c)
		wantAnswer(t, a, http.StatusOK, "")
		s.works(t, a.Text(t, "token"), true)
		s.Clock.Advance(5 * time.Second)
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
		s.heal()
		eventually(t, func() (bool, string) { return s.state(t) == "", "the grant is never deleted" })
		s.works(t, a.Text(t, "token"), true)
	})
}

func (s *dvServer) awaits(t testing.TB, want devicegrant.State) {
	t.Helper()
	if got := s.state(t); got != want {
		t.Fatalf("the grant is %q instead of %q", got, want)
	}
}

// untilLease wants the newest grant under a claim that nobody works on, polls in vain
// and lets the lease lapse.
func (s *dvServer) untilLease(t testing.TB, c apitest.Codes) {
	t.Helper()
	s.awaits(t, devicegrant.Redeeming)
	wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
	s.Clock.Advance(devicegrant.Lease)
}

// Each step of a decision fails once.
func TestDecisionWithAStoreThatFails(t *testing.T) {
	s := dvStart(t)
	for _, act := range []string{"approve", "deny"} {
		moved, verdict := devicegrant.Approved, http.StatusOK
		if act == "deny" {
			moved, verdict = devicegrant.Denied, http.StatusBadRequest
		}
		c := s.Code(t, "x")
		steps := s.steps(func() { wantAnswer(t, s.owner.decide(t, act, c.User), http.StatusOK, "") })
		for i, step := range steps {
			t.Run(fmt.Sprintf("DF-28 OUT-02 INV-6 %s: %s, step %d", act, step, i+1), func(t *testing.T) {
				c := s.Code(t, "x")
				s.once("", i+1, down)
				a := s.owner.decide(t, act, c.User)
				s.heal()
				if strings.HasPrefix(step, "grants Decide") { // asked for again within the request
					wantAnswer(t, a, http.StatusOK, "")
				} else {
					dvOutage(t, a, "2")
					s.awaits(t, devicegrant.Pending)
					wantAnswer(t, s.owner.decide(t, act, c.User), http.StatusOK, "")
				}
				s.awaits(t, moved)
				wantAnswer(t, s.Poll(t, c), verdict, "")
			})
		}
		t.Run("DF-42 "+act+": the reply is lost and the repeat knows its own move", func(t *testing.T) {
			c := s.Code(t, "x")
			s.once("grants Decide done", 1, down)
			a := s.owner.decide(t, act, c.User)
			s.heal()
			wantAnswer(t, a, http.StatusOK, "")
			wantAnswer(t, s.owner.decide(t, act, c.User), http.StatusConflict, "already_resolved")
			wantAnswer(t, s.Poll(t, c), verdict, "")
		})
		t.Run("DF-42 INV-6 "+act+": every reply is lost, and the move is whole", func(t *testing.T) {
			c := s.Code(t, "x")
			s.fail("grants Decide done")
			dvOutage(t, s.owner.decide(t, act, c.User), "2")
			s.heal()
			s.awaits(t, moved)
			wantAnswer(t, s.owner.decide(t, act, c.User), http.StatusConflict, "already_resolved")
			wantAnswer(t, s.Poll(t, c), verdict, "")
		})
		t.Run("DF-42 "+act+": the store is down before the move", func(t *testing.T) {
			c := s.Code(t, "x")
			s.fail("grants Decide")
			dvOutage(t, s.owner.decide(t, act, c.User), "2")
			s.heal()
			s.awaits(t, devicegrant.Pending)
			wantAnswer(t, s.owner.decide(t, act, c.User), http.StatusOK, "")
		})
	}
	t.Run("DF-42 the repeat of another's move is a conflict", func(t *testing.T) {
		addAccount(t, s.Server, "bob@example.com")
		bob, c := dvSignIn(t, s.Server, "bob@example.com"), s.Code(t, "x")
		gate := s.hold(t, "grants Decide")
		slow := make(chan dvReply, 1)
		go func() { slow <- bob.try("approve", c) }()
		gate.await(t)
		wantAnswer(t, s.owner.decide(t, "deny", c.User), http.StatusOK, "")
		gate.release()
		if r := <-slow; r.status != http.StatusConflict || r.member("code") != "already_resolved" {
			t.Fatalf("%+v", r)
		}
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "access_denied")
	})
}

func TestSQLIsAway(t *testing.T) {
	s := dvStart(t)
	token := s.lastToken(t, "before")
	b := s.owner.browser
	b.Get("/device")
	pending, approved := s.Code(t, "pending"), s.approved(t, "approved")
	rows, events := tokenRows(t, s.Server), sqlInt(t, s.Server, `SELECT count(*) FROM audit_events WHERE event = 'oauth.token_minted'`)
	type probe struct {
		name   string
		ask    func(t *testing.T) apitest.Answer
		writes bool // only a write fails
	}
	get := func(path string) func(t *testing.T) apitest.Answer {
		return func(t *testing.T) apitest.Answer { return s.Bearer(t, token, http.MethodGet, path) }
	}
	asks := []probe{
		{"DF-28 poll of an approval", func(t *testing.T) apitest.Answer { return s.Poll(t, approved) }, true},
		{"DF-28 approve", func(t *testing.T) apitest.Answer { return s.owner.decide(t, "approve", pending.User) }, false},
		{"DF-28 deny", func(t *testing.T) apitest.Answer { return s.owner.decide(t, "deny", pending.User) }, false},
		{"the CSRF token", func(t *testing.T) apitest.Answer {
			return s.Call(t, http.MethodGet, "/console/api/csrf-token", "", "Cookie", s.owner.cookie)
		}, false},
		{"the device page", func(t *testing.T) apitest.Answer { return b.Call(http.MethodGet, "/device", "") }, false},
		{"sign-in", func(t *testing.T) apitest.Answer {
			return s.Post(t, "/console/api/login", map[string]any{"email": apitest.OwnerEmail, "password": base64.StdEncoding.EncodeToString([]byte(apitest.OwnerPassword))})
		}, true},
		{"a bearer read", get("/openapi/v1/account"), false},
		{"the session list", get("/openapi/v1/account/sessions"), false},
		{"logout", func(t *testing.T) apitest.Answer {
			return s.Bearer(t, token, http.MethodDelete, "/openapi/v1/account/sessions/self")
		}, true},
		{"end all others", func(t *testing.T) apitest.Answer {
			return s.Bearer(t, token, http.MethodDelete, "/openapi/v1/account/sessions")
		}, true},
	}
	for _, outage := range []struct {
		name      string
		fail      func(t *testing.T)
		writeOnly bool
	}{
		{"OUT-02 down", func(*testing.T) { s.fail("sql ") }, false},
		{"OUT-02 read-only", func(t *testing.T) {
			sqlReadOnly(t, s.Server, true)
			t.Cleanup(func() { sqlReadOnly(t, s.Server, false) })
		}, true},
	} {
		for _, p := range asks {
			if outage.writeOnly && !p.writes {
				continue
			}
			t.Run(outage.name+": "+p.name, func(t *testing.T) {
				t.Cleanup(s.heal)
				outage.fail(t)
				for range 2 { // again at once: no slow_down, and no permit was spent
					dvOutage(t, p.ask(t), "")
				}
			})
		}
	}
	t.Run("OUT-02 down: what needs no SQL is served", func(t *testing.T) {
		t.Cleanup(s.heal)
		s.fail("sql ")
		fresh := s.Code(t, "during")
		wantAnswer(t, s.Poll(t, fresh), http.StatusBadRequest, "authorization_pending")
		if lookUp(t, s.Server, fresh.User).JSON(t)["valid"] != true {
			t.Fatal("not found")
		}
	})
	t.Run("DF-28 OUT-02 afterwards nothing was half done and nothing is lost", func(t *testing.T) {
		if n := tokenRows(t, s.Server); n != rows {
			t.Fatalf("%d rows instead of %d", n, rows)
		}
		if n := sqlInt(t, s.Server, `SELECT count(*) FROM audit_events WHERE event = 'oauth.token_minted'`); n != events {
			t.Fatalf("%d mints on record instead of %d", n, events)
		}
		s.works(t, token, true)
		wantAnswer(t, s.Poll(t, approved), http.StatusOK, "")
		wantAnswer(t, s.Poll(t, pending), http.StatusBadRequest, "authorization_pending")
		wantAnswer(t, s.owner.decide(t, "approve", pending.User), http.StatusOK, "")
		s.Clock.Advance(devicegrant.FirstInterval)
		wantAnswer(t, s.Poll(t, pending), http.StatusOK, "")
	})
	t.Run("OUT-02 the disk is full", func(t *testing.T) {
		aboutEmbedded(t)
		pragma := func(t *testing.T, text string) {
			if _, err := s.App.Stores.DB.Exec(context.Background(), "PRAGMA "+text); err != nil {
				t.Fatal(err)
			}
		}
		pages := sqlInt(t, s.Server, `SELECT page_count FROM pragma_page_count()`)
		pragma(t, fmt.Sprintf("max_page_count = %d", pages))
		t.Cleanup(func() { pragma(t, "max_page_count = 1073741823") })
		for i := range 1000 {
			label := fmt.Sprintf("fills %d", i)
			c, rows := s.approved(t, label), liveRows(t, s.Server)
			a := s.Poll(t, c)
			if a.Status == http.StatusOK {
				continue
			}
			dvOutage(t, a, "")
			if n := liveRows(t, s.Server); n != rows {
				t.Fatalf("%d live rows instead of %d", n, rows)
			}
			pragma(t, "max_page_count = 1073741823")
			s.Clock.Advance(devicegrant.Lease) // in case the commit itself failed
			a = s.Poll(t, c)
			wantAnswer(t, a, http.StatusOK, "")
			s.oneRow(t, label, a.Text(t, "token"), a.Text(t, "token_id"))
			return
		}
		t.Fatal("the disk never filled")
	})
}
