// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/sqlstore"
)

const metadataSource = "https://idp.example/metadata?app=1"

// document is the n-th document of a connection's address.
func document(connectionID string, n int) idpsource.Version {
	facts := idpmetadata.IdP{EntityID: "https://idp.example/" + connectionID, Redirect: fmt.Sprintf("https://idp.example/sso/%d", n), Certificates: []string{"MII=", "MIJ="}}
	return idpsource.Version{
		ID: canon.NewID(), ConnectionID: connectionID, Source: metadataSource, State: idpsource.Current, Facts: facts, Digest: facts.Digest(),
		FetchedAt: After(time.Duration(n) * time.Minute), CheckedAt: After(time.Duration(n) * time.Minute), DueAt: After(time.Duration(n)*time.Minute + time.Hour),
	}
}

// IdPSource is the contract of idpsource.Store.
func IdPSource(t *testing.T, open OpenDurable) {
	setUp := func(t *testing.T) (a, b Durable) {
		t.Helper()
		a, b = opened(t, open)
		insert(t, a, row("one"), row("two"))
		return a, b
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	is := func(t *testing.T, d Durable, connectionID string, s idpsource.State, want *idpsource.Version) {
		t.Helper()
		got, err := d.IdPSource.Find(t.Context(), connectionID, metadataSource, s)
		if want == nil {
			if !errors.Is(err, idpsource.ErrNone) {
				t.Errorf("%s: %+v, %v", s, got, err)
			}
			return
		}
		if err != nil {
			t.Errorf("%s: %v", s, err)
			return
		}
		expected := *want
		expected.State = s
		Same(t, string(s), got, expected)
	}
	states := func(t *testing.T, d Durable, connectionID string) (all []idpsource.State) {
		t.Helper()
		versions, err := d.IdPSource.All(t.Context(), connectionID, 10)
		must(t, err)
		for _, v := range versions {
			all = append(all, v.State)
		}
		return all
	}
	owner := func(t *testing.T, d Durable, issuer string) (id string) {
		t.Helper()
		write(t, d, func(ctx context.Context, tx connection.Tx) (err error) {
			id, err = tx.IssuerOwner(ctx, issuer)
			return err
		})
		return id
	}

	t.Run("every field comes back, and the first load claims its issuer", func(t *testing.T) {
		a, b := setUp(t)
		full := document("one", 1)
		full.Terms = idpmetadata.Terms{ValidUntil: After(72 * time.Hour), CacheDuration: 90 * time.Minute}
		full.ETag, full.LastModified, full.Failure = `"v1"`, "Fri, 27 Nov 2026 12:00:00 GMT", "The address did not answer."
		full.Diff = []idpmetadata.Change{{What: idpmetadata.Certificate, Kind: idpmetadata.Removed, From: "ab", Destructive: true}}
		is(t, a, "one", idpsource.Current, nil)
		must(t, a.IdPSource.Begin(t.Context(), full, event("begin")))
		is(t, b, "one", idpsource.Current, &full)
		is(t, b, "two", idpsource.Current, nil)
		if got := owner(t, b, full.Facts.EntityID); got != "one" {
			t.Errorf("the issuer belongs to %q", got)
		}
		if names, _ := b.Events(t); len(names) != 1 {
			t.Error(names)
		}
	})

	t.Run("a discovery document comes back, and claims no issuer", func(t *testing.T) {
		a, b := setUp(t)
		discovered := func(n int) idpsource.Version {
			v := document("one", n)
			v.Facts = idpmetadata.IdP{EntityID: "https://id.example"}
			v.Endpoints = &connection.OIDCEndpoints{Authorization: fmt.Sprintf("https://id.example/%d", n), Token: "https://id.example/token", Userinfo: "https://id.example/me", JWKS: "https://id.example/keys", IssuerInCallback: true}
			return v
		}
		first, held := discovered(1), discovered(2)
		must(t, a.IdPSource.Begin(t.Context(), first, event("begin")))
		is(t, b, "one", idpsource.Current, &first)
		must(t, b.IdPSource.Hold(t.Context(), first.ID, held))
		must(t, a.IdPSource.Decide(t.Context(), held.ID, true, "cli:x", Start))
		held.DecidedBy, held.DecidedAt = "cli:x", &Start
		is(t, b, "one", idpsource.Current, &held)
		if got := owner(t, b, "https://id.example"); got != "" {
			t.Errorf("the issuer belongs to %q", got)
		}
	})

	t.Run("one first load of all that begin at once stays", func(t *testing.T) {
		a, b := setUp(t)
		handles, began := []Durable{a, b}, 0
		for i, err := range AtOnce(contenders, func(i int) error {
			return handles[i%2].IdPSource.Begin(context.Background(), document("one", i), event("begin"))
		}) {
			switch {
			case err == nil:
				began++
			case !errors.Is(err, idpsource.ErrExists):
				t.Error(i, err)
			}
		}
		if names, _ := a.Events(t); began != 1 || len(names) != 1 || len(states(t, b, "one")) != 1 {
			t.Errorf("%d began, %v", began, names)
		}
	})

	t.Run("an issuer of another connection is not taken, nor that of a deleted one", func(t *testing.T) {
		a, b := setUp(t)
		gone := row("two")
		gone.DeletedAt = &Start
		theirs := document("two", 1)
		write(t, a, func(ctx context.Context, tx connection.Tx) error {
			return errors.Join(tx.TakeIssuer(ctx, theirs.Facts.EntityID, "two"), tx.Save(ctx, gone))
		})
		ours := document("one", 1)
		ours.Facts.EntityID = theirs.Facts.EntityID
		if err := b.IdPSource.Begin(t.Context(), ours, event("begin")); !errors.Is(err, connection.ErrIssuerTaken) {
			t.Error(err)
		}
		is(t, a, "one", idpsource.Current, nil)
		first := document("one", 1)
		must(t, b.IdPSource.Begin(t.Context(), first))
		held := document("one", 2)
		held.Facts.EntityID = theirs.Facts.EntityID
		held.Digest = held.Facts.Digest()
		must(t, b.IdPSource.Hold(t.Context(), first.ID, held))
		if err := a.IdPSource.Decide(t.Context(), held.ID, true, "cli:x", Start, event("accept")); !errors.Is(err, connection.ErrIssuerTaken) {
			t.Error(err)
		}
		is(t, a, "one", idpsource.Pending, &held)
		if got := owner(t, a, theirs.Facts.EntityID); got != "two" {
			t.Errorf("the issuer belongs to %q", got)
		}
		if names, _ := a.Events(t); len(names) != 0 {
			t.Error(names)
		}
	})

	t.Run("a document takes the place of the one it was compared with, and of what waits", func(t *testing.T) {
		a, b := setUp(t)
		first, second, held := document("one", 1), document("one", 3), document("one", 2)
		must(t, a.IdPSource.Begin(t.Context(), first))
		must(t, a.IdPSource.Hold(t.Context(), first.ID, held))
		must(t, b.IdPSource.Apply(t.Context(), first.ID, second, event("apply")))
		is(t, a, "one", idpsource.Current, &second)
		is(t, a, "one", idpsource.Pending, nil)
		Same(t, "states", states(t, a, "one"), []idpsource.State{idpsource.Current, idpsource.Past, idpsource.Past})
		if err := a.IdPSource.Apply(t.Context(), first.ID, document("one", 4), event("late")); !errors.Is(err, idpsource.ErrMoved) {
			t.Error(err)
		}
		is(t, b, "one", idpsource.Current, &second)
		if names, _ := b.Events(t); len(names) != 1 {
			t.Error(names)
		}
	})

	t.Run("a newer document waits in the place of the older, and may be withdrawn", func(t *testing.T) {
		a, b := setUp(t)
		first := document("one", 1)
		must(t, a.IdPSource.Begin(t.Context(), first))
		older, newer := document("one", 2), document("one", 3)
		must(t, a.IdPSource.Hold(t.Context(), first.ID, older, event("held")))
		must(t, b.IdPSource.Hold(t.Context(), first.ID, newer, event("held")))
		is(t, a, "one", idpsource.Pending, &newer)
		if err := a.IdPSource.Hold(t.Context(), older.ID, document("one", 4), event("held")); !errors.Is(err, idpsource.ErrMoved) {
			t.Error("compared with what does not serve", err)
		}
		is(t, b, "one", idpsource.Pending, &newer)
		for _, tc := range []struct {
			id   string
			want error
		}{{older.ID, idpsource.ErrMoved}, {newer.ID, nil}, {newer.ID, idpsource.ErrMoved}} {
			if err := b.IdPSource.Withdraw(t.Context(), tc.id, event("withdrawn")); !errors.Is(err, tc.want) {
				t.Error(tc.id, err)
			}
		}
		is(t, a, "one", idpsource.Pending, nil)
		if names, _ := a.Events(t); len(names) != 3 {
			t.Error(names)
		}
	})

	t.Run("one decision of all that are made at once counts", func(t *testing.T) {
		a, b := setUp(t)
		first, held := document("one", 1), document("one", 2)
		held.Facts.EntityID = "https://idp.example/new"
		held.Digest = held.Facts.Digest()
		must(t, a.IdPSource.Begin(t.Context(), first))
		must(t, a.IdPSource.Hold(t.Context(), first.ID, held))
		handles, decided := []Durable{a, b}, 0
		for i, err := range AtOnce(contenders, func(i int) error {
			return handles[i%2].IdPSource.Decide(context.Background(), held.ID, i%4 < 2, "cli:x", After(time.Hour), event("decided"))
		}) {
			switch {
			case err == nil:
				decided++
			case !errors.Is(err, idpsource.ErrMoved):
				t.Error(i, err)
			}
		}
		all := states(t, a, "one")
		accepted := slices.Equal(all, []idpsource.State{idpsource.Current, idpsource.Past})
		if names, _ := a.Events(t); decided != 1 || len(names) != 1 || !accepted && !slices.Equal(all, []idpsource.State{idpsource.Rejected, idpsource.Current}) {
			t.Errorf("%d decisions, %v, %v", decided, names, all)
		}
	})

	t.Run("what was accepted serves and has its issuer, what was rejected is known", func(t *testing.T) {
		a, b := setUp(t)
		first := document("one", 1)
		must(t, a.IdPSource.Begin(t.Context(), first))
		refused, taken := document("one", 2), document("one", 3)
		taken.Facts.EntityID = "https://idp.example/new"
		taken.Digest = taken.Facts.Digest()
		at := After(time.Hour)
		must(t, a.IdPSource.Hold(t.Context(), first.ID, refused))
		must(t, b.IdPSource.Decide(t.Context(), refused.ID, false, "cli:x", at, event("rejected")))
		for digest, want := range map[string]bool{refused.Digest: true, taken.Digest: false} {
			if got, err := a.IdPSource.Refused(t.Context(), "one", metadataSource, digest); err != nil || got != want {
				t.Error(digest, got, err)
			}
		}
		if got, err := a.IdPSource.Refused(t.Context(), "two", metadataSource, refused.Digest); err != nil || got {
			t.Error("another connection's was rejected", got, err)
		}
		must(t, a.IdPSource.Hold(t.Context(), first.ID, taken))
		must(t, b.IdPSource.Decide(t.Context(), taken.ID, true, "account:x", at, event("accepted")))
		taken.DecidedBy, taken.DecidedAt = "account:x", &at
		is(t, a, "one", idpsource.Current, &taken)
		if got := owner(t, a, "https://idp.example/new"); got != "one" {
			t.Errorf("the issuer belongs to %q", got)
		}
		if got := owner(t, a, "https://idp.example/one"); got != "one" {
			t.Errorf("the former issuer belongs to %q", got)
		}
	})

	t.Run("a try changes what serves, if it still does", func(t *testing.T) {
		a, b := setUp(t)
		v := document("one", 1)
		must(t, a.IdPSource.Begin(t.Context(), v))
		v.ETag, v.LastModified, v.CheckedAt, v.DueAt, v.Failure = `"v2"`, "yesterday", After(time.Hour), After(2*time.Hour), "why"
		v.Terms.CacheDuration, v.Facts.Certificates = time.Hour, []string{"MIJ=", "MII="}
		must(t, a.IdPSource.Checked(t.Context(), v))
		is(t, b, "one", idpsource.Current, &v)
		v.ETag, v.LastModified, v.Failure = "", "", ""
		must(t, b.IdPSource.Checked(t.Context(), v))
		is(t, a, "one", idpsource.Current, &v)
		other := v
		other.Digest, other.Failure = hash(7), "of another document"
		must(t, b.IdPSource.Checked(t.Context(), other))
		is(t, a, "one", idpsource.Current, &v)
	})

	t.Run("what is due and what waits comes in order, but of deleted connections", func(t *testing.T) {
		a, b := setUp(t)
		gone := row("gone")
		insert(t, a, gone)
		for i, id := range []string{"two", "one", "gone"} {
			first := document(id, 3-i)
			must(t, a.IdPSource.Begin(t.Context(), first))
			must(t, a.IdPSource.Hold(t.Context(), first.ID, document(id, 13-i)))
		}
		gone.DeletedAt = &Start
		write(t, a, func(ctx context.Context, tx connection.Tx) error { return tx.Save(ctx, gone) })
		ids := func(all []idpsource.Version, err error) (ids []string) {
			t.Helper()
			must(t, err)
			for _, v := range all {
				ids = append(ids, v.ConnectionID)
			}
			return ids
		}
		Same(t, "due", ids(b.IdPSource.Due(t.Context(), After(24*time.Hour), 10)), []string{"one", "two"})
		Same(t, "at most one", ids(b.IdPSource.Due(t.Context(), After(24*time.Hour), 1)), []string{"one"})
		Same(t, "due by then", ids(b.IdPSource.Due(t.Context(), After(time.Hour+2*time.Minute), 10)), []string{"one"})
		Same(t, "waiting", ids(b.IdPSource.Waiting(t.Context())), []string{"one", "two"})
	})

	t.Run("what is past is deleted, and nothing else", func(t *testing.T) {
		a, b := setUp(t)
		first := document("one", 0)
		must(t, a.IdPSource.Begin(t.Context(), first))
		for n := 1; n <= 4; n++ {
			must(t, a.IdPSource.Hold(t.Context(), first.ID, document("one", n)))
		}
		refused, err := a.IdPSource.Find(t.Context(), "one", metadataSource, idpsource.Pending)
		must(t, err)
		must(t, a.IdPSource.Decide(t.Context(), refused.ID, false, "cli:x", Start))
		must(t, a.IdPSource.Hold(t.Context(), first.ID, document("one", 5)))
		store := sqlstore.IdPSource{DB: b.DB}
		for _, want := range []int64{1, 1, 0} { // two of three are old enough
			if n, err := store.PruneMetadata(t.Context(), After(3*time.Minute), 1); err != nil || n != want {
				t.Error(n, err)
			}
		}
		Same(t, "states", states(t, a, "one"), []idpsource.State{idpsource.Pending, idpsource.Rejected, idpsource.Past, idpsource.Current})
	})

	t.Run("a cancelled context writes nothing", func(t *testing.T) {
		a, b := setUp(t)
		if err := a.IdPSource.Begin(cancelled(t), document("one", 1), event("begin")); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		is(t, b, "one", idpsource.Current, nil)
	})

	t.Run("a database of no installation takes nothing", func(t *testing.T) {
		a, _ := open(t)
		if err := a.IdPSource.Begin(t.Context(), document("one", 1)); err == nil {
			t.Error("it began")
		}
	})
}
