// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/prune"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/jobs"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Prune is the contract of prune.Store and prune.AuditStore, with the jobs that use
// them.
func Prune(t *testing.T, open OpenDurable) {
	t.Run("tokens", func(t *testing.T) { pruneTokens(t, open) })
	t.Run("fences", func(t *testing.T) { pruneFences(t, open) })
	t.Run("browser sessions", func(t *testing.T) { pruneSessions(t, open) })
	t.Run("audit", func(t *testing.T) { pruneAudit(t, open) })
	t.Run("runs", func(t *testing.T) { pruneRuns(t, open) })
	t.Run("a cancelled context deletes nothing", func(t *testing.T) {
		a, b := open(t)
		a.overTokens(t, 1)
		a.fence(t, "one", start)
		if err := a.Audit.Append(t.Context(), event("one")); err != nil {
			t.Fatal(err)
		}
		a.begin(t, browser(a.AddActive(t, "bob@example.com").ID, "one", start))
		a.begun(t, runOf(canon.NewID(), token.Subject{Issuer: "dify:account", ID: canon.NewID()}))
		for name, remove := range map[string]func(context.Context, time.Time, int) (int64, error){
			"Tokens": a.Prune.Tokens, "Fences": a.Prune.Fences, "Sessions": a.Prune.Sessions, "Runs": a.Prune.Runs, "Events": a.AuditPrune.Events,
		} {
			if n, err := remove(cancelled(t), after(10*365*24*time.Hour), 500); n != 0 || !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %d, %v", name, n, err)
			}
		}
		for _, table := range []string{"oauth_access_tokens", "grant_fences", "audit_events", "console_sessions", "app_runs"} {
			if n := b.Count(t, `SELECT count(*) FROM `+table); n != 1 {
				t.Errorf("%s: %d rows", table, n)
			}
		}
	})
}

// keep is how long ended tokens stay in these suites.
const keep = 30 * 24 * time.Hour

// endsAt makes a session that runs out at a time.
func (d Durable) endsAt(t *testing.T, who token.Subject, label string, end time.Time) token.Session {
	t.Helper()
	s := device(who, label, label, end.Add(-14*24*time.Hour))
	return d.login(t, s)
}

// overTokens makes sessions that are over, half of them revoked, for all to see.
func (d Durable) overTokens(t *testing.T, n int) {
	t.Helper()
	who := d.subject(t, "many@example.com")
	err := d.DB.InTx(t.Context(), func(ctx context.Context, tx sqldb.Querier) error {
		for i := range n {
			s := device(who, fmt.Sprint(i), fmt.Sprint(i), start.Add(-60*24*time.Hour))
			hash, revoked := any(s.TokenHash[:]), any(nil)
			if i%2 == 1 {
				hash, revoked = nil, s.CreatedAt.Add(time.Hour)
			}
			if _, err := tx.Exec(ctx, `INSERT INTO oauth_access_tokens
				(id, subject_email, subject_issuer, subject_id, account_id, client_id, device_label, prefix, token_hash, created_at, expires_at, approved_at, grant_ref, revoked_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
				s.ID, who.Email, who.Issuer, who.ID, who.AccountID, s.ClientID, s.Label, s.Prefix, hash, s.CreatedAt, s.ExpiresAt, s.ApprovedAt, s.GrantRef[:], revoked); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// labels gives the device labels of all rows, ended ones included.
func (d Durable) labels(t *testing.T) []string {
	t.Helper()
	return d.column(t, `SELECT device_label FROM oauth_access_tokens`)
}

// column gives a query's one column, sorted.
func (d Durable) column(t *testing.T, query string) (out []string) {
	t.Helper()
	rows, err := d.DB.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func runner(d Durable, owner string, now time.Time) *jobs.Runner {
	return &jobs.Runner{Leases: d.Leases, Owner: owner, Now: func() time.Time { return now }}
}

func pruneTokens(t *testing.T, open OpenDurable) {
	t.Run("TK-19 revoked and expired a second on either side of the limit, live: exactly what is due goes, once, of two replicas", func(t *testing.T) {
		a, b := open(t)
		who := a.subject(t, "ada@example.com")
		limit := start.Add(-keep)
		for label, at := range map[string]time.Time{
			"revoked a second too long ago": limit.Add(-time.Second), "revoked a moment too long ago": limit.Add(-time.Microsecond),
			"revoked at the limit": limit, "revoked a second later": limit.Add(time.Second),
		} {
			a.end(t, a.endsAt(t, who, label, after(time.Hour)).ID, at)
		}
		// A revoked row is judged by its revocation: how long it would have lived is over.
		a.end(t, a.endsAt(t, who, "ran out long ago and closed just now", limit.Add(-time.Hour)).ID, after(-time.Second))
		a.end(t, a.endsAt(t, who, "revoked long ago and not run out", after(time.Hour)).ID, limit.Add(-time.Hour))
		for label, at := range map[string]time.Time{
			"expired a second too long ago": limit.Add(-time.Second), "expired at the limit": limit, "expired a second later": limit.Add(time.Second),
			"expired just now": start, "live": after(time.Second),
		} {
			a.endsAt(t, who, label, at)
		}
		live := a.resolve(t, digestOf("live"))

		handles, now := []Durable{a, b}, func() time.Time { return start }
		total := int64(0)
		for _, n := range atOnce(2, func(i int) int64 {
			n, err := runner(handles[i], fmt.Sprint("replica ", i), start).Once(context.Background(), prune.TokensLease, prune.Tokens(handles[i].Prune, now, keep).Do)
			if err != nil && !errors.Is(err, jobs.ErrHeld) {
				t.Error(err)
			}
			return n
		}) {
			total += n
		}
		if total != 4 {
			t.Errorf("%d rows deleted by both", total)
		}
		same(t, "left", b.labels(t), []string{
			"expired a second later", "expired at the limit", "expired just now", "live",
			"ran out long ago and closed just now", "revoked a second later", "revoked at the limit",
		})
		same(t, "live", b.resolve(t, live.TokenHash), live)
		if n, err := prune.Tokens(b.Prune, now, keep).Do(t.Context()); err != nil || n != 0 {
			t.Errorf("a second time: %d, %v", n, err)
		}
	})

	t.Run("TK-19 two that delete at once share the rows, in batches", func(t *testing.T) {
		a, b := open(t)
		const many = 1203
		a.overTokens(t, many)
		kept := a.endsAt(t, a.subject(t, "ada@example.com"), "live", after(time.Hour))
		handles := []Durable{a, b}
		total := int64(0)
		for _, n := range atOnce(2, func(i int) (n int64) {
			for { // without a lease: what two holders would do
				got, err := handles[i].Prune.Tokens(context.Background(), start, 100)
				if err != nil {
					t.Error(err)
				}
				if got > 100 {
					t.Errorf("%d rows in one batch", got)
				}
				if n += got; got == 0 || err != nil {
					return n
				}
			}
		}) {
			total += n
		}
		// Rows that the other had locked at the very end are left for another time.
		rest, err := prune.Tokens(a.Prune, func() time.Time { return start.Add(keep) }, keep).Do(t.Context())
		if err != nil || total+rest != many {
			t.Errorf("%d and %d deleted of %d, %v", total, rest, many, err)
		}
		same(t, "left", b.labels(t), []string{kept.Label})
	})

	t.Run("TK-19 the job takes more than one batch, and keeps everything when it is told to", func(t *testing.T) {
		a, _ := open(t)
		a.overTokens(t, 1001)
		now := func() time.Time { return start }
		if n, err := prune.Tokens(a.Prune, now, 0).Do(t.Context()); err != nil || n != 0 {
			t.Fatalf("%d, %v", n, err)
		}
		if n, err := prune.Tokens(a.Prune, now, keep).Do(t.Context()); err != nil || n != 1001 {
			t.Fatalf("%d, %v", n, err)
		}
	})
}

func (d Durable) fence(t *testing.T, grant string, until time.Time) {
	t.Helper()
	d.inTx(t, func(ctx context.Context, tx token.Tx) error {
		_, err := tx.Fence(ctx, digestOf(grant), 1, until)
		return err
	})
}

func pruneFences(t *testing.T, open OpenDurable) {
	t.Run("those whose time is over go, whether or not ended tokens are kept", func(t *testing.T) {
		a, b := open(t)
		for grant, until := range map[string]time.Time{"over": after(-time.Microsecond), "now": start, "later": after(time.Hour)} {
			a.fence(t, grant, until)
		}
		if n, err := prune.Tokens(a.Prune, func() time.Time { return start }, 0).Do(t.Context()); err != nil || n != 1 {
			t.Fatalf("%d, %v", n, err)
		}
		over := digestOf("over")
		if n := b.Count(t, `SELECT count(*) FROM grant_fences WHERE grant_ref = $1`, over[:]); n != 0 {
			t.Error("the wrong one went")
		}
	})
}

func pruneSessions(t *testing.T, open OpenDurable) {
	t.Run("a day after their end they go; none that is alive by any clock", func(t *testing.T) {
		a, b := open(t)
		who := a.AddActive(t, "ada@example.com")
		begun := func(value string, end time.Time) console.Session {
			s := browser(who.ID, value, end.Add(-30*24*time.Hour))
			return a.begin(t, s)
		}
		begun("over", start.Add(-24*time.Hour-time.Microsecond))
		day, ended, live := begun("a day ago", start.Add(-24*time.Hour)), begun("ended", start.Add(-time.Hour)), begun("live", after(time.Hour))
		if n, err := prune.Sessions(a.Prune, func() time.Time { return start }).Do(t.Context()); err != nil || n != 1 {
			t.Fatalf("%d, %v", n, err)
		}
		same(t, "left", b.browsers(t, who.ID), []console.Session{live, ended, day})
	})
}

func pruneAudit(t *testing.T, open OpenDurable) {
	at := func(when time.Time, text string) audit.Event {
		e := event(text)
		e.At, e.ID = when, canon.NewID()
		return e
	}
	t.Run("LOG-04 events from before the time go, the oldest first, and no other", func(t *testing.T) {
		a, b := open(t)
		limit := start.Add(-90 * 24 * time.Hour)
		oldest, old, edge, fresh := at(limit.Add(-time.Hour), "oldest"), at(limit.Add(-time.Microsecond), "old"), at(limit, "edge"), at(start, "fresh")
		if err := a.Audit.Append(t.Context(), old, fresh, oldest, edge); err != nil {
			t.Fatal(err)
		}
		left := func(want ...audit.Event) {
			t.Helper()
			got := b.Events(t)
			slices.SortFunc(got, func(x, y audit.Event) int { return x.At.Compare(y.At) })
			same(t, "left", got, want)
		}
		if n, err := a.AuditPrune.Events(t.Context(), limit, 1); err != nil || n != 1 {
			t.Fatalf("%d, %v", n, err)
		}
		left(old, edge, fresh)
		if n, err := prune.AuditEvents(a.AuditPrune, limit)(t.Context()); err != nil || n != 1 {
			t.Fatalf("%d, %v", n, err)
		}
		left(edge, fresh)
	})
}
