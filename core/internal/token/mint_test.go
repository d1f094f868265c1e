// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestMint(t *testing.T) {
	t.Run("TK-1 the row holds the digest of the whole token and every field of the request", func(t *testing.T) {
		b := newBench(t)
		r := b.request("difyctl on röck")
		m := b.minted(r)
		if !strings.HasPrefix(m.Token.Reveal(), "dfoa_") || len(m.Token.Reveal()) != 48 || m.Name != b.ada.Name {
			t.Fatalf("a token of %d characters for %s", len(m.Token.Reveal()), m.Name)
		}
		got, err := b.Store.ByDigest(t.Context(), secret.DigestOf(m.Token.Reveal()))
		if err != nil {
			t.Fatal(err)
		}
		s, now := got.Session, b.Clock.Now()
		if s.Subject != r.Subject || s.ClientID != r.ClientID || s.Label != r.Label || s.GrantRef != r.Grant || s.CreatedIP != r.IP || s.LastUsedAt != nil ||
			!s.CreatedAt.Equal(now) || !s.ExpiresAt.Equal(now.Add(life)) || !s.ApprovedAt.Equal(r.ApprovedAt) || s.ID != m.Session.ID {
			t.Fatalf("stored %+v", s)
		}
		events := b.Recorded(t, "oauth.token_minted")
		if len(events) != 1 {
			t.Fatalf("%d events", len(events))
		}
		own := fields(t, events[0])
		for k, v := range map[string]any{"token_id": s.ID, "subject": b.ada.ID, "subject_issuer": "dify:account", "client_id": "difyctl",
			"device_label": r.Label, "scopes": "full", "rotated": false, "approved_by": b.ada.ID} {
			if own[k] != v {
				t.Errorf("event: %s is %v, want %v", k, own[k], v)
			}
		}
		if strings.Contains(string(events[0].Fields), m.Token.Reveal()) {
			t.Error("the event holds the token")
		}
	})

	t.Run("TK-2 INV-9 login again keeps the session and kills the former token", func(t *testing.T) {
		b := newBench(t)
		first := b.minted(b.request("l"))
		b.Used(first.Session.ID, first.Session.CreatedAt, "192.0.2.9")
		if err := b.FlushUsage(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.Clock.Advance(time.Hour)
		second := b.minted(b.request("l"))
		if second.Session.ID != first.Session.ID || b.rows() != 1 {
			t.Fatalf("%d rows", b.rows())
		}
		b.dead(first, token.CauseRevoked)
		b.alive(second)
		if s, err := b.Find(t.Context(), b.subject(), second.Session.ID); err != nil || s.LastUsedAt != nil {
			t.Fatalf("used at %v, %v", s.LastUsedAt, err)
		}
		events := b.Recorded(t, "oauth.token_minted")
		if len(events) != 2 || fields(t, events[1])["rotated"] != true {
			t.Fatalf("events %+v", events)
		}
	})

	t.Run("TK-2 login again over a token that ran out unseen goes on in its session", func(t *testing.T) {
		b := newBench(t)
		first := b.minted(b.request("l"))
		b.Clock.Advance(life + 40*24*time.Hour)
		second := b.minted(b.request("l"))
		if second.Session.ID != first.Session.ID || b.rows() != 1 {
			t.Fatalf("%d rows", b.rows())
		}
		b.dead(first, token.CauseRevoked)
		b.alive(second)
		// Its end was never seen, so nothing says that it ran out; the mint says that it rotated.
		if n := len(b.Recorded(t, "oauth.token_expired")); n != 0 {
			t.Errorf("%d events of expiry", n)
		}
		if events := b.Recorded(t, "oauth.token_minted"); len(events) != 2 || fields(t, events[1])["rotated"] != true {
			t.Errorf("events %+v", events)
		}
	})

	t.Run("TK-5 a changed e-mail ends the row that bears the former one", func(t *testing.T) {
		b := newBench(t)
		first := b.minted(b.request("l"))
		if _, err := b.DB.Exec(t.Context(), `UPDATE accounts SET email = $1 WHERE id = $2`, "new@example.com", b.ada.ID); err != nil {
			t.Fatal(err)
		}
		second := b.minted(b.request("l")) // approved under the former e-mail
		if second.Session.Subject.Email != "new@example.com" {
			t.Fatalf("minted for %s", second.Session.Subject.Email)
		}
		b.dead(first, token.CauseRevoked)
		events := b.Recorded(t, "oauth.token_revoked")
		if len(events) != 1 || fields(t, events[0])["reason"] != "subject_changed" || events[0].TokenID != first.Session.ID {
			t.Fatalf("events %+v", events)
		}
	})

	t.Run("a hash that exists is drawn again, once", func(t *testing.T) {
		b := newBench(t)
		b.draws = []string{"taken", "taken", "free", "taken", "taken"}
		first, second := b.minted(b.request("1")), b.minted(b.request("2"))
		if first.Token.Reveal() != "dfoa_taken" || second.Token.Reveal() != "dfoa_free" {
			t.Fatal("drew something else")
		}
		if _, err := b.Mint(t.Context(), b.request("3")); !errors.Is(err, token.ErrHashTaken) {
			t.Fatalf("after two collisions: %v", err)
		}
		b.alive(first)
		b.alive(second)
		if b.rows() != 2 || len(b.Recorded(t, "oauth.token_minted")) != 2 {
			t.Fatalf("%d rows", b.rows())
		}
	})

	t.Run("who has lost the right is refused and nothing is written", func(t *testing.T) {
		for reason, lose := range map[string]func(*bench, *token.MintRequest){
			"epoch":           func(_ *bench, r *token.MintRequest) { r.Epoch = 1 },
			"account_banned":  func(b *bench, _ *token.MintRequest) { b.SetStatus(b.t, b.ada.ID, account.Banned) },
			"account_closed":  func(b *bench, _ *token.MintRequest) { b.SetStatus(b.t, b.ada.ID, account.Closed) },
			"account_pending": func(b *bench, _ *token.MintRequest) { b.SetStatus(b.t, b.ada.ID, account.Pending) },
			"account_deleted": func(b *bench, _ *token.MintRequest) { b.RemoveAccount(b.t, b.ada.ID) },
		} {
			b := newBench(t)
			r := b.request("l")
			lose(b, &r)
			_, err := b.Mint(t.Context(), r)
			if refused, ok := errors.AsType[*token.RefusedError](err); !ok || refused.Reason != reason {
				t.Errorf("%s: %v", reason, err)
			}
			if b.rows() != 0 || b.Count(t, `SELECT count(*) FROM grant_fences`) != 0 {
				t.Errorf("%s: something was written", reason)
			}
		}
	})

	t.Run("a subject that no kind mints for is our mistake", func(t *testing.T) {
		b := newBench(t)
		for name, change := range map[string]func(*token.MintRequest){
			"an unknown prefix":         func(r *token.MintRequest) { r.Prefix = "dfoe_" },
			"nobody's account":          func(r *token.MintRequest) { r.Subject = token.Subject{Issuer: "https://idp.example.com", ID: "x"} },
			"no prefix and no person":   func(r *token.MintRequest) { r.Prefix, r.Subject = "", token.Subject{} },
			"a prefix in another case":  func(r *token.MintRequest) { r.Prefix = "DFOA_" },
			"a prefix that is too long": func(r *token.MintRequest) { r.Prefix = "dfoa__" },
		} {
			r := b.request("l")
			change(&r)
			if _, err := b.Mint(t.Context(), r); !errors.Is(err, token.ErrPolicy) || fault.Of(err).Kind() != fault.Internal {
				t.Errorf("%s: %v", name, err)
			}
		}
		if b.faults.Total() != 0 {
			t.Error("the store was asked")
		}
	})

	t.Run("DF-23 OUT-02 a failure at any statement leaves nothing", func(t *testing.T) {
		for _, at := range append([]string{"InTx"}, storetest.Statements...) {
			b := newBench(t)
			b.faults.Plan(storetest.Fault{Method: at, On: 1})
			r := b.request("l")
			_, err := b.Mint(t.Context(), r)
			b.unavailable(err)
			if n := b.Count(t, `SELECT (SELECT count(*) FROM oauth_access_tokens) + (SELECT count(*) FROM grant_fences) + (SELECT count(*) FROM audit_events)`); n != 0 {
				t.Errorf("%s: %d rows", at, n)
			}
			b.minted(r)
		}
	})
}

func TestFences(t *testing.T) { races(t, fences) }

func fences(t *testing.T, newBench func(t *testing.T) *bench) {
	t.Run("DF-25 a claim that comes after a later one is fenced", func(t *testing.T) {
		b := newBench(t)
		r := b.request("l")
		late := r
		r.ClaimNo = 2
		m := b.minted(r)
		for _, n := range []int64{1, 2} {
			late.ClaimNo = n
			if _, err := b.Mint(t.Context(), late); !errors.Is(err, token.ErrFenced) {
				t.Fatalf("claim %d: %v", n, err)
			}
		}
		b.alive(m)
	})

	t.Run("DEV-06 INV-2 a second mint of one grant rotates what the first made", func(t *testing.T) {
		b := newBench(t)
		r := b.request("l")
		first := b.minted(r)
		r.ClaimNo = 2
		second := b.minted(r)
		if second.Session.ID != first.Session.ID || b.rows() != 1 {
			t.Fatalf("%d rows", b.rows())
		}
		b.dead(first, token.CauseRevoked)
		b.alive(second)
	})

	t.Run("DF-43 DEV-08 a second mint of one grant touches neither an ended session nor another login", func(t *testing.T) {
		b := newBench(t)
		r := b.request("l")
		first := b.minted(r)
		other := b.minted(b.request("l")) // another grant under the same label
		r.ClaimNo = 2
		if _, err := b.Mint(t.Context(), r); !errors.Is(err, token.ErrFenced) {
			t.Fatalf("after another login: %v", err)
		}
		b.alive(other)
		b.dead(first, token.CauseRevoked)

		q := b.request("ended")
		ended := b.minted(q)
		if err := b.End(t.Context(), b.subject(), ended.Session.ID, token.ReasonUser, audit.System); err != nil {
			t.Fatal(err)
		}
		q.ClaimNo = 2
		if _, err := b.Mint(t.Context(), q); !errors.Is(err, token.ErrFenced) {
			t.Fatalf("after an end: %v", err)
		}
		if n := b.Count(t, `SELECT count(*) FROM oauth_access_tokens WHERE revoked_at IS NULL`); n != 1 {
			t.Fatalf("%d live rows", n)
		}
	})

	t.Run("DEV-08 a mint whose commit is unknown says so, and either wrote all or nothing", func(t *testing.T) {
		for mode, rows := range map[storetest.Mode]int{storetest.Fail: 0, storetest.LoseReply: 1} {
			b := newBench(t)
			b.faults.Plan(storetest.Fault{Method: "Tx.Commit", On: 1, Mode: mode})
			r := b.request("l")
			_, err := b.Mint(t.Context(), r)
			if !errors.Is(err, token.ErrCommitUnknown) || fault.Of(err).Retry() != 15*time.Second {
				t.Fatal(err)
			}
			if b.rows() != rows || len(b.Recorded(t, "oauth.token_minted")) != rows {
				t.Fatalf("%d rows", b.rows())
			}
			r.ClaimNo = 2
			b.alive(b.minted(r))
			if b.rows() != 1 {
				t.Fatalf("%d rows", b.rows())
			}
		}
	})
}

// Only the Enterprise Edition has such people; what it mints from is here.
func TestMintForAPersonWithoutAnAccount(t *testing.T) {
	const issuer = "https://idp.example.com"
	b := newBench(t)
	kinds, err := token.NewKindRegistry(token.AccountKind, token.ExternalKind)
	if err != nil {
		t.Fatal(err)
	}
	b.Kinds = kinds
	b.AddIdentity(t, b.ada.ID, issuer, "linked")
	for _, c := range []struct{ name, id, email, refused string }{
		{"nobody else is known by it", "x", "x@example.com", ""},
		{"the e-mail is an account's by now", "y", b.ada.Email, "email_collision"},
		{"the identity is linked to an account by now", "linked", "z@example.com", "identity_linked"},
	} {
		r := b.request(c.id)
		r.Prefix, r.Subject = token.ExternalKind.Prefix, token.Subject{Issuer: issuer, ID: c.id, Email: c.email, ConnectionID: "c"}
		m, err := b.Mint(t.Context(), r)
		var reason string
		if refused, ok := errors.AsType[*token.RefusedError](err); ok {
			reason = refused.Reason
		}
		if reason != c.refused || (err == nil) != (c.refused == "") || (err == nil) != (m.Session.Subject.ID == c.id && m.Name == "") {
			t.Errorf("%s: %+v, %v", c.name, m.Session.Subject, err)
		}
	}
}

// again runs each transaction twice, as an engine does with the victim of a deadlock,
// and lets something happen in between.
type again struct {
	token.Store
	between func()
}

func (s again) InTx(ctx context.Context, fn func(ctx context.Context, tx token.Tx) error) error {
	victim := errors.New("victim")
	err := s.Store.InTx(ctx, func(ctx context.Context, tx token.Tx) error { return errors.Join(fn(ctx, tx), victim) })
	if !errors.Is(err, victim) {
		return err
	}
	s.between()
	return s.Store.InTx(ctx, fn)
}

func TestAMintThatRunsAgain(t *testing.T) {
	t.Run("OUT-06 nothing of the first run is kept", func(t *testing.T) {
		b := newBench(t)
		first := b.minted(b.request("l"))
		store := b.Store
		b.Store = again{store, func() {
			b.Store = store
			if err := b.End(t.Context(), b.subject(), first.Session.ID, token.ReasonUser, audit.System); err != nil {
				t.Error(err)
			}
		}}
		second := b.minted(b.request("l"))
		if second.Session.ID == first.Session.ID {
			t.Fatal("it took the id of the session that has ended")
		}
		b.dead(first, token.CauseRevoked)
		b.alive(second)
		if n := len(b.Recorded(t, "oauth.token_minted")); n != 2 {
			t.Fatalf("%d events", n)
		}
	})
}

func TestMintsAtOnce(t *testing.T) { races(t, mintsAtOnce) }

func mintsAtOnce(t *testing.T, newBench func(t *testing.T) *bench) {
	t.Run("TK-3 INV-9 INV-10 fifty logins of one identity and label end with one live row", func(t *testing.T) {
		b := newBench(t)
		requests := make([]token.MintRequest, 50)
		for i := range requests {
			requests[i] = b.request("l")
		}
		minted := make([]token.Minted, len(requests))
		var wg sync.WaitGroup
		for i, r := range requests {
			wg.Go(func() {
				m, err := b.Mint(context.Background(), r)
				if err != nil {
					t.Error(err)
				}
				minted[i] = m
			})
		}
		wg.Wait()
		live := 0
		for _, m := range minted {
			if m.Session.ID != minted[0].Session.ID {
				t.Fatal("two sessions")
			}
			if _, err := b.resolve(m); err == nil {
				live++
			}
		}
		if live != 1 || b.rows() != 1 {
			t.Fatalf("%d live tokens, %d rows", live, b.rows())
		}
	})

	t.Run("TK-27 a mint and an end of all others are serial: no approval of before gives a token after", func(t *testing.T) {
		b := newBench(t)
		for round := range 50 {
			epoch, err := b.Epoch(t.Context(), b.subject())
			if err != nil {
				t.Fatal(err)
			}
			r := b.request(fmt.Sprint(round))
			r.Epoch = epoch
			var mint error
			var wg sync.WaitGroup
			wg.Go(func() { _, mint = b.Mint(context.Background(), r) })
			wg.Go(func() {
				if _, err := b.EndOthers(context.Background(), b.subject(), "", audit.System); err != nil {
					t.Error(err)
				}
			})
			wg.Wait()
			if _, refused := errors.AsType[*token.RefusedError](mint); mint != nil && !refused {
				t.Fatal(mint)
			}
			if n := b.Count(t, `SELECT count(*) FROM oauth_access_tokens WHERE revoked_at IS NULL`); n != 0 {
				t.Fatalf("round %d: %d live rows after everything was ended", round, n)
			}
		}
	})
}
