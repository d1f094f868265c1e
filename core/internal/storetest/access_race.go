// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/memstore"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Tombs notes what is buried, and fails while it is told to.
type Tombs struct {
	mu     sync.Mutex
	buried []secret.Digest
	err    error
}

// Bury implements access.Tombs.
func (t *Tombs) Bury(_ context.Context, digests ...secret.Digest) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return t.err
	}
	t.buried = append(t.buried, digests...)
	return nil
}

// Fail makes every further Bury fail; nil heals it.
func (t *Tombs) Fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
}

// Taken gives what was buried since it was last asked.
func (t *Tombs) Taken() []secret.Digest {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.buried
	t.buried = nil
	return out
}

// NewAccess builds the service that ends access on a store, which may fail by plan.
func NewAccess(t *testing.T, d Durable, s access.Store, tombs access.Tombs, recorder *audit.Recorder, now func() time.Time) *access.Service {
	t.Helper()
	passwords := account.NewPasswords(8)
	sessions, err := console.New(console.Deps{
		Store: d.Console, Accounts: d.Accounts, Passwords: passwords, Recorder: recorder, Now: now,
		CSRFKey: make([]byte, secret.KeySize), Idle: 12 * time.Hour, Max: 30 * 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	service, err := access.New(access.Deps{Store: s, Accounts: d.Accounts, Passwords: passwords, Console: sessions, Tombs: tombs, Recorder: recorder, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

// replica is one process on a handle, with a clock that may be wrong.
type replica struct {
	Durable
	minter *token.Service
	access *access.Service
	tombs  *Tombs
}

func (d Durable) replica(t *testing.T, s access.Store, now time.Time) replica {
	t.Helper()
	clock := func() time.Time { return now }
	recorder, err := audit.NewRecorder(d.Audit, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := token.NewKindRegistry(token.AccountKind, token.ExternalKind)
	if err != nil {
		t.Fatal(err)
	}
	minter, err := token.New(token.Deps{Cache: memstore.NewBearers(1000), Store: d.Tokens, Kinds: kinds, Recorder: recorder, Now: clock, TTL: 14 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	tombs := &Tombs{}
	return replica{Durable: d, minter: minter, access: NewAccess(t, d, s, tombs, recorder, clock), tombs: tombs}
}

// approval is a claimed grant of a subject, approved now.
func (r replica) approval(t *testing.T, s token.Subject, grant string) token.MintRequest {
	t.Helper()
	epoch, err := r.minter.Epoch(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	prefix := token.AccountKind.Prefix
	if s.AccountID == "" {
		prefix = token.ExternalKind.Prefix
	}
	return token.MintRequest{
		Grant: digestOf(grant), ClaimNo: 1, GrantExpires: start.Add(time.Hour), Prefix: prefix, Subject: s, Epoch: epoch,
		ClientID: "difyctl", Label: "l", ApprovedAt: start, IP: "192.0.2.1",
	}
}

// accessRounds is how often a race is run: all rounds with ROUNDS=full, a tenth
// without, a hundredth with -short.
func accessRounds(full int) int {
	switch {
	case os.Getenv("ROUNDS") == "full":
		return full
	case testing.Short():
		return max(1, full/100)
	default:
		return max(1, full/10)
	}
}

// accessRaces mints on two replicas what was approved before, while a third act ends
// the subject's access. The clocks are half a minute apart each way: SQL gives the
// order, and no clock does.
func accessRaces(t *testing.T, open OpenDurable) {
	type round struct {
		subject token.Subject
		end     func(r replica) error
		again   bool // whether a later approval redeems
	}
	kill := func(target access.Target) func(r replica) error {
		return func(r replica) error {
			_, err := r.access.Kill(context.Background(), target, "test", audit.Operator)
			return err
		}
	}
	person := func(t *testing.T, d Durable, n int) token.Subject {
		return d.subject(t, fmt.Sprintf("ada-%d@example.com", n))
	}
	stranger := func(n int) token.Subject {
		return external(idp, fmt.Sprint("ada-", n), fmt.Sprintf("ada-%d@example.com", n), fmt.Sprint("con-", n))
	}
	for _, tc := range []struct {
		name  string
		build func(t *testing.T, d Durable, n int) round
	}{
		{name: "TK-14 an account is killed", build: func(t *testing.T, d Durable, n int) round {
			s := person(t, d, n)
			return round{s, kill(access.Target{AccountID: s.AccountID}), true}
		}},
		{name: "TK-14 an account is banned", build: func(t *testing.T, d Durable, n int) round {
			s := person(t, d, n)
			return round{s, func(r replica) error {
				_, err := r.access.SetStatus(context.Background(), s.AccountID, account.Banned, audit.Operator)
				return err
			}, false}
		}},
		{name: "TK-14 an account is killed by an identity that is linked to it", build: func(t *testing.T, d Durable, n int) round {
			s := person(t, d, n)
			d.AddIdentity(t, s.AccountID, idp, s.ID)
			return round{s, kill(access.Target{Issuer: idp, SubjectID: s.ID}), true}
		}},
		{name: "TK-30 an identity is killed", build: func(_ *testing.T, _ Durable, n int) round {
			s := stranger(n)
			return round{s, kill(access.Target{Issuer: s.Issuer, SubjectID: s.ID}), true}
		}},
		{name: "TK-30 an e-mail is killed", build: func(_ *testing.T, _ Durable, n int) round {
			s := stranger(n)
			return round{s, kill(access.Target{Issuer: s.Issuer, Email: s.Email}), true}
		}},
		{name: "TK-30 a connection is killed", build: func(_ *testing.T, _ Durable, n int) round {
			s := stranger(n)
			return round{s, kill(access.Target{ConnectionID: s.ConnectionID}), true}
		}},
		{name: "TK-16 an account becomes active with the e-mail", build: func(t *testing.T, d Durable, n int) round {
			s := stranger(n)
			a := d.AddAccount(t, account.Account{ID: canon.NewID(), Email: s.Email, Name: "A", Status: account.Pending, CreatedAt: start, UpdatedAt: start})
			return round{s, func(r replica) error {
				_, err := r.access.SetStatus(context.Background(), a.ID, account.Active, audit.Operator)
				return err
			}, false}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := open(t)
			slow, right, fast := a.replica(t, a.Access, after(-30*time.Second)), b.replica(t, b.Access, start), a.replica(t, a.Access, after(30*time.Second))
			for n := range accessRounds(500) {
				r := tc.build(t, a, n)
				if n%2 == 0 { // a login to be rotated by the race
					if _, err := right.minter.Mint(t.Context(), right.approval(t, r.subject, fmt.Sprint("before ", n))); err != nil {
						t.Fatal(err)
					}
				}
				minters := []replica{slow, fast}
				killer := right
				if n%3 == 0 {
					minters, killer = []replica{right, slow}, fast
				}
				var requests []token.MintRequest
				for i := range minters {
					request := right.approval(t, r.subject, fmt.Sprint(n, " ", i))
					request.Label = []string{"l", "other"}[(i+n/2)%2]
					requests = append(requests, request)
				}
				for i, err := range atOnce(len(minters)+1, func(i int) error {
					if i == len(minters) {
						return r.end(killer)
					}
					_, err := minters[i].minter.Mint(context.Background(), requests[i])
					return err
				}) {
					if _, refused := errors.AsType[*token.RefusedError](err); err != nil && (i == len(minters) || !refused) {
						t.Fatalf("round %d, act %d: %v", n, i, err)
					}
				}
				const live = `SELECT count(*) FROM oauth_access_tokens WHERE revoked_at IS NULL AND subject_issuer = $1 AND subject_id = $2`
				if left := b.Count(t, live, r.subject.Issuer, r.subject.ID); left != 0 {
					t.Fatalf("round %d: %d live rows", n, left)
				}
				_, err := slow.minter.Mint(t.Context(), slow.approval(t, r.subject, fmt.Sprint("later ", n)))
				if _, refused := errors.AsType[*token.RefusedError](err); r.again != (err == nil) || err != nil && !refused {
					t.Fatalf("round %d: a later approval: %v", n, err)
				}
			}
		})
	}
}

// accessFailures lets each statement of each act fail in turn: nothing of it is left.
func accessFailures(t *testing.T, open OpenDurable) {
	const email = "ada@example.com"
	acts := map[string]struct {
		run        func(ctx context.Context, s *access.Service, who account.Account, session string) error
		statements []string
	}{
		"kill": {func(ctx context.Context, s *access.Service, _ account.Account, _ string) error {
			_, err := s.Kill(ctx, access.Target{Issuer: idp, SubjectID: "ada"}, "test", audit.Operator)
			return err
		}, []string{"Linked", "InTx", "Tx.LockEpochs", "Tx.Linked", "Tx.BumpEpoch", "Tx.EndTokens", "Tx.EndedSince", "Tx.EndBrowsers", "Tx.Account", "Tx.Append", "Tx.Commit"}},
		"ban": {func(ctx context.Context, s *access.Service, who account.Account, _ string) error {
			_, err := s.SetStatus(ctx, who.Email, account.Banned, audit.Operator)
			return err
		}, []string{"InTx", "Tx.LockEpochs", "Tx.Account", "Tx.OtherAdministrators", "Tx.SetStatus", "Tx.BumpEpoch", "Tx.EndTokens", "Tx.EndedSince", "Tx.EndBrowsers", "Tx.Append", "Tx.Commit"}},
		"one session": {func(ctx context.Context, s *access.Service, _ account.Account, session string) error {
			_, err := s.RevokeSession(ctx, session, audit.Operator)
			return err
		}, []string{"InTx", "Tx.EndToken", "Tx.Append", "Tx.Commit"}},
	}
	for name, act := range acts {
		t.Run("TK-24 OUT-06 "+name, func(t *testing.T) {
			a, b := open(t)
			admin := fullAccount(email)
			a.AddAccount(t, admin)
			spare := fullAccount("spare@example.com")
			a.AddAccount(t, spare)
			a.AddIdentity(t, admin.ID, idp, "ada")
			s := a.login(t, device(token.AccountSubject(admin.ID, email), "l", "one", start))
			browsed := a.begin(t, browser(admin.ID, "one", start))
			admin, _ = b.Accounts.ByID(t.Context(), admin.ID)
			var faults Faults
			r := a.replica(t, FaultyAccess(a.Access, &faults), after(time.Minute))
			for _, at := range act.statements {
				faults.Clear()
				faults.Plan(Fault{Method: at, On: 1})
				err := act.run(t.Context(), r.access, admin, s.ID)
				if fault.Of(err).Kind() != fault.Unavailable || faults.Calls(at) == 0 {
					t.Fatalf("%s fails: %v", at, err)
				}
				same(t, at+": the token", b.resolve(t, s.TokenHash), s)
				same(t, at+": the browsers", b.browsers(t, admin.ID), []console.Session{browsed})
				got, err := b.Accounts.ByID(t.Context(), admin.ID)
				same(t, at+": the account", got, admin)
				if n := b.Count(t, `SELECT count(*) FROM subject_epochs`); err != nil || n != 0 || len(b.Events(t)) > 0 || len(r.tombs.Taken()) > 0 {
					t.Fatalf("%s: %d epochs, events %v, %v", at, n, b.eventNames(t), err)
				}
			}
			faults.Clear()
			if err := act.run(t.Context(), r.access, admin, s.ID); err != nil {
				t.Fatal(err)
			}
			b.dead(t, s.TokenHash)
			if got := r.tombs.Taken(); !slices.Equal(got, []secret.Digest{s.TokenHash}) {
				t.Errorf("%d tombstones", len(got))
			}
		})
	}
}
