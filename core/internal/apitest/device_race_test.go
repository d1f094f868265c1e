// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// dvClient is for many requests at once.
var dvClient = &http.Client{Timeout: 60 * time.Second, Transport: apitest.Checked(&http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true})}

// dvReply is an answer that was read outside the test's own goroutine.
type dvReply struct {
	status int
	body   string
	err    error
}

func (r dvReply) member(name string) string {
	var v map[string]any
	_ = json.Unmarshal([]byte(r.body), &v)
	s, _ := v[name].(string)
	return s
}

func dvPost(url, body string, headers ...string) dvReply {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return dvReply{err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := dvClient.Do(req)
	if err != nil {
		return dvReply{err: err}
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	return dvReply{status: res.StatusCode, body: string(content), err: err}
}

func dvPoll(s *apitest.Server, c apitest.Codes) dvReply {
	return dvPost(s.URL+tokenPath, `{"client_id":"difyctl","device_code":"`+c.Device+`"}`)
}

func (p dvPerson) try(act string, c apitest.Codes) dvReply {
	return dvPost(p.s.URL+"/openapi/v1/oauth/device/"+act, `{"user_code":"`+c.User+`"}`, p.headers()...)
}

// together runs all of them from one moment on and waits for their replies.
func together(calls ...func() dvReply) []dvReply {
	replies := make([]dvReply, len(calls))
	start := make(chan struct{})
	var ready, done sync.WaitGroup
	for i, call := range calls {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			replies[i] = call()
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	return replies
}

func TestManyPollersOfOneApproval(t *testing.T) {
	s := dvStart(t)
	const pollers = 100
	t.Run(fmt.Sprintf("DF-18 DEV-06 INV-2 %d at once", pollers), func(t *testing.T) {
		for round := range dvRounds(1000) {
			label := fmt.Sprintf("device %d", round%3) // some rounds rotate a row, some make one
			c := s.approved(t, label)
			calls := make([]func() dvReply, pollers)
			for i := range calls {
				calls[i] = func() dvReply { return dvPoll(s.Server, c) }
			}
			var won []dvReply
			for _, r := range together(calls...) {
				switch {
				case r.err != nil:
					t.Fatal(r.err)
				case r.status == http.StatusOK:
					won = append(won, r)
				case r.status != http.StatusBadRequest || !slices.Contains([]string{"slow_down", "authorization_pending", "expired_token"}, r.member("error")):
					t.Fatalf("round %d: %d %s", round, r.status, r.body)
				}
			}
			if len(won) != 1 {
				t.Fatalf("round %d: %d pollers got a token", round, len(won))
			}
			s.oneRow(t, label, won[0].member("token"), won[0].member("token_id"))
			if live := s.LiveGrants(t); live != 0 {
				t.Fatalf("round %d: %d grants are left", round, live)
			}
		}
		s.works(t, s.lastToken(t, "device 0"), true)
	})
	t.Run("DEV-06 while one redeems, the others wait", func(t *testing.T) {
		c := s.approved(t, "held")
		gate := s.hold(t, "sql BEGIN")
		winner := make(chan dvReply, 1)
		go func() { winner <- dvPoll(s.Server, c) }()
		gate.await(t)
		for range 2 {
			s.Clock.Advance(5 * time.Second)
			wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
		}
		gate.release()
		r := <-winner
		if r.status != http.StatusOK {
			t.Fatalf("%+v", r)
		}
		s.oneRow(t, "held", r.member("token"), r.member("token_id"))
		s.Clock.Advance(5 * time.Second)
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
	})
}

// oneRow wants exactly one live row of a label, with this id, that this token opens.
func (s *dvServer) oneRow(t testing.TB, label, token, id string) {
	t.Helper()
	digest := secret.DigestOf(token)
	const live = `SELECT count(*) FROM oauth_access_tokens WHERE device_label = $1 AND revoked_at IS NULL`
	if n := sqlInt(t, s.Server, live, label); n != 1 {
		t.Fatalf("%d live rows of %s", n, label)
	}
	if n := sqlInt(t, s.Server, live+` AND id = $2 AND token_hash = $3`, label, id, digest[:]); n != 1 {
		t.Fatalf("the live row of %s is not that of the token", label)
	}
}

// lastToken signs a label in once more and gives its token.
func (s *dvServer) lastToken(t testing.TB, label string) string {
	t.Helper()
	a := s.Poll(t, s.approved(t, label))
	wantAnswer(t, a, http.StatusOK, "")
	return a.Text(t, "token")
}

func TestManyDecidersOfOneCode(t *testing.T) {
	s := dvStart(t)
	addAccount(t, s.Server, "bob@example.com")
	bob := dvSignIn(t, s.Server, "bob@example.com")
	ids := map[string]string{}
	for _, email := range []string{apitest.OwnerEmail, "bob@example.com"} {
		ids[email] = sqlText(t, s.Server, `SELECT id FROM accounts WHERE email = $1`, email)
	}
	deciders := []struct {
		who dvPerson
		act string
	}{{s.owner, "approve"}, {bob, "approve"}, {s.owner, "deny"}}

	// race lets everybody decide at once and gives the index of the winner, or -1.
	race := func(t *testing.T, c apitest.Codes, late bool) int {
		t.Helper()
		var calls []func() dvReply
		for _, d := range deciders {
			calls = append(calls, func() dvReply { return d.who.try(d.act, c) })
		}
		if late {
			calls = append(calls, func() dvReply {
				s.Clock.Advance(2 * time.Second)
				return dvReply{status: http.StatusConflict, body: `{"code":"already_resolved"}`}
			})
		}
		winner := -1
		for i, r := range together(calls...) {
			switch {
			case r.err != nil:
				t.Fatal(r.err)
			case r.status == http.StatusOK && winner < 0:
				winner = i
			case r.status == http.StatusOK:
				t.Fatalf("both %d and %d moved the grant", winner, i)
			case r.status == http.StatusConflict && r.member("code") == "already_resolved":
			case late && r.status == http.StatusNotFound && r.member("code") == "expired_or_unknown":
			default:
				t.Fatalf("decider %d: %d %s", i, r.status, r.body)
			}
		}
		return winner
	}
	// settle polls and wants what the winner decided.
	settle := func(t *testing.T, c apitest.Codes, winner int, rows int) {
		t.Helper()
		if n := tokenRows(t, s.Server); n != rows {
			t.Fatalf("%d rows before a poll, %d were there", n, rows)
		}
		a := s.Poll(t, c)
		switch {
		case winner < 0:
			wantAnswer(t, a, http.StatusBadRequest, "expired_token")
		case deciders[winner].act == "deny":
			wantAnswer(t, a, http.StatusBadRequest, "access_denied")
		default:
			wantAnswer(t, a, http.StatusOK, "")
			if got := a.JSON(t)["account"].(map[string]any)["id"]; got != ids[deciders[winner].who.email] {
				t.Fatalf("decider %d won and %s got the token", winner, got)
			}
		}
	}
	t.Run("DF-19 DEV-07 INV-1 INV-4 two approvals and a denial", func(t *testing.T) {
		for range dvRounds(500) {
			rows, c := tokenRows(t, s.Server), s.Code(t, "x")
			winner := race(t, c, false)
			if winner < 0 {
				t.Fatal("nobody won")
			}
			settle(t, c, winner, rows)
		}
	})
	t.Run("DEV-07 INV-3 and the code expires meanwhile", func(t *testing.T) {
		for range dvRounds(300) {
			rows, c := tokenRows(t, s.Server), s.Code(t, "x")
			s.Clock.Advance(devicegrant.Lifetime - time.Second)
			settle(t, c, race(t, c, true), rows)
		}
	})
	t.Run("DEV-07 pollers ask meanwhile", func(t *testing.T) {
		for range dvRounds(200) {
			c := s.Code(t, "polled")
			replies := together(
				func() dvReply { return s.owner.try("approve", c) },
				func() dvReply { return dvPoll(s.Server, c) }, func() dvReply { return dvPoll(s.Server, c) }, func() dvReply { return dvPoll(s.Server, c) },
			)
			if replies[0].status != http.StatusOK {
				t.Fatalf("%+v", replies[0])
			}
			tokens := 0
			for _, r := range replies[1:] {
				if r.status == http.StatusOK {
					tokens++
				} else if r.status != http.StatusBadRequest {
					t.Fatalf("%+v", r)
				}
			}
			s.Clock.Advance(time.Minute - time.Second)
			if a := s.Poll(t, c); a.Status == http.StatusOK {
				tokens++
			}
			if tokens != 1 {
				t.Fatalf("%d tokens of one approval", tokens)
			}
		}
	})
}
