// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// BearerStore is one fresh, empty store of what is known of bearers, as two processes
// hold it; a store in process is the same twice.
type BearerStore struct {
	A, B token.Cache
	// GateA and GateB count and remember in the same store.
	GateA, GateB authz.Gate
	// Age lets time pass for a store that measures the life of its entries itself; nil
	// for one that knows no clock but the times it is given.
	Age func(by time.Duration)
}

// OpenBearers gives a store.
type OpenBearers func(t *testing.T) BearerStore

// Bearers is the contract of token.Cache and authz.Gate.
func Bearers(t *testing.T, open OpenBearers) {
	t.Run("what is remembered", func(t *testing.T) { bearerValues(t, open) })
	t.Run("what outweighs what", func(t *testing.T) { bearerOrder(t, open) })
	t.Run("how long it lives", func(t *testing.T) { bearerLives(t, open) })
	t.Run("the gate", func(t *testing.T) { bearerGate(t, open) })
	t.Run("a cancelled context writes nothing", func(t *testing.T) { bearerCancelled(t, open) })
}

// bearers drives a store along a clock of its own.
type bearers struct {
	BearerStore
	t   *testing.T
	now time.Time
}

func openBearers(t *testing.T, open OpenBearers) *bearers {
	t.Helper()
	return &bearers{BearerStore: open(t), t: t, now: start}
}

func (s *bearers) pass(d time.Duration) {
	s.t.Helper()
	s.now = s.now.Add(d)
	if s.Age != nil {
		s.Age(d)
	}
}

func (s *bearers) remember(d secret.Digest, c token.Context, life time.Duration) {
	s.t.Helper()
	s.done(s.A.Remember(s.t.Context(), d, c, s.now, life))
}

func (s *bearers) unknown(d secret.Digest) {
	s.t.Helper()
	s.done(s.A.RememberUnknown(s.t.Context(), d, s.now))
}

func (s *bearers) bury(digests ...secret.Digest) {
	s.t.Helper()
	s.done(s.A.Bury(s.t.Context(), s.now, digests...))
}

func (s *bearers) forget(d secret.Digest) {
	s.t.Helper()
	s.done(s.A.Forget(s.t.Context(), d))
}

func (s *bearers) done(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// is asks the other process.
func (s *bearers) is(d secret.Digest, want token.Finding) token.Context {
	s.t.Helper()
	r, err := s.B.Get(s.t.Context(), d, s.now)
	if err != nil || r.Finding != want {
		s.t.Fatalf("at +%s: found %d and %v, want %d", s.now.Sub(start), r.Finding, err, want)
	}
	if want != token.Live && r.Context != (token.Context{}) {
		s.t.Fatalf("finding %d comes with a context", want)
	}
	return r.Context
}

// aContext is a live token of an account. n tells them apart.
func aContext(n string) token.Context {
	return token.Context{
		SessionID: "session-" + n, Subject: token.AccountSubject("account-"+n, "ada"+n+"@example.com"), AccountName: "Ada Lövelace", ClientID: "difyctl",
		Label: "difyctl on \"röck\" {}", CreatedAt: start, ExpiresAt: start.Add(14*24*time.Hour + time.Microsecond),
	}
}

var bearerA, bearerB = secret.DigestOf("a"), secret.DigestOf("b")

func bearerValues(t *testing.T, open OpenBearers) {
	t.Run("nothing is known of a token that nobody asked for", func(t *testing.T) {
		s := openBearers(t, open)
		s.is(bearerA, token.Missing)
	})

	t.Run("INV-12 a context comes back as it went in, in the other process too", func(t *testing.T) {
		s := openBearers(t, open)
		outside := token.Context{
			SessionID: "session-x", Subject: token.Subject{Issuer: "https://idp.example/", ID: "sub\x00ject", Email: "x@example.com"}, ClientID: "difyauth",
			CreatedAt: start, ExpiresAt: start.Add(time.Hour),
		}
		for d, want := range map[secret.Digest]token.Context{bearerA: aContext("a"), bearerB: outside} {
			s.remember(d, want, token.LiveFor)
			if diff := cmp.Diff(want, s.is(d, token.Live)); diff != "" {
				t.Fatal("(-want +got)", diff)
			}
		}
	})

	t.Run("what is kept aliases no buffer of the caller", func(t *testing.T) {
		s := openBearers(t, open)
		buffer := []byte("session-a")
		c := aContext("a")
		c.SessionID = unsafe.String(&buffer[0], len(buffer)) // as the texts of a request are
		s.remember(bearerA, c, token.LiveFor)
		copy(buffer, "otherwise")
		if got := s.is(bearerA, token.Live); got.SessionID != "session-a" {
			t.Fatalf("it is %q now", got.SessionID)
		}
	})
}

func bearerOrder(t *testing.T, open OpenBearers) {
	t.Run("TK-9 TOK-04 INV-11 a reader that loaded the row before a revoke does not undo its tombstone", func(t *testing.T) {
		s := openBearers(t, open)
		s.remember(bearerB, aContext("b"), token.LiveFor)
		s.bury(bearerA, bearerB) // one that nobody knew, and a positive
		for _, d := range []secret.Digest{bearerA, bearerB} {
			s.is(d, token.Buried)
			s.remember(d, aContext("a"), token.LiveFor)
			s.is(d, token.Buried)
			s.unknown(d)
			s.is(d, token.Buried)
		}
	})

	t.Run("TK-9 many readers at once", func(t *testing.T) {
		s := openBearers(t, open)
		var begun, wg sync.WaitGroup
		stop := make(chan struct{})
		begun.Add(4)
		for i := range 4 {
			cache := []token.Cache{s.A, s.B}[i%2]
			wg.Go(func() {
				for first := true; ; first = false {
					if err := cache.Remember(context.Background(), bearerA, aContext("a"), start, token.LiveFor); err != nil {
						t.Error(err)
					}
					if first {
						begun.Done()
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		begun.Wait()
		s.bury(bearerA)
		for range 50 {
			s.is(bearerA, token.Buried)
		}
		close(stop)
		wg.Wait()
		s.is(bearerA, token.Buried)
	})

	t.Run("TOK-05 an unknown token hides none that is known, and the other way round", func(t *testing.T) {
		s := openBearers(t, open)
		s.remember(bearerA, aContext("a"), token.LiveFor)
		s.unknown(bearerA)
		s.is(bearerA, token.Live)
		s.unknown(bearerB)
		s.is(bearerB, token.Unknown)
		s.remember(bearerB, aContext("b"), token.LiveFor)
		s.is(bearerB, token.Unknown)
	})

	t.Run("TK-31 an unknown that is forgotten hides no token that was minted under it", func(t *testing.T) {
		s := openBearers(t, open)
		s.unknown(bearerA)
		s.forget(bearerA)
		s.is(bearerA, token.Missing)
		s.remember(bearerA, aContext("a"), token.LiveFor)
		s.is(bearerA, token.Live)
		s.forget(bearerB)
		s.is(bearerB, token.Missing)
	})

	t.Run("many are buried at once, and none is no failure", func(t *testing.T) {
		s := openBearers(t, open)
		var all []secret.Digest
		for i := range 100 {
			all = append(all, secret.Digest{byte(i), 1})
			s.remember(all[i], aContext("a"), token.LiveFor)
		}
		s.bury()
		s.is(all[0], token.Live)
		s.bury(all...)
		for _, d := range all {
			s.is(d, token.Buried)
		}
		s.is(bearerA, token.Missing)
	})
}

// margin is what a store that reads its own clock may be late by in these tests.
const margin = 3 * time.Second

func bearerLives(t *testing.T, open OpenBearers) {
	t.Run("TK-32 a positive lives for what is left of its life and is not written when nothing is", func(t *testing.T) {
		s := openBearers(t, open)
		const read = 12 * time.Second // so long ago was its row read
		s.remember(bearerA, aContext("a"), token.LiveFor-read)
		s.remember(bearerB, aContext("b"), 0)
		s.is(bearerB, token.Missing)
		s.remember(bearerB, aContext("b"), -time.Second)
		s.is(bearerB, token.Missing)
		s.pass(token.LiveFor - read - margin)
		s.is(bearerA, token.Live)
		s.remember(bearerA, aContext("a"), token.LiveFor) // it does not live longer for it
		s.pass(margin)
		s.is(bearerA, token.Missing)
		s.remember(bearerA, aContext("a"), token.LiveFor)
		s.is(bearerA, token.Live)
	})

	t.Run("TOK-05 an unknown is forgotten after ten seconds", func(t *testing.T) {
		s := openBearers(t, open)
		s.unknown(bearerA)
		s.pass(token.UnknownFor - margin)
		s.is(bearerA, token.Unknown)
		s.unknown(bearerA)
		s.pass(margin)
		s.is(bearerA, token.Missing)
		s.remember(bearerA, aContext("a"), token.LiveFor)
		s.is(bearerA, token.Live)
	})

	t.Run("a tombstone stands longer than any positive that was read before it, and a second one renews it", func(t *testing.T) {
		s := openBearers(t, open)
		s.bury(bearerA)
		s.pass(token.BuriedFor - margin)
		s.is(bearerA, token.Buried)
		s.bury(bearerA)
		s.pass(token.BuriedFor - margin)
		s.is(bearerA, token.Buried)
		s.pass(margin)
		s.is(bearerA, token.Missing)
	})
}

func bearerGate(t *testing.T, open OpenBearers) {
	limit := ratelimit.Policy{Name: "bearer.token", Limit: 3, Window: time.Minute}
	enter := func(s *bearers, g authz.Gate, p ratelimit.Policy, d secret.Digest) (ratelimit.Result, token.Remembered) {
		s.t.Helper()
		r, found, err := g.Enter(s.t.Context(), p, d, s.now)
		s.done(err)
		return r, found
	}

	t.Run("LIM-9 a hit counts, in every process, and who is refused learns nothing", func(t *testing.T) {
		s := openBearers(t, open)
		s.remember(bearerA, aContext("a"), token.LiveFor)
		for i := range limit.Limit {
			r, found := enter(s, []authz.Gate{s.GateA, s.GateB}[i%2], limit, bearerA)
			if !r.Allowed || r.Limit != limit.Limit || r.Remaining != limit.Limit-1-i || found.Finding != token.Live || found.Context != aContext("a") {
				t.Fatalf("call %d: %+v, %+v", i+1, r, found)
			}
		}
		r, found := enter(s, s.GateB, limit, bearerA)
		if r.Allowed || r.Remaining != 0 || r.RetryAfter != 20*time.Second || found != (token.Remembered{}) {
			t.Fatalf("refused: %+v, %+v", r, found)
		}
		if r, found := enter(s, s.GateA, limit, bearerB); !r.Allowed || r.Remaining != limit.Limit-1 || found.Finding != token.Missing {
			t.Fatalf("another token: %+v, %+v", r, found)
		}
		s.now = s.now.Add(r.RetryAfter) // within the life of the entry
		if r, found := enter(s, s.GateA, limit, bearerA); !r.Allowed || found.Finding != token.Live {
			t.Fatalf("having waited: %+v, %+v", r, found)
		}
	})

	t.Run("LIM-5 a limit of nought counts nothing", func(t *testing.T) {
		s := openBearers(t, open)
		s.remember(bearerA, aContext("a"), token.LiveFor)
		for range 50 {
			if r, found := enter(s, s.GateA, ratelimit.Policy{Name: "bearer.token"}, bearerA); !r.Allowed || r.Limit != 0 || found.Finding != token.Live {
				t.Fatalf("%+v, %+v", r, found)
			}
		}
	})

	t.Run("TK-9 INV-11 what is buried is buried at the very next call of every process", func(t *testing.T) {
		s := openBearers(t, open)
		s.remember(bearerA, aContext("a"), token.LiveFor)
		s.bury(bearerA)
		s.unknown(bearerB)
		for _, g := range []authz.Gate{s.GateA, s.GateB} {
			for d, want := range map[secret.Digest]token.Finding{bearerA: token.Buried, bearerB: token.Unknown, {}: token.Missing} {
				if _, found := enter(s, g, limit, d); found != (token.Remembered{Finding: want}) {
					t.Fatalf("found %+v, want %d", found, want)
				}
			}
		}
	})
}

func bearerCancelled(t *testing.T, open OpenBearers) {
	s := openBearers(t, open)
	s.remember(bearerA, aContext("a"), token.LiveFor)
	limit := ratelimit.Policy{Name: "bearer.token", Limit: 2, Window: time.Minute}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, get := s.A.Get(ctx, bearerA, s.now)
	_, _, gate := s.GateA.Enter(ctx, limit, bearerA, s.now)
	for name, err := range map[string]error{
		"Get":             get,
		"Enter":           gate,
		"Remember":        s.A.Remember(ctx, bearerB, aContext("b"), s.now, token.LiveFor),
		"RememberUnknown": s.A.RememberUnknown(ctx, bearerB, s.now),
		"Bury":            s.A.Bury(ctx, s.now, bearerA),
		"Forget":          s.A.Forget(ctx, bearerA),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.is(bearerA, token.Live)
	s.is(bearerB, token.Missing)
	if r, _, err := s.GateA.Enter(t.Context(), limit, bearerA, s.now); err != nil || r.Remaining != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
}
