// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Tokens is the contract of token.Store and token.Tx.
func Tokens(t *testing.T, open OpenDurable) {
	t.Run("what a session holds", func(t *testing.T) { tokenValues(t, open) })
	t.Run("lists", func(t *testing.T) { tokenLists(t, open) })
	t.Run("last use", func(t *testing.T) { tokenUses(t, open) })
	t.Run("epochs", func(t *testing.T) { tokenEpochs(t, open) })
	t.Run("login again", func(t *testing.T) { tokenUpserts(t, open) })
	t.Run("subject changed", func(t *testing.T) { tokenChanges(t, open) })
	t.Run("fence", func(t *testing.T) { tokenFences(t, open) })
	t.Run("replace", func(t *testing.T) { tokenReplaces(t, open) })
	t.Run("end", func(t *testing.T) { tokenEnds(t, open) })
	t.Run("transactions", func(t *testing.T) { tokenTransactions(t, open) })
	t.Run("contention", func(t *testing.T) { tokenContention(t, open) })
}

// device is a session with every field set that a mint sets; value tells tokens
// apart.
func device(s token.Subject, label, value string, created time.Time) token.Session {
	return token.Session{
		ID: canon.NewID(), Subject: s, ClientID: "difyctl", Label: label, Prefix: token.AccountKind.Prefix, TokenHash: digestOf(value),
		CreatedAt: created, ExpiresAt: created.Add(14 * 24 * time.Hour), ApprovedAt: created.Add(-time.Minute - time.Microsecond),
		CreatedIP: "2001:db8::1", GrantRef: digestOf("grant of " + value),
	}
}

func (d Durable) subject(t *testing.T, email string) token.Subject {
	t.Helper()
	return token.AccountSubject(d.AddActive(t, email).ID, email)
}

// inTx runs one transaction that is to succeed.
func (d Durable) inTx(t *testing.T, fn func(ctx context.Context, tx token.Tx) error) {
	t.Helper()
	if err := d.Tokens.InTx(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// upsert logs a device in and gives the id and the hash it replaced.
func (d Durable) upsert(t *testing.T, s token.Session) (id string, previous secret.Digest) {
	t.Helper()
	d.inTx(t, func(ctx context.Context, tx token.Tx) (err error) {
		id, previous, err = tx.Upsert(ctx, s)
		return err
	})
	return id, previous
}

// login is upsert for a device that is new.
func (d Durable) login(t *testing.T, s token.Session) token.Session {
	t.Helper()
	if id, previous := d.upsert(t, s); id != s.ID || !previous.IsZero() {
		t.Fatalf("a new device got the id %s, hash replaced: %t", id, !previous.IsZero())
	}
	return s
}

func (d Durable) end(t *testing.T, id string, now time.Time) (ended token.Ended, ok bool) {
	t.Helper()
	d.inTx(t, func(ctx context.Context, tx token.Tx) (err error) {
		ended, ok, err = tx.End(ctx, id, token.ReasonUser, now)
		return err
	})
	return ended, ok
}

// resolve gives the session of a digest.
func (d Durable) resolve(t *testing.T, hash secret.Digest) token.Session {
	t.Helper()
	r, err := d.Tokens.ByDigest(t.Context(), hash)
	if err != nil {
		t.Fatal("by digest: ", err)
	}
	return r.Session
}

func (d Durable) dead(t *testing.T, hashes ...secret.Digest) {
	t.Helper()
	for _, h := range hashes {
		if _, err := d.Tokens.ByDigest(t.Context(), h); !errors.Is(err, token.ErrUnknown) {
			t.Fatalf("by digest: %v, want %v", err, token.ErrUnknown)
		}
	}
}

const liveRows = `SELECT count(*) FROM oauth_access_tokens WHERE revoked_at IS NULL`

func tokenValues(t *testing.T, open OpenDurable) {
	t.Run("every field comes back as it went in, with status and name of the account", func(t *testing.T) {
		a, b := open(t)
		who := a.AddAccount(t, fullAccount("ada@example.com"))
		s := device(token.AccountSubject(who.ID, who.Email), "difyctl on “röck” 爱", "one", start)
		s.WorkspaceID = a.AddWorkspace(t, workspace.Workspace{ID: canon.NewID(), Name: "W", Status: workspace.StatusNormal, CreatedAt: start, UpdatedAt: start}).ID
		a.login(t, s)
		used := after(time.Hour + time.Microsecond)
		if err := a.Tokens.TouchUsed(t.Context(), []token.Use{{ID: s.ID, At: used, IP: "192.0.2.9"}}); err != nil {
			t.Fatal(err)
		}
		s.LastUsedAt, s.LastUsedIP = &used, "192.0.2.9"

		r, err := b.Tokens.ByDigest(t.Context(), s.TokenHash)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "resolved", r, token.Resolved{Session: s, AccountStatus: account.Active, AccountName: who.Name})
		found, live, err := b.Tokens.Find(t.Context(), s.Subject, s.ID)
		if err != nil || !live {
			t.Fatal(live, err)
		}
		same(t, "found", found, s)
		list, total, err := b.Tokens.List(t.Context(), s.Subject, start, 0, 10)
		if err != nil || total != 1 {
			t.Fatal(total, err)
		}
		same(t, "listed", list, []token.Session{s})
	})

	t.Run("what may be absent is", func(t *testing.T) {
		a, b := open(t)
		s := device(a.subject(t, "ada@example.com"), "l", "one", start)
		s.CreatedIP = ""
		a.login(t, s)
		same(t, "resolved", b.resolve(t, s.TokenHash), s)
	})

	t.Run("TK-15 the status is the account's of now, empty when it is gone", func(t *testing.T) {
		a, b := open(t)
		s := a.login(t, device(a.subject(t, "ada@example.com"), "l", "one", start))
		for _, status := range []account.Status{account.Banned, account.Closed, account.Pending, account.Active} {
			a.SetStatus(t, s.Subject.AccountID, status)
			if r, err := b.Tokens.ByDigest(t.Context(), s.TokenHash); err != nil || r.AccountStatus != status {
				t.Fatalf("status %q, %v, want %q", r.AccountStatus, err, status)
			}
		}
		a.RemoveAccount(t, s.Subject.AccountID)
		if r, err := b.Tokens.ByDigest(t.Context(), s.TokenHash); err != nil || r.AccountStatus != "" || r.AccountName != "" {
			t.Fatalf("%+v, %v", r, err)
		}
	})

	t.Run("an unknown digest, and none", func(t *testing.T) {
		a, _ := open(t)
		s := a.login(t, device(a.subject(t, "ada@example.com"), "l", "one", start))
		a.end(t, s.ID, start) // its hash is now absent
		a.dead(t, digestOf("two"), secret.Digest{}, s.TokenHash)
	})

	t.Run("a row past its expiry still resolves: that is the caller's to judge", func(t *testing.T) {
		a, b := open(t)
		s := a.login(t, device(a.subject(t, "ada@example.com"), "l", "one", after(-365*24*time.Hour)))
		same(t, "resolved", b.resolve(t, s.TokenHash), s)
	})

	t.Run("a session is found by its owner alone, when it has ended too", func(t *testing.T) {
		a, b := open(t)
		s := a.login(t, device(a.subject(t, "ada@example.com"), "l", "one", start))
		other := a.subject(t, "bob@example.com")
		external := token.Subject{Issuer: token.AccountIssuer, ID: s.Subject.ID, Email: s.Subject.Email}
		for name, c := range map[string]struct {
			who token.Subject
			id  string
		}{"somebody else": {other, s.ID}, "no account": {external, s.ID}, "unknown": {s.Subject, canon.NewID()}} {
			if _, live, err := b.Tokens.Find(t.Context(), c.who, c.id); !errors.Is(err, token.ErrSessionNotFound) || live {
				t.Errorf("%s: %v, want %v", name, err, token.ErrSessionNotFound)
			}
		}
		a.end(t, s.ID, start)
		s.TokenHash = secret.Digest{}
		got, live, err := b.Tokens.Find(t.Context(), s.Subject, s.ID)
		if err != nil || live {
			t.Fatalf("live %t, %v", live, err)
		}
		same(t, "ended", got, s)
	})
}

func tokenLists(t *testing.T, open OpenDurable) {
	t.Run("newest first, the subject's own that live, page by page under one total", func(t *testing.T) {
		a, b := open(t)
		who, other := a.subject(t, "ada@example.com"), a.subject(t, "bob@example.com")
		var want []token.Session
		for i := range 7 { // the last two are of one moment
			want = append(want, a.login(t, device(who, fmt.Sprint(i), fmt.Sprint(i), after(time.Duration(min(i, 5))*time.Second))))
		}
		for i, j := 0, len(want)-1; i < j; i, j = i+1, j-1 {
			want[i], want[j] = want[j], want[i]
		}
		a.login(t, device(other, "0", "foreign", after(time.Hour)))
		a.end(t, a.login(t, device(who, "ended", "ended", after(time.Hour))).ID, start)
		expired := a.login(t, device(who, "expired", "expired", after(-14*24*time.Hour)))
		if !expired.ExpiresAt.Equal(start) {
			t.Fatal("the case needs a row that ends now")
		}

		for _, c := range []struct{ offset, limit, from, to int }{{0, 3, 0, 3}, {3, 3, 3, 6}, {6, 3, 6, 7}, {7, 3, 7, 7}, {100, 3, 7, 7}, {0, 100, 0, 7}} {
			got, total, err := b.Tokens.List(t.Context(), who, start, c.offset, c.limit)
			if err != nil || total != 7 {
				t.Fatalf("total %d, %v", total, err)
			}
			if diff := len(got) - (c.to - c.from); diff != 0 {
				t.Fatalf("%d rows from %d, want %d", len(got), c.offset, c.to-c.from)
			}
			for i := range got {
				same(t, fmt.Sprintf("row %d from %d", i, c.offset), got[i], want[c.from+i])
			}
		}
		// A microsecond earlier the expired row lived.
		if _, total, err := b.Tokens.List(t.Context(), who, start.Add(-time.Microsecond), 0, 1); err != nil || total != 8 {
			t.Fatalf("total %d, %v", total, err)
		}
	})

	t.Run("a subject without an account owns no account's rows, nor the other way round", func(t *testing.T) {
		a, b := open(t)
		who := a.subject(t, "ada@example.com")
		a.login(t, device(who, "l", "one", start))
		external := token.Subject{Issuer: "https://idp.example.com", ID: who.ID, Email: who.Email}
		foreign := device(external, "l", "two", start)
		foreign.Prefix = "dfoe_"
		a.login(t, foreign)
		for _, c := range []struct {
			who  token.Subject
			hash secret.Digest
		}{{who, digestOf("one")}, {external, digestOf("two")}} {
			list, total, err := b.Tokens.List(t.Context(), c.who, start, 0, 10)
			if err != nil || total != 1 || len(list) != 1 || list[0].TokenHash != c.hash {
				t.Errorf("%s: total %d, %+v, %v", c.who.Issuer, total, list, err)
			}
		}
	})
}

func tokenEpochs(t *testing.T, open OpenDurable) {
	key := func(n int) string { return fmt.Sprintf("%064x", n) }
	bump := func(t *testing.T, d Durable, key string) {
		t.Helper()
		d.inTx(t, func(ctx context.Context, tx token.Tx) error { return tx.BumpEpoch(ctx, key, "test", start) })
	}
	lock := func(t *testing.T, d Durable, keys ...string) (sum int64) {
		t.Helper()
		d.inTx(t, func(ctx context.Context, tx token.Tx) (err error) {
			sum, err = tx.LockEpochs(ctx, keys, start)
			return err
		})
		return sum
	}

	t.Run("counters add up, and a key that nobody has moved counts as nought", func(t *testing.T) {
		a, b := open(t)
		if got := b.epoch(t, key(1), key(2)); got != 0 {
			t.Fatalf("sum %d", got)
		}
		bump(t, a, key(1))
		bump(t, b, key(1))
		bump(t, a, key(2))
		for _, c := range []struct {
			keys []string
			want int64
		}{{[]string{key(1)}, 2}, {[]string{key(2)}, 1}, {[]string{key(1), key(2)}, 3}, {[]string{key(1), key(9)}, 2}, {nil, 0}} {
			if got := b.epoch(t, c.keys...); got != c.want {
				t.Errorf("sum of %d keys: %d, want %d", len(c.keys), got, c.want)
			}
			if got := lock(t, b, c.keys...); got != c.want {
				t.Errorf("locked sum of %d keys: %d, want %d", len(c.keys), got, c.want)
			}
		}
	})

	t.Run("locking makes the row and moves nothing", func(t *testing.T) {
		a, b := open(t)
		lock(t, a, key(1), key(2))
		if n := b.Count(t, `SELECT count(*) FROM subject_epochs`); n != 2 || b.epoch(t, key(1), key(2)) != 0 {
			t.Fatalf("%d rows, sum %d", n, b.epoch(t, key(1), key(2)))
		}
		bump(t, a, key(1))
		if got := lock(t, b, key(1)); got != 1 {
			t.Fatalf("sum %d", got)
		}
	})

	t.Run("the newest move of several keys is told, and locking is none", func(t *testing.T) {
		a, b := open(t)
		moved := func(keys ...string) time.Time {
			t.Helper()
			_, at, err := b.Tokens.Epochs(t.Context(), keys)
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		lock(t, a, key(1), key(2), key(3))
		if at := moved(key(1), key(2), key(9)); !at.IsZero() {
			t.Fatalf("moved at %s", at)
		}
		later := start.Add(time.Hour)
		a.inTx(t, func(ctx context.Context, tx token.Tx) error {
			return errors.Join(tx.BumpEpoch(ctx, key(1), "test", later), tx.BumpEpoch(ctx, key(2), "test", start))
		})
		for _, c := range []struct {
			keys []string
			want time.Time
		}{{[]string{key(2)}, start}, {[]string{key(1), key(2), key(3)}, later}, {[]string{key(2), key(1)}, later}, {[]string{key(3)}, time.Time{}}} {
			if at := moved(c.keys...); !at.Equal(c.want) {
				t.Errorf("moved at %s, want %s", at, c.want)
			}
		}
	})

	t.Run("of a transaction that is rolled back nothing is left", func(t *testing.T) {
		a, b := open(t)
		boom := errors.New("boom")
		err := a.Tokens.InTx(t.Context(), func(ctx context.Context, tx token.Tx) error {
			return errors.Join(tx.BumpEpoch(ctx, key(1), "test", start), boom)
		})
		if !errors.Is(err, boom) || b.epoch(t, key(1)) != 0 {
			t.Fatalf("%v, epoch %d", err, b.epoch(t, key(1)))
		}
	})

	t.Run("who locks a key sees every move that was made before, or is seen by it", func(t *testing.T) {
		a, b := open(t)
		handles := []Durable{a, b}
		// Each reads under the lock and then moves: were two not serial, they would read
		// the same.
		sums := atOnce(contenders, func(i int) (sum int64) {
			err := handles[i%2].Tokens.InTx(context.Background(), func(ctx context.Context, tx token.Tx) (err error) {
				if sum, err = tx.LockEpochs(ctx, []string{key(1)}, start); err != nil {
					return err
				}
				return tx.BumpEpoch(ctx, key(1), "test", start)
			})
			if err != nil {
				t.Error(err)
			}
			return sum
		})
		seen := map[int64]bool{}
		for _, s := range sums {
			seen[s] = true
		}
		if len(seen) != contenders || b.epoch(t, key(1)) != contenders {
			t.Fatalf("%d different sums, epoch %d", len(seen), b.epoch(t, key(1)))
		}
	})
}
