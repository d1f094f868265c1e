// SPDX-License-Identifier: Apache-2.0

package deviceauth_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/servertest"
)

// Whatever a server and a network do, Wait ends in time, with the token exactly if one
// arrived, never polls faster than it may, and blames nothing on the person that a
// server did.
func TestAHostileServer(t *testing.T) {
	const rounds = 400
	outcomes := map[string]int{}
	for seed := range uint64(rounds) {
		synctest.Test(t, func(t *testing.T) {
			draw := rand.New(rand.NewPCG(seed, 1))
			s := servertest.New()
			s.Interval = time.Duration(1+draw.IntN(10)) * time.Second
			s.ExpiresIn = time.Duration(30+draw.IntN(600)) * time.Second
			s.Decision = []string{servertest.Allow, servertest.Allow, servertest.Refuse, servertest.Nothing}[draw.IntN(4)]
			s.After = time.Duration(draw.IntN(120)) * time.Second
			s.Fault = servertest.Hostile(seed)
			c := clientOf(s)
			a, err := c.Start(t.Context(), "x")
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			interval, ends := a.Interval, a.ExpiresAt
			token, err := c.Wait(t.Context(), a)
			polls := s.Polls()
			delivered := polls[len(polls)-1].Answer == "token"
			if token != nil != delivered || token != nil && err != nil {
				t.Fatalf("seed %d: token %v, delivered %v, error %v", seed, token != nil, delivered, err)
			}
			switch {
			case err == nil:
				outcomes["token"]++
				if s.Decision != servertest.Allow || token.Access.Reveal() != s.Live()[0].Token {
					t.Fatalf("seed %d: a token that nobody allowed", seed)
				}
			case errors.Is(err, deviceauth.ErrAccessDenied):
				outcomes["refused"]++
				if s.Decision != servertest.Refuse {
					t.Fatalf("seed %d: refused, but nobody did", seed)
				}
			case errors.Is(err, deviceauth.ErrExpired):
				outcomes["ended"]++
			case errors.Is(err, deviceauth.ErrUnavailable), errors.Is(err, deviceauth.ErrRateLimited), errors.Is(err, deviceauth.ErrUnreachable):
				outcomes["gave up"]++
			default:
				t.Fatalf("seed %d: %v", seed, err)
			}
			for i, p := range polls {
				if i > 0 && p.At.Sub(polls[i-1].At) < interval {
					t.Fatalf("seed %d: poll %d came after %s, the interval is %s", seed, i, p.At.Sub(polls[i-1].At), interval)
				}
				if p.Answer == "slow_down" {
					t.Fatalf("seed %d: poll %d was too early", seed, i)
				}
			}
			if over := polls[len(polls)-1].At.Sub(ends); over > max(time.Minute, a.Interval) {
				t.Fatalf("seed %d: polled %s after the end", seed, over)
			}
		})
	}
	t.Logf("%d rounds: %v", rounds, outcomes)
	for _, o := range []string{"token", "refused", "ended", "gave up"} {
		if outcomes[o] == 0 {
			t.Errorf("no round ended as %q", o)
		}
	}
}
