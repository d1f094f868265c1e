// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/sqlstore"
)

// Revisions is the contract of connection.Store for revisions.
func Revisions(t *testing.T, open OpenDurable) {
	setUp := func(t *testing.T) (a, b Durable) {
		t.Helper()
		a, b = opened(t, open)
		insert(t, a, row("one"), row("two"))
		write(t, a, func(ctx context.Context, tx connection.Tx) error {
			return errors.Join(tx.AddRecord(ctx, record("one", 1, "sealed")), tx.AddRecord(ctx, record("two", 1, "")), tx.AddRecord(ctx, record("one", 2, "")))
		})
		return a, b
	}
	read := func(t *testing.T, d Durable, id string, n int) connection.Record {
		t.Helper()
		r, err := d.Connections.Record(t.Context(), id, hash(n))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}

	t.Run("each connection numbers its own, the newest first", func(t *testing.T) {
		_, b := setUp(t)
		all, err := b.Connections.Records(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		first, second := record("one", 1, "sealed"), record("one", 2, "")
		first.Seq, second.Seq = 1, 2
		Same(t, "records", all, []connection.Record{second, first})
		if r := read(t, b, "two", 1); r.Seq != 1 || r.Sealed != "" {
			t.Error(r)
		}
	})

	t.Run("one that is not there is said so, and a hash is taken once", func(t *testing.T) {
		a, _ := setUp(t)
		for _, at := range []struct {
			id string
			n  int
		}{{"two", 2}, {"none", 1}} {
			if _, err := a.Connections.Record(t.Context(), at.id, hash(at.n)); !errors.Is(err, connection.ErrUnknownRevision) {
				t.Error(at, err)
			}
		}
		if err := a.Connections.InTx(t.Context(), func(ctx context.Context, tx connection.Tx) error { return tx.AddRecord(ctx, record("one", 1, "other")) }); err == nil {
			t.Error("a revision was replaced")
		}
		if all, err := a.Connections.Records(t.Context(), "none"); err != nil || len(all) != 0 {
			t.Error(all, err)
		}
	})

	t.Run("its marks are the newest, and change nothing else", func(t *testing.T) {
		a, b := setUp(t)
		want := read(t, b, "one", 1)
		for i, reference := range []string{"11111-11111", "22222-22222"} {
			at := After(time.Duration(i) * time.Hour)
			write(t, a, func(ctx context.Context, tx connection.Tx) error {
				return errors.Join(tx.MarkTested(ctx, "one", hash(1), "account:x", reference, at), tx.MarkForced(ctx, "one", hash(1), "because"))
			})
			want.TestedAt, want.TestedBy, want.TestedReference, want.ForcedReason = &at, "account:x", reference, "because"
			Same(t, "marked", read(t, b, "one", 1), want)
		}
		if r := read(t, b, "two", 1); r.TestedAt != nil || r.ForcedReason != "" {
			t.Error("another connection's was marked", r)
		}
	})

	t.Run("secrets are stored where there were none", func(t *testing.T) {
		a, b := setUp(t)
		write(t, a, func(ctx context.Context, tx connection.Tx) error {
			return errors.Join(tx.StoreSecrets(ctx, "one", hash(1), "other"), tx.StoreSecrets(ctx, "one", hash(2), "late"))
		})
		if first, second := read(t, b, "one", 1), read(t, b, "one", 2); first.Sealed != "sealed" || second.Sealed != "late" {
			t.Error(first.Sealed, second.Sealed)
		}
	})
}

// DomainsAndIssuers is the contract of connection.Store for what belongs to one
// connection alone.
func DomainsAndIssuers(t *testing.T, open OpenDurable) {
	owner := func(t *testing.T, d Durable, domain string) string {
		t.Helper()
		id, err := d.Connections.DomainOwner(t.Context(), domain)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}

	t.Run("a domain has one owner, and a refusal leaves the transaction as it is", func(t *testing.T) {
		a, b := opened(t, open)
		insert(t, a, row("one"), row("two"))
		write(t, a, func(ctx context.Context, tx connection.Tx) error {
			return errors.Join(tx.TakeDomain(ctx, "one", "corp.example"), tx.TakeDomain(ctx, "one", "corp.example"))
		})
		write(t, b, func(ctx context.Context, tx connection.Tx) error {
			if err := tx.TakeDomain(ctx, "two", "corp.example"); !errors.Is(err, connection.ErrDomainTaken) {
				t.Error(err)
			}
			return tx.TakeDomain(ctx, "two", "eng.corp.example")
		})
		for domain, want := range map[string]string{"corp.example": "one", "eng.corp.example": "two", "example": "", "other.example": ""} {
			if got := owner(t, b, domain); got != want {
				t.Errorf("%s belongs to %q", domain, got)
			}
		}
	})

	t.Run("a connection gives up its own domains but those to keep", func(t *testing.T) {
		a, b := opened(t, open)
		insert(t, a, row("one"), row("two"))
		write(t, a, func(ctx context.Context, tx connection.Tx) error {
			return errors.Join(tx.TakeDomain(ctx, "one", "a.example"), tx.TakeDomain(ctx, "one", "b.example"), tx.TakeDomain(ctx, "two", "c.example"))
		})
		write(t, a, func(ctx context.Context, tx connection.Tx) error {
			return tx.FreeDomains(ctx, "one", []string{"b.example", "c.example"})
		})
		for domain, want := range map[string]string{"a.example": "", "b.example": "one", "c.example": "two"} {
			if got := owner(t, b, domain); got != want {
				t.Errorf("%s belongs to %q", domain, got)
			}
		}
		write(t, b, func(ctx context.Context, tx connection.Tx) error { return tx.FreeDomains(ctx, "one", nil) })
		if got := owner(t, a, "b.example"); got != "" {
			t.Error(got)
		}
	})

	t.Run("an issuer has an owner until it is given to another", func(t *testing.T) {
		a, b := opened(t, open)
		insert(t, a, row("one"), row("two"))
		const issuer = "https://idp.example/"
		for _, want := range []string{"", "one", "two"} {
			write(t, b, func(ctx context.Context, tx connection.Tx) error {
				if want != "" {
					if err := tx.TakeIssuer(ctx, issuer, want); err != nil {
						return err
					}
				}
				for at, expected := range map[string]string{issuer: want, "https://idp.example": "", "HTTPS://idp.example/": ""} {
					if got, err := tx.IssuerOwner(ctx, at); err != nil || got != expected {
						t.Errorf("%s belongs to %q, %v", at, got, err)
					}
				}
				return nil
			})
		}
	})
}

// Outbox is the contract of connection.Store for messages to core.
func Outbox(t *testing.T, open OpenDurable) {
	entry := func(n string, at time.Time) connection.Entry {
		return connection.Entry{ID: "0198c0de-0000-7000-8000-00000000000" + n, Kind: "kind", Payload: `{"n":` + n + `}`, NextAt: at}
	}
	tell := func(t *testing.T, d Durable, entries ...connection.Entry) {
		t.Helper()
		write(t, d, func(ctx context.Context, tx connection.Tx) error {
			for _, e := range entries {
				if err := tx.Tell(ctx, e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	due := func(t *testing.T, d Durable, now time.Time, most int) []connection.Entry {
		t.Helper()
		found, err := d.Connections.Due(t.Context(), now, most)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}

	t.Run("what is due comes in order, no more than asked", func(t *testing.T) {
		a, b := opened(t, open)
		one, two, three := entry("1", After(time.Second)), entry("2", Start), entry("3", After(time.Minute))
		tell(t, a, one, two, three)
		Same(t, "before", due(t, b, After(-time.Microsecond), 9), []connection.Entry(nil))
		Same(t, "due", due(t, b, After(time.Second), 9), []connection.Entry{two, one})
		Same(t, "bounded", due(t, b, After(time.Hour), 1), []connection.Entry{two})
	})

	t.Run("of all that have read a message one has it, and it comes again", func(t *testing.T) {
		a, b := opened(t, open)
		e := entry("1", Start)
		tell(t, a, e)
		handles, won := []Durable{a, b}, 0
		for _, got := range AtOnce(contenders, func(i int) error {
			ok, err := handles[i%2].Connections.ClaimEntry(context.Background(), e, After(time.Minute))
			if err == nil && !ok {
				err = connection.ErrConflict
			}
			return err
		}) {
			if got == nil {
				won++
			} else if !errors.Is(got, connection.ErrConflict) {
				t.Error(got)
			}
		}
		if won != 1 || len(due(t, b, After(59*time.Second), 9)) != 0 {
			t.Fatalf("%d have it", won)
		}
		e.NextAt, e.Tries = After(time.Minute), 1
		Same(t, "again", due(t, b, After(time.Minute), 9), []connection.Entry{e})
	})

	t.Run("what is acknowledged is over", func(t *testing.T) {
		a, b := opened(t, open)
		e := entry("1", Start)
		tell(t, a, e)
		if err := a.Connections.Acknowledged(t.Context(), e.ID, After(time.Second)); err != nil {
			t.Fatal(err)
		}
		if ok, err := b.Connections.ClaimEntry(t.Context(), e, After(time.Hour)); ok || err != nil {
			t.Error(ok, err)
		}
		Same(t, "due", due(t, b, After(time.Hour), 9), []connection.Entry(nil))
	})

	t.Run("what was acknowledged long ago is deleted, and nothing that waits", func(t *testing.T) {
		a, b := opened(t, open)
		s := sqlstore.NewConnections(b.DB)
		waits := entry("4", Start)
		tell(t, a, entry("1", Start), entry("2", Start), entry("3", Start), waits)
		for i, id := range []string{entry("1", Start).ID, entry("2", Start).ID, entry("3", Start).ID} {
			if err := a.Connections.Acknowledged(t.Context(), id, After(time.Duration(i)*time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []int64{1, 1, 0} {
			if n, err := s.PruneOutbox(t.Context(), After(2*time.Minute), 1); err != nil || n != want {
				t.Errorf("%d deleted, want %d, %v", n, want, err)
			}
		}
		if n, err := s.PruneOutbox(t.Context(), After(time.Hour), 9); err != nil || n != 1 {
			t.Errorf("%d deleted, %v", n, err)
		}
		Same(t, "due", due(t, b, After(time.Hour), 9), []connection.Entry{waits})
	})
}
