// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
)

// die ends a request at its n-th step as a dying process would: nothing after it
// runs, an open transaction is rolled back, and the stores stay as they are. What the
// client would see as a lost connection it sees as a 500.
func (s *dvServer) die(t testing.TB, n int, c apitest.Codes) {
	t.Helper()
	s.once("", n, func() error { panic("the process dies here") })
	a := s.Poll(t, c)
	s.heal()
	wantAnswer(t, a, http.StatusInternalServerError, "internal_server_error")
}

// A replica dies while its stores live on.
func TestDeathWhileRedeeming(t *testing.T) {
	s := dvStart(t)
	steps := s.redeemSteps(t)
	lister := s.lastToken(t, "lister")
	for i, step := range steps {
		t.Run(fmt.Sprintf("DF-24 DEV-06 INV-2 at %s, step %d", step, i+1), func(t *testing.T) {
			label := fmt.Sprintf("died at %d", i)
			const row = `SELECT count(*) FROM oauth_access_tokens WHERE device_label = $1`
			c := s.approved(t, label)
			s.die(t, i+1, c)
			s.Clock.Advance(devicegrant.FirstInterval)

			var undelivered []byte
			id := ""
			switch step {
			case "grants Poll": // before the claim nothing has happened
				s.awaits(t, devicegrant.Approved)
			case "grants Delete done": // the answer is lost; the session is seen and can be ended
				wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
				list := s.Bearer(t, lister, http.MethodGet, "/openapi/v1/account/sessions")
				if !strings.Contains(list.Body, `"device_label":"`+label+`"`) {
					t.Fatalf("not in the list: %s", list.Body)
				}
				id = sqlText(t, s.Server, `SELECT id FROM oauth_access_tokens WHERE device_label = $1`, label)
				wantAnswer(t, s.Bearer(t, lister, http.MethodDelete, "/openapi/v1/account/sessions/"+id), http.StatusOK, "")
				if n := sqlInt(t, s.Server, row+` AND revoked_at IS NULL`, label); n != 0 {
					t.Fatalf("%d live rows", n)
				}
				return
			case "sql COMMIT done", "grants Delete": // the row is there, its token went nowhere
				undelivered = tkBytes(sqlDigest(t, s.Server, `SELECT token_hash FROM oauth_access_tokens WHERE device_label = $1`, label))
				id = sqlText(t, s.Server, `SELECT id FROM oauth_access_tokens WHERE device_label = $1`, label)
			default: // claimed, not committed
				if n := sqlInt(t, s.Server, row, label); n != 0 {
					t.Fatalf("%d rows before the commit", n)
				}
			}
			if step != "grants Poll" {
				wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
				s.Clock.Advance(devicegrant.Lease)
			}
			a := s.Poll(t, c)
			wantAnswer(t, a, http.StatusOK, "")
			s.oneRow(t, label, a.Text(t, "token"), a.Text(t, "token_id"))
			s.works(t, a.Text(t, "token"), true)
			if n := sqlInt(t, s.Server, row, label); n != 1 {
				t.Fatalf("%d rows", n)
			}
			if id != "" && a.Text(t, "token_id") != id {
				t.Fatal("the row was not rotated in place")
			}
			if n := sqlInt(t, s.Server, `SELECT count(*) FROM oauth_access_tokens WHERE token_hash = $1`, undelivered); n != 0 {
				t.Fatal("the token that nobody received is alive")
			}
			wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
		})
	}

	// dieAfterCommit leaves a row whose token nobody received, in the last second of
	// the grant.
	dieAfterCommit := func(t *testing.T, label string) apitest.Codes {
		t.Helper()
		c := s.Code(t, label)
		s.Clock.Advance(devicegrant.Lifetime - time.Second)
		wantAnswer(t, s.owner.decide(t, "approve", c.User), http.StatusOK, "")
		s.Clock.Advance(devicegrant.DecisionLife - time.Second)
		s.die(t, len(steps)-1, c) // at the deletion
		return c
	}
	t.Run("DF-45 a poll within 30 seconds after the lease redeems", func(t *testing.T) {
		c := dieAfterCommit(t, "last second")
		s.Clock.Advance(devicegrant.Lease - time.Second)
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
		s.Clock.Advance(30 * time.Second) // the grant itself is over since 43 seconds
		a := s.Poll(t, c)
		wantAnswer(t, a, http.StatusOK, "")
		s.oneRow(t, "last second", a.Text(t, "token"), a.Text(t, "token_id"))
		s.works(t, a.Text(t, "token"), true)
	})
	t.Run("DF-45 a later one does not, and the next login rotates the row", func(t *testing.T) {
		c := dieAfterCommit(t, "too late")
		s.Clock.Advance(devicegrant.Lease + devicegrant.LeaseGrace)
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
		id := sqlText(t, s.Server, `SELECT id FROM oauth_access_tokens WHERE device_label = 'too late'`)
		a := s.Poll(t, s.approved(t, "too late"))
		wantAnswer(t, a, http.StatusOK, "")
		s.oneRow(t, "too late", a.Text(t, "token"), id)
	})
}

// held is a poll of an approval that is stopped after its claim and before its mint,
// and whose lease has lapsed.
func (s *dvServer) held(t *testing.T, label string) (c apitest.Codes, finish func() dvReply) {
	t.Helper()
	c = s.approved(t, label)
	gate := s.hold(t, "sql BEGIN")
	slow := make(chan dvReply, 1)
	go func() { slow <- dvPoll(s.Server, c) }()
	gate.await(t)
	s.heal()
	s.Clock.Advance(devicegrant.Lease)
	return c, func() dvReply { gate.release(); return <-slow }
}

func (s *dvServer) fenced(t testing.TB, r dvReply) {
	t.Helper()
	if r.status != http.StatusBadRequest || r.body != `{"error":"expired_token"}` {
		t.Fatalf("not fenced: %+v", r)
	}
}

func TestFence(t *testing.T) {
	slow(t)
	s := dvStart(t)
	redeem := func(t *testing.T, c apitest.Codes) (token, id string) {
		t.Helper()
		a := s.Poll(t, c)
		wantAnswer(t, a, http.StatusOK, "")
		return a.Text(t, "token"), a.Text(t, "token_id")
	}
	// lost redeems, but the reply to the commit is lost and the lease has lapsed.
	lost := func(t *testing.T, label string) apitest.Codes {
		t.Helper()
		c := s.approved(t, label)
		s.once("sql COMMIT done", 1, down)
		dvOutage(t, s.Poll(t, c), "15")
		s.heal()
		s.Clock.Advance(devicegrant.Lease)
		return c
	}
	none := func(t *testing.T, label string) {
		t.Helper()
		if n := sqlInt(t, s.Server, `SELECT count(*) FROM oauth_access_tokens WHERE device_label = $1 AND revoked_at IS NULL`, label); n != 0 {
			t.Fatalf("%d sessions were revived", n)
		}
	}

	t.Run("DF-25 DEV-08 INV-2 a slow winner after a second claim has minted", func(t *testing.T) {
		c, finish := s.held(t, "slow")
		token, id := redeem(t, c)
		s.fenced(t, finish())
		s.oneRow(t, "slow", token, id)
		s.works(t, token, true)
		eventually(t, func() (bool, string) {
			return sqlInt(t, s.Server, `SELECT count(*) FROM audit_events WHERE event = 'oauth.device_flow_rejected' AND fields LIKE '%"reason":"fenced"%'`) == 1, "the fenced claim is not on record"
		})
	})
	t.Run("DF-25 DEV-08 a slow loser does not take the second claim away", func(t *testing.T) {
		c, finish := s.held(t, "slow failure")
		gate := s.hold(t, "sql BEGIN") // the second claim is under way
		second := make(chan dvReply, 1)
		go func() { second <- dvPoll(s.Server, c) }()
		gate.await(t)
		s.fail("sql INSERT audit_events") // the slow one fails and would give the grant back
		if r := finish(); r.status != http.StatusServiceUnavailable {
			t.Fatalf("%+v", r)
		}
		s.heal()
		s.awaits(t, devicegrant.Redeeming)
		gate.release()
		r := <-second
		if r.status != http.StatusOK {
			t.Fatalf("%+v", r)
		}
		s.oneRow(t, "slow failure", r.member("token"), r.member("token_id"))
	})
	t.Run("DF-43 DEV-08 a slow claim after another login on its label", func(t *testing.T) {
		a, finish := s.held(t, "shared")
		first, id := redeem(t, a)
		token, same := redeem(t, s.approved(t, "shared"))
		if same != id {
			t.Fatal("the login of B made another row")
		}
		s.fenced(t, finish())
		s.oneRow(t, "shared", token, id)
		s.works(t, token, true)
		s.works(t, first, false)
	})
	t.Run("DF-43 DEV-08 a slow claim after its session was ended", func(t *testing.T) {
		c, finish := s.held(t, "ended")
		token, _ := redeem(t, c)
		wantAnswer(t, s.Bearer(t, token, http.MethodDelete, "/openapi/v1/account/sessions/self"), http.StatusOK, "")
		s.fenced(t, finish())
		none(t, "ended")
	})
	t.Run("DF-43 DEV-08 a second claim after another login on its label", func(t *testing.T) {
		a := lost(t, "taken over")
		token, id := redeem(t, s.approved(t, "taken over"))
		wantAnswer(t, s.Poll(t, a), http.StatusBadRequest, "expired_token")
		s.oneRow(t, "taken over", token, id)
		s.works(t, token, true)
	})
	t.Run("DF-43 DEV-08 a second claim after its session was ended", func(t *testing.T) {
		c := lost(t, "gone")
		b := s.owner.browser
		b.Get("/account/sessions/end?kind=device&id=" + sqlText(t, s.Server, `SELECT id FROM oauth_access_tokens WHERE device_label = 'gone'`))
		b.Submit("/account/sessions/end", nil)
		none(t, "gone")
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
		none(t, "gone")
	})

	// restored redeems and then puts the approved grant back, as a failover would that
	// lost the claim and the deletion.
	restored := func(t *testing.T, label string) (c apitest.Codes, token, id string) {
		t.Helper()
		c = s.approved(t, label)
		g, ok := s.grants().newest(t, s.Clock.Now())
		if !ok {
			t.Fatal("no grant")
		}
		token, id = redeem(t, c)
		if err := s.App.Stores.Grants.Create(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		s.awaits(t, devicegrant.Approved)
		return c, token, id
	}
	t.Run("DF-44 DEV-08 a deleted grant that is back", func(t *testing.T) {
		c, token, id := restored(t, "back")
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
		s.oneRow(t, "back", token, id)
		s.works(t, token, true)
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
	})
	t.Run("DF-44 DEV-08 a deleted grant that is back after its session was ended", func(t *testing.T) {
		c, token, _ := restored(t, "back and ended")
		wantAnswer(t, s.Bearer(t, token, http.MethodDelete, "/openapi/v1/account/sessions/self"), http.StatusOK, "")
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
		none(t, "back and ended")
	})
	t.Run("DF-44 DEV-08 a claimed grant that is back after its session was ended", func(t *testing.T) {
		c := s.approved(t, "claimed and back")
		gate := s.hold(t, "grants Delete")
		won := make(chan dvReply, 1)
		go func() { won <- dvPoll(s.Server, c) }()
		gate.await(t)
		s.heal()
		g, _ := s.grants().newest(t, s.Clock.Now())
		gate.release()
		r := <-won
		wantAnswer(t, s.Bearer(t, r.member("token"), http.MethodDelete, "/openapi/v1/account/sessions/self"), http.StatusOK, "")
		if err := s.App.Stores.Grants.Create(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		s.awaits(t, devicegrant.Redeeming)
		s.Clock.Advance(devicegrant.Lease)
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
		none(t, "claimed and back")
	})
}
