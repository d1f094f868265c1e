// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
)

// spKey is the n-th key of a connection; a higher one is newer.
func spKey(connectionID string, n int, s spkeys.State) spkeys.Record {
	return spkeys.Record{
		Key: spkeys.Key{
			ID: fmt.Sprintf("0198c0de-0000-7000-8000-0000000000%02x", n), ConnectionID: connectionID, State: s,
			NotAfter: After(time.Duration(n) * time.Hour), StagedAt: After(time.Duration(n) * time.Second),
		},
		CertificateDER: fmt.Sprint("certificate ", n), Sealed: fmt.Sprint("sealed ", n),
	}
}

// SPKeys is the contract of spkeys.Store.
func SPKeys(t *testing.T, open OpenDurable) {
	setUp := func(t *testing.T, keys ...spkeys.Record) (a, b Durable) {
		t.Helper()
		a, b = opened(t, open)
		insert(t, a, row("one"), row("two"))
		for _, k := range keys {
			if added, err := a.SPKeys.Add(t.Context(), k); err != nil || !added {
				t.Fatal(k.ID, added, err)
			}
		}
		return a, b
	}
	keys := func(t *testing.T, d Durable, id string) []spkeys.Record {
		t.Helper()
		all, err := d.SPKeys.Keys(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	at := func(d time.Duration) *time.Time { v := After(d); return &v }
	current, next := spKey("one", 1, spkeys.Current), spKey("one", 2, spkeys.Next)

	t.Run("every field comes back, a connection's own alone, the newest first", func(t *testing.T) {
		full := spKey("one", 4, spkeys.Retired)
		full.PromotedAt, full.RetiringAt, full.RetiredAt, full.MetadataSeenAt, full.TestedAt = at(time.Microsecond), at(time.Second), at(time.Minute), at(time.Hour), at(2*time.Hour)
		_, b := setUp(t, next, current, full, spKey("two", 3, spkeys.Current))
		Same(t, "keys", keys(t, b, "one"), []spkeys.Record{full, next, current})
		Same(t, "keys of nobody", keys(t, b, "none"), []spkeys.Record(nil))
	})

	t.Run("a connection has one current and one staged key, and any number of others", func(t *testing.T) {
		a, b := setUp(t, current, next, spKey("one", 3, spkeys.Retiring), spKey("one", 4, spkeys.Retiring), spKey("one", 5, spkeys.Retired), spKey("two", 6, spkeys.Current))
		for _, k := range []spkeys.Record{spKey("one", 7, spkeys.Current), spKey("one", 8, spkeys.Next)} {
			if added, err := b.SPKeys.Add(t.Context(), k, event("refused")); added || err != nil {
				t.Error(k.State, added, err)
			}
		}
		if names, _ := a.Events(t); len(names) != 0 || len(keys(t, a, "one")) != 5 {
			t.Error(names, len(keys(t, a, "one")))
		}
	})

	t.Run("of all that add one has it, with its event", func(t *testing.T) {
		a, b := setUp(t)
		handles, won := []Durable{a, b}, 0
		for _, added := range AtOnce(contenders, func(i int) bool {
			added, err := handles[i%2].SPKeys.Add(context.Background(), spKey("one", i, spkeys.Current), event("made"))
			if err != nil {
				t.Error(err)
			}
			return added
		}) {
			if added {
				won++
			}
		}
		if names, _ := a.Events(t); won != 1 || len(names) != 1 || len(keys(t, b, "one")) != 1 {
			t.Error(won, names, keys(t, b, "one"))
		}
	})

	t.Run("a key of no connection is refused", func(t *testing.T) {
		a, _ := setUp(t)
		if added, err := a.SPKeys.Add(t.Context(), spKey("none", 1, spkeys.Current)); added || err == nil {
			t.Error(added, err)
		}
	})

	t.Run("the staged key becomes current and the current one retiring, in one step", func(t *testing.T) {
		a, b := setUp(t, current, next, spKey("two", 3, spkeys.Current), spKey("two", 4, spkeys.Next))
		if err := a.SPKeys.Promote(t.Context(), "one", next.ID, After(time.Minute), event("promoted")); err != nil {
			t.Fatal(err)
		}
		now, former := next, current
		now.State, now.PromotedAt, former.State, former.RetiringAt = spkeys.Current, at(time.Minute), spkeys.Retiring, at(time.Minute)
		Same(t, "keys", keys(t, b, "one"), []spkeys.Record{now, former})
		Same(t, "another's", keys(t, b, "two"), []spkeys.Record{spKey("two", 4, spkeys.Next), spKey("two", 3, spkeys.Current)})
		if names, _ := a.Events(t); len(names) != 1 {
			t.Error(names)
		}
	})

	t.Run("what is not the staged key of the connection is not promoted, and nothing moves", func(t *testing.T) {
		a, b := setUp(t, current, next, spKey("one", 3, spkeys.Retiring), spKey("two", 4, spkeys.Next))
		before := keys(t, b, "one")
		for _, id := range []string{current.ID, spKey("", 3, "").ID, spKey("", 4, "").ID, spKey("", 9, "").ID} {
			if err := a.SPKeys.Promote(t.Context(), "one", id, After(time.Minute), event("refused")); !errors.Is(err, spkeys.ErrMoved) {
				t.Error(id, err)
			}
		}
		Same(t, "keys", keys(t, b, "one"), before)
		if names, _ := a.Events(t); len(names) != 0 {
			t.Error(names)
		}
	})

	t.Run("of all that promote or retire a staged key one does, and a current key is there always", func(t *testing.T) {
		a, b := setUp(t, current, next)
		handles, won := []Durable{a, b}, 0
		for _, err := range AtOnce(contenders, func(i int) error {
			s := handles[i%2].SPKeys
			if i%4 < 2 {
				return s.Promote(context.Background(), "one", next.ID, After(time.Minute), event("promoted"))
			}
			return s.Retire(context.Background(), next.ID, After(time.Minute), event("retired"))
		}) {
			if err == nil {
				won++
			} else if !errors.Is(err, spkeys.ErrMoved) {
				t.Error(err)
			}
		}
		isCurrent := func(k spkeys.Record) bool { return k.State == spkeys.Current }
		if names, _ := a.Events(t); won != 1 || len(names) != 1 || !slices.ContainsFunc(keys(t, b, "one"), isCurrent) {
			t.Error(won, names, keys(t, b, "one"))
		}
	})

	t.Run("what is staged or retiring is retired, and nothing else", func(t *testing.T) {
		retiring, retired := spKey("one", 3, spkeys.Retiring), spKey("one", 4, spkeys.Retired)
		a, b := setUp(t, current, next, retiring, retired)
		for _, k := range []spkeys.Record{current, next, retiring, retired, spKey("one", 9, "")} {
			err := a.SPKeys.Retire(t.Context(), k.ID, After(time.Minute), event("retired"))
			if ends := k.State == spkeys.Next || k.State == spkeys.Retiring; ends != (err == nil) || err != nil && !errors.Is(err, spkeys.ErrMoved) {
				t.Error(k.State, err)
			}
		}
		next := next
		next.State, next.RetiredAt, retiring.State, retiring.RetiredAt = spkeys.Retired, at(time.Minute), spkeys.Retired, at(time.Minute)
		Same(t, "keys", keys(t, b, "one"), []spkeys.Record{retired, retiring, next, current})
		if names, _ := a.Events(t); len(names) != 2 {
			t.Error(names)
		}
	})

	t.Run("marks are those of a staged key, the newest of each", func(t *testing.T) {
		a, b := setUp(t, current, next, spKey("two", 3, spkeys.Next))
		for _, k := range []spkeys.Record{current, next} {
			for _, after := range []time.Duration{time.Minute, time.Hour} {
				if err := errors.Join(a.SPKeys.Seen(t.Context(), k.ID, After(after)), a.SPKeys.Tested(t.Context(), k.ID, After(2*after))); err != nil {
					t.Fatal(err)
				}
			}
		}
		marked := next
		marked.MetadataSeenAt, marked.TestedAt = at(time.Hour), at(2*time.Hour)
		Same(t, "keys", keys(t, b, "one"), []spkeys.Record{marked, current})
		Same(t, "another's", keys(t, b, "two"), []spkeys.Record{spKey("two", 3, spkeys.Next)})
	})

	t.Run("what retires since long comes in order, no more than asked", func(t *testing.T) {
		young, old, oldest := spKey("one", 3, spkeys.Retiring), spKey("two", 4, spkeys.Retiring), spKey("one", 5, spkeys.Retiring)
		gone := spKey("one", 6, spkeys.Retired)
		young.RetiringAt, old.RetiringAt, oldest.RetiringAt, gone.RetiringAt = at(time.Hour), at(time.Minute), at(time.Second), at(time.Second)
		_, b := setUp(t, current, next, young, old, oldest, gone)
		for limit, want := range map[int][]spkeys.Record{9: {oldest, old}, 1: {oldest}} {
			got, err := b.SPKeys.RetiringBefore(t.Context(), After(time.Hour), limit)
			if err != nil {
				t.Fatal(err)
			}
			Same(t, "due", got, want)
		}
	})

	t.Run("the ends are those of current keys, of connections that are there", func(t *testing.T) {
		a, b := setUp(t, current, next, spKey("one", 3, spkeys.Retired), spKey("two", 4, spkeys.Current))
		gone := row("two")
		gone.DeletedAt = at(time.Hour)
		for _, want := range []map[string]time.Time{{"one": current.NotAfter, "two": spKey("two", 4, "").NotAfter}, {"one": current.NotAfter}} {
			got, err := b.SPKeys.Ends(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			Same(t, "ends", got, want)
			write(t, a, func(ctx context.Context, tx connection.Tx) error { return tx.Save(ctx, gone) })
		}
	})

	t.Run("a call that was given up is a failure", func(t *testing.T) {
		a, _ := setUp(t)
		if _, err := a.SPKeys.Keys(cancelled(t), "one"); err == nil {
			t.Error("no failure")
		}
	})
}
