// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// bench is the service on stores that fail when they are told to.
type bench struct {
	*storetest.World
	*token.Service
	t      *testing.T
	faults storetest.Faults
	ada    account.Account
	grants int
	jitter time.Duration
	draws  []string // the secrets that are drawn next; then random ones
}

const life = 14 * 24 * time.Hour

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchIn(t, storetest.NewWorld(t))
}

// races runs tests of the service on each engine.
func races(t *testing.T, run func(t *testing.T, newBench func(t *testing.T) *bench)) {
	storetest.Races(t, func(t *testing.T, world func(t *testing.T) *storetest.World) {
		run(t, func(t *testing.T) *bench { t.Helper(); return newBenchIn(t, world(t)) })
	})
}

func newBenchIn(t *testing.T, w *storetest.World) *bench {
	t.Helper()
	b := &bench{World: w, t: t}
	s, err := token.New(token.Deps{
		Store: storetest.FaultyTokens(b.Tokens, &b.faults), Cache: storetest.FaultyCache(b.Bearers, &b.faults), Kinds: registry(t), Recorder: b.Recorder, Now: b.Clock.Now, TTL: life, NewSecret: b.draw,
		Jitter: func(time.Duration) time.Duration { return b.jitter },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Service, b.ada = s, b.AddActive(t, "ada@example.com")
	return b
}

func (b *bench) draw() string {
	if len(b.draws) == 0 {
		return secret.Random()
	}
	s := b.draws[0]
	b.draws = b.draws[1:]
	return s
}

func (b *bench) subject() token.Subject { return token.AccountSubject(b.ada.ID, b.ada.Email) }

// request is a grant that was claimed for the first time.
func (b *bench) request(label string) token.MintRequest {
	b.grants++
	return token.MintRequest{
		Grant: secret.DigestOf(fmt.Sprint("grant ", b.grants)), ClaimNo: 1, GrantExpires: b.Clock.Now().Add(time.Minute), Prefix: "dfoa_", Subject: b.subject(),
		ClientID: "difyctl", Label: label, ApprovedAt: b.Clock.Now().Add(-time.Second), IP: "192.0.2.1",
	}
}

func (b *bench) minted(r token.MintRequest) token.Minted {
	b.t.Helper()
	m, err := b.Mint(b.t.Context(), r)
	if err != nil {
		b.t.Fatal("mint: ", err)
	}
	return m
}

func (b *bench) resolve(m token.Minted) (token.Identity, error) {
	return b.Resolve(b.t.Context(), token.AccountKind, secret.DigestOf(m.Token.Reveal()))
}

func (b *bench) alive(m token.Minted) {
	b.t.Helper()
	if _, err := b.resolve(m); err != nil {
		b.t.Fatal("resolve: ", err)
	}
}

// dead checks that a token reads like every other bad one and why it is.
func (b *bench) dead(m token.Minted, cause token.Cause) {
	b.t.Helper()
	_, err := b.resolve(m)
	if got, _ := errors.AsType[token.Cause](err); !errors.Is(err, token.ErrInvalid) || got != cause {
		b.t.Fatalf("resolve: %v, want %v because %s", err, token.ErrInvalid, cause)
	}
}

func (b *bench) rows() int { return b.Count(b.t, `SELECT count(*) FROM oauth_access_tokens`) }

func (b *bench) unavailable(err error) {
	b.t.Helper()
	if err == nil || fault.Of(err).Kind() != fault.Unavailable {
		b.t.Fatalf("%v, want a 503", err)
	}
}

func fields(t *testing.T, e audit.Event) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(e.Fields, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestResolve(t *testing.T) {
	t.Run("a live token gives session, kind and name", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		got, err := b.resolve(m)
		if err != nil || got.SessionID != m.Session.ID || got.Kind.Prefix != "dfoa_" || got.AccountName != b.ada.Name || got.Subject != b.subject() {
			t.Fatalf("%+v, %v", got, err)
		}
	})

	t.Run("an unknown one", func(t *testing.T) {
		newBench(t).dead(token.Minted{Token: secret.New("dfoa_x")}, token.CauseUnknown)
	})

	t.Run("TK-7 it is dead in the very microsecond of its end", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.Clock.Advance(life - time.Microsecond)
		b.alive(m)
		b.Clock.Advance(time.Microsecond)
		b.dead(m, token.CauseExpired)
		b.dead(m, token.CauseRevoked) // the row is closed now, and buried
	})

	t.Run("OUT-06 an expired token is not closed without its event, and is no live one for that", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.Clock.Advance(life)
		b.faults.Plan(storetest.Fault{Method: "Tx.Append", On: 2})
		_, err := b.resolve(m)
		b.unavailable(err)
		b.dead(m, token.CauseExpired)
		if n := len(b.Recorded(t, "oauth.token_expired")); n != 1 {
			t.Fatalf("%d events", n)
		}
	})

	t.Run("TK-15 an account that is not active has no live token, and one that is active again has", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		for _, s := range []account.Status{account.Banned, account.Closed, account.Pending} {
			b.SetStatus(t, b.ada.ID, s)
			b.dead(m, token.CauseAccount)
		}
		b.SetStatus(t, b.ada.ID, account.Active)
		b.alive(m)
		b.RemoveAccount(t, b.ada.ID) // behind the back of all services: only a kill empties the cache
		b.Clock.Advance(token.LiveFor)
		b.dead(m, token.CauseAccount)
	})

	t.Run("TK-17 a prefix that contradicts its row is refused and reported", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		other := token.Kind{Prefix: "dfoe_", SubjectType: "external_sso", Scopes: []token.Scope{token.ScopeFull}}
		_, err := b.Resolve(t.Context(), other, secret.DigestOf(m.Token.Reveal()))
		if !errors.Is(err, token.ErrInvalid) {
			t.Fatal(err)
		}
		events := b.Recorded(t, "internal_state_invariant")
		if len(events) != 1 || events[0].TokenID != m.Session.ID || fields(t, events[0])["invariant"] != "prefix" {
			t.Fatalf("events %+v", events)
		}
	})

	t.Run("TK-23 INV-6 an outage is a 503 and not remembered", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.faults.Plan(storetest.Fault{Method: "ByDigest", On: 1})
		_, err := b.resolve(m)
		b.unavailable(err)
		if errors.Is(err, token.ErrInvalid) {
			t.Fatal("an outage reads like a bad token")
		}
		b.alive(m)
	})
}

func TestExpiryAtOnce(t *testing.T) { races(t, expiryAtOnce) }

func expiryAtOnce(t *testing.T, newBench func(t *testing.T) *bench) {
	t.Run("TK-8 twenty uses at once after the end write one event", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.Clock.Advance(life)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := b.Resolve(context.Background(), token.AccountKind, secret.DigestOf(m.Token.Reveal())); !errors.Is(err, token.ErrInvalid) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		events := b.Recorded(t, "oauth.token_expired")
		if len(events) != 1 || events[0].TokenID != m.Session.ID || events[0].Actor != audit.System || events[0].SubjectKey != b.subject().Key() {
			t.Fatalf("events %+v", events)
		}
	})
}

func TestEnd(t *testing.T) {
	actor := audit.Account("somebody")

	t.Run("one ends, with its event; ending it again succeeds without another", func(t *testing.T) {
		b := newBench(t)
		m, kept := b.minted(b.request("1")), b.minted(b.request("2"))
		for range 2 {
			if err := b.End(t.Context(), b.subject(), m.Session.ID, token.ReasonLogout, actor); err != nil {
				t.Fatal(err)
			}
		}
		b.dead(m, token.CauseRevoked)
		b.alive(kept)
		events := b.Recorded(t, "oauth.token_revoked")
		if len(events) != 1 || events[0].Actor != actor || events[0].TokenID != m.Session.ID || fields(t, events[0])["reason"] != "logout" {
			t.Fatalf("events %+v", events)
		}
		if s, err := b.Find(t.Context(), b.subject(), m.Session.ID); err != nil || s.ID != m.Session.ID {
			t.Fatalf("an ended session is not found: %v", err)
		}
	})

	t.Run("TOK-07 another's and an unknown session read alike, and nothing ends", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		bob := token.AccountSubject(b.AddActive(t, "bob@example.com").ID, "bob@example.com")
		for _, err := range []error{
			b.End(t.Context(), bob, m.Session.ID, token.ReasonUser, actor),
			b.End(t.Context(), b.subject(), canon.NewID(), token.ReasonUser, actor),
		} {
			if !errors.Is(err, token.ErrSessionNotFound) {
				t.Error(err)
			}
		}
		b.alive(m)
	})

	t.Run("TK-24 OUT-06 what cannot be put on record does not end", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		for _, at := range []string{"Find", "InTx", "Tx.End", "Tx.Append", "Tx.Commit"} {
			b.faults.Clear()
			b.faults.Plan(storetest.Fault{Method: at})
			b.unavailable(b.End(t.Context(), b.subject(), m.Session.ID, token.ReasonUser, actor))
			b.faults.Clear()
			b.alive(m)
		}
		if n := len(b.Recorded(t, "oauth.token_revoked")); n != 0 {
			t.Fatalf("%d events", n)
		}
	})

	t.Run("TK-27 all others end, are counted and on record, and the epoch moves", func(t *testing.T) {
		b := newBench(t)
		kept := b.minted(b.request("kept"))
		others := []token.Minted{b.minted(b.request("1")), b.minted(b.request("2"))}
		bob := token.AccountSubject(b.AddActive(t, "bob@example.com").ID, "bob@example.com")
		r := b.request("bob's")
		r.Subject = bob
		foreign := b.minted(r)

		n, err := b.EndOthers(t.Context(), b.subject(), kept.Session.ID, actor)
		if err != nil || n != 2 {
			t.Fatal(n, err)
		}
		for _, m := range others {
			b.dead(m, token.CauseRevoked)
		}
		b.alive(kept)
		b.alive(foreign)
		if got := len(b.Recorded(t, "oauth.token_revoked")); got != 2 {
			t.Errorf("%d events", got)
		}
		sum, _ := b.Epoch(t.Context(), b.subject())
		theirs, _ := b.Epoch(t.Context(), bob)
		if sum != 1 || theirs != 0 {
			t.Errorf("epochs %d and %d", sum, theirs)
		}
		if n, err := b.EndOthers(t.Context(), b.subject(), kept.Session.ID, actor); err != nil || n != 0 {
			t.Fatalf("a second time: %d, %v", n, err)
		}
		if sum, _ := b.Epoch(t.Context(), b.subject()); sum != 2 {
			t.Errorf("without a row to end the epoch stays %d: an approval given on a stolen session lives", sum)
		}
	})

	t.Run("TK-24 all others end together or none, and the epoch with them", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		for _, at := range []string{"Tx.LockEpochs", "Tx.BumpEpoch", "Tx.EndAll", "Tx.Append", "Tx.Commit"} {
			b.faults.Clear()
			b.faults.Plan(storetest.Fault{Method: at})
			_, err := b.EndOthers(t.Context(), b.subject(), "", actor)
			b.unavailable(err)
		}
		b.faults.Clear()
		b.alive(m)
		if sum, _ := b.Epoch(t.Context(), b.subject()); sum != 0 {
			t.Fatalf("epoch %d", sum)
		}
	})
}

func TestList(t *testing.T) {
	b := newBench(t)
	var ids []string
	for i := range 5 {
		b.Clock.Advance(time.Second)
		ids = append([]string{b.minted(b.request(fmt.Sprint(i))).Session.ID}, ids...)
	}
	for _, c := range []struct{ page, from, to int }{{1, 0, 2}, {2, 2, 4}, {3, 4, 5}, {4, 5, 5}} {
		list, total, err := b.List(t.Context(), b.subject(), c.page, 2)
		if err != nil || total != 5 || len(list) != c.to-c.from {
			t.Fatalf("page %d: %d of %d, %v", c.page, len(list), total, err)
		}
		for i, s := range list {
			if s.ID != ids[c.from+i] {
				t.Errorf("page %d has another session at %d", c.page, i)
			}
		}
	}
	b.faults.Plan(storetest.Fault{Method: "List"})
	_, _, err := b.List(t.Context(), b.subject(), 1, 2)
	b.unavailable(err)
}

func TestNewChecksWhatItNeeds(t *testing.T) {
	whole := newBench(t).Deps
	for name, drop := range map[string]func(*token.Deps){
		"store": func(d *token.Deps) { d.Store = nil }, "cache": func(d *token.Deps) { d.Cache = nil }, "kinds": func(d *token.Deps) { d.Kinds = nil }, "recorder": func(d *token.Deps) { d.Recorder = nil },
		"clock": func(d *token.Deps) { d.Now = nil }, "life": func(d *token.Deps) { d.TTL = 0 },
	} {
		d := whole
		drop(&d)
		if _, err := token.New(d); err == nil {
			t.Errorf("made without a %s", name)
		}
	}
}
