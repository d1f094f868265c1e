// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func tokenUpserts(t *testing.T, open OpenDurable) {
	t.Run("TK-2 INV-9 the same device keeps its id, and the former token is dead", func(t *testing.T) {
		a, b := open(t)
		who := a.subject(t, "ada@example.com")
		w := a.AddWorkspace(t, workspace.Workspace{ID: canon.NewID(), Name: "W", Status: workspace.StatusNormal, CreatedAt: start, UpdatedAt: start})
		first := a.login(t, device(who, "l", "one", start))
		if err := a.Tokens.TouchUsed(t.Context(), []token.Use{{ID: first.ID, At: after(time.Second), IP: "192.0.2.1"}}); err != nil {
			t.Fatal(err)
		}
		again := device(who, "l", "two", after(time.Hour))
		again.WorkspaceID, again.CreatedIP = w.ID, "192.0.2.7"
		id, previous := b.upsert(t, again)
		if id != first.ID || previous != first.TokenHash {
			t.Fatalf("id %s, want %s; previous hash fits: %t", id, first.ID, previous == first.TokenHash)
		}
		a.dead(t, first.TokenHash)
		again.ID = first.ID
		same(t, "after the second login", a.resolve(t, again.TokenHash), again)
		if n := a.Count(t, liveRows); n != 1 {
			t.Fatalf("%d live rows", n)
		}
	})

	t.Run("TK-4 another label, client or person is another row", func(t *testing.T) {
		a, b := open(t)
		who := a.subject(t, "ada@example.com")
		other := device(who, "l", "other client", start)
		other.ClientID = "difyauth"
		all := []token.Session{
			device(who, "l", "one", start), device(who, "L", "case", start), device(who, "l ", "blank", start), other,
			device(a.subject(t, "bob@example.com"), "l", "other person", start),
		}
		for _, s := range all {
			a.login(t, s)
		}
		for _, s := range all {
			same(t, "session", b.resolve(t, s.TokenHash), s)
		}
	})

	// Closing happens at a use. A device that is not used again until its login has run
	// out leaves a row that nobody closed, and its index entry must not be in the way.
	t.Run("TK-2 a row that ran out and was never closed is rotated in place", func(t *testing.T) {
		a, b := open(t)
		who := a.subject(t, "ada@example.com")
		first := a.login(t, device(who, "l", "one", after(-30*24*time.Hour)))
		again := device(who, "l", "two", start)
		id, previous := b.upsert(t, again)
		if id != first.ID || previous != first.TokenHash {
			t.Fatalf("id %s, want %s; previous hash fits: %t", id, first.ID, previous == first.TokenHash)
		}
		a.dead(t, first.TokenHash)
		again.ID = first.ID
		same(t, "after the second login", a.resolve(t, again.TokenHash), again)
		if list, total, err := a.Tokens.List(t.Context(), who, start, 0, 10); err != nil || total != 1 || len(list) != 1 {
			t.Fatalf("%d of %d live, %v", len(list), total, err)
		}
		if n, err := a.Prune.Tokens(t.Context(), start, 10); err != nil || n != 0 {
			t.Fatalf("the rotated row counts as over: %d, %v", n, err)
		}
	})

	t.Run("an ended row is not revived: the next login is a new row", func(t *testing.T) {
		a, b := open(t)
		who := a.subject(t, "ada@example.com")
		first := a.login(t, device(who, "l", "one", start))
		a.end(t, first.ID, start)
		a.login(t, device(who, "l", "two", start))
		if _, live, err := b.Tokens.Find(t.Context(), who, first.ID); err != nil || live {
			t.Fatalf("live %t, %v", live, err)
		}
	})

	t.Run("a hash that exists is refused and nothing is written", func(t *testing.T) {
		a, b := open(t)
		who := a.subject(t, "ada@example.com")
		first := a.login(t, device(who, "1", "one", start))
		second := a.login(t, device(who, "2", "two", start))
		for name, s := range map[string]token.Session{"a new row": device(who, "3", "one", start), "a rotation": device(who, "2", "one", start)} {
			err := a.Tokens.InTx(t.Context(), func(ctx context.Context, tx token.Tx) error {
				_, _, err := tx.Upsert(ctx, s)
				return err
			})
			if !errors.Is(err, token.ErrHashTaken) {
				t.Errorf("%s: %v, want %v", name, err, token.ErrHashTaken)
			}
		}
		same(t, "the first", b.resolve(t, first.TokenHash), first)
		same(t, "the second", b.resolve(t, second.TokenHash), second)
		if n := b.Count(t, liveRows); n != 2 {
			t.Fatalf("%d live rows", n)
		}
	})
}

func tokenChanges(t *testing.T, open OpenDurable) {
	ended := func(t *testing.T, d Durable, s token.Session) (out []token.Ended) {
		t.Helper()
		d.inTx(t, func(ctx context.Context, tx token.Tx) (err error) {
			out, err = tx.EndChanged(ctx, s, after(time.Minute))
			return err
		})
		slices.SortFunc(out, func(x, y token.Ended) int { return cmp.Compare(x.ID, y.ID) })
		return out
	}
	as := func(s token.Session) token.Ended {
		return token.Ended{ID: s.ID, Previous: s.TokenHash, Subject: s.Subject, ClientID: s.ClientID}
	}
	external := func(issuer, id, email, label, value string) token.Session {
		s := device(token.Subject{Issuer: issuer, ID: id, Email: email}, label, value, start)
		s.Prefix = "dfoe_"
		return s
	}
	const idp, otherIDP = "https://idp.example.com", "https://other.example.com"

	t.Run("TK-5 the same e-mail and issuer with another subject id ends every row of the former", func(t *testing.T) {
		a, b := open(t)
		var former []token.Session
		for _, label := range []string{"1", "2"} {
			former = append(former, a.login(t, external(idp, "old", "ada@example.com", label, "old "+label)))
		}
		kept := []token.Session{
			a.login(t, external(idp, "new", "ada@example.com", "kept", "same id")),
			a.login(t, external(otherIDP, "old", "ada@example.com", "1", "other issuer")),
			a.login(t, external(idp, "old", "bob@example.com", "1", "other e-mail")),
			a.login(t, device(a.subject(t, "ada@example.com"), "1", "account", start)),
		}
		want := []token.Ended{as(former[0]), as(former[1])}
		same(t, "ended", ended(t, a, external(idp, "new", "ada@example.com", "fresh", "fresh")), want)
		for _, s := range former {
			b.dead(t, s.TokenHash)
		}
		for _, s := range kept {
			same(t, "kept", b.resolve(t, s.TokenHash), s)
		}
		if n := b.Count(t, `SELECT count(*) FROM oauth_access_tokens WHERE revoke_reason = 'subject_changed' AND revoked_at = $1`, after(time.Minute)); n != 2 {
			t.Errorf("%d rows say why and when", n)
		}
		if again := ended(t, a, external(idp, "new", "ada@example.com", "fresh", "fresh")); len(again) > 0 {
			t.Errorf("ended twice: %+v", again)
		}
	})

	t.Run("TK-5 the same identity, client and label with another e-mail ends that row alone", func(t *testing.T) {
		a, b := open(t)
		former := a.login(t, external(idp, "id", "old@example.com", "l", "one"))
		otherClient := external(idp, "id", "old@example.com", "l", "two")
		otherClient.ClientID = "difyauth"
		kept := []token.Session{
			a.login(t, otherClient),
			a.login(t, external(idp, "id", "old@example.com", "other label", "three")),
			a.login(t, external(otherIDP, "id", "old@example.com", "l", "four")),
			a.login(t, external(idp, "other", "old@example.com", "l2", "five")),
		}
		same(t, "ended", ended(t, a, external(idp, "id", "new@example.com", "l", "fresh")), []token.Ended{as(former)})
		b.dead(t, former.TokenHash)
		for _, s := range kept {
			same(t, "kept", b.resolve(t, s.TokenHash), s)
		}
	})

	t.Run("an account whose e-mail has changed keeps one live row per device", func(t *testing.T) {
		a, b := open(t)
		who := a.subject(t, "old@example.com")
		former := a.login(t, device(who, "l", "one", start))
		who.Email = "new@example.com"
		fresh := device(who, "l", "two", start)
		same(t, "ended", ended(t, a, fresh), []token.Ended{as(former)})
		a.login(t, fresh)
		if n := b.Count(t, liveRows); n != 1 {
			t.Fatalf("%d live rows", n)
		}
	})
}

func tokenFences(t *testing.T, open OpenDurable) {
	fence := func(t *testing.T, d Durable, grant string, claim int64) (mints int64) {
		t.Helper()
		d.inTx(t, func(ctx context.Context, tx token.Tx) (err error) {
			mints, err = tx.Fence(ctx, digestOf(grant), claim, after(time.Hour))
			return err
		})
		return mints
	}

	t.Run("a claim passes once, and none after a later one", func(t *testing.T) {
		a, b := open(t)
		for _, c := range []struct {
			grant string
			claim int64
			want  int64
		}{
			{"one", 1, 1},
			{"one", 1, 0}, // the same claim again
			{"one", 3, 2}, // the second claim never minted
			{"one", 2, 0}, // it comes late
			{"one", 3, 0},
			{"one", 4, 3},
			{"two", 2, 1}, // another grant has a fence of its own
			{"two", 1, 0},
		} {
			d := []Durable{a, b}[c.claim%2]
			if got := fence(t, d, c.grant, c.claim); got != c.want {
				t.Fatalf("claim %d of %s: %d mints, want %d", c.claim, c.grant, got, c.want)
			}
		}
	})

	t.Run("a grant has one row, however often it minted", func(t *testing.T) {
		a, b := open(t)
		fence(t, a, "one", 1)
		fence(t, a, "one", 2)
		if n := b.Count(t, `SELECT count(*) FROM grant_fences WHERE expires_at = $1 AND claim_no = 2 AND mints = 2`, after(time.Hour)); n != 1 {
			t.Fatalf("%d such rows", n)
		}
		if n := b.Count(t, `SELECT count(*) FROM grant_fences`); n != 1 {
			t.Fatalf("%d rows", n)
		}
	})

	t.Run("a mint that is rolled back has not passed", func(t *testing.T) {
		a, b := open(t)
		boom := errors.New("boom")
		err := a.Tokens.InTx(t.Context(), func(ctx context.Context, tx token.Tx) error {
			_, err := tx.Fence(ctx, digestOf("one"), 1, after(time.Hour))
			return errors.Join(err, boom)
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		if got := fence(t, b, "one", 1); got != 1 {
			t.Fatalf("%d mints", got)
		}
	})

	t.Run("DEV-08 of many claims at once each passes at most once and the highest always", func(t *testing.T) {
		a, b := open(t)
		handles := []Durable{a, b}
		mints := atOnce(contenders, func(i int) (mints int64) {
			err := handles[i%2].Tokens.InTx(context.Background(), func(ctx context.Context, tx token.Tx) (err error) {
				mints, err = tx.Fence(ctx, digestOf("one"), int64(i+1), after(time.Hour))
				return err
			})
			if err != nil {
				t.Error(err)
			}
			return mints
		})
		seen := map[int64]int{}
		for _, m := range mints {
			seen[m]++
		}
		passed := contenders - seen[0]
		for m := int64(1); m <= int64(passed); m++ {
			if seen[m] != 1 {
				t.Fatalf("mint %d was given %d times: %v", m, seen[m], mints)
			}
		}
		if mints[contenders-1] != int64(passed) {
			t.Fatalf("the highest claim is mint %d of %d", mints[contenders-1], passed)
		}
	})
}

func tokenReplaces(t *testing.T, open OpenDurable) {
	replace := func(d Durable, s token.Session) (id string, previous secret.Digest, err error) {
		err = d.Tokens.InTx(context.Background(), func(ctx context.Context, tx token.Tx) (err error) {
			id, previous, err = tx.Replace(ctx, s)
			return err
		})
		return id, previous, err
	}

	t.Run("the row that this grant minted gets the new token", func(t *testing.T) {
		a, b := open(t)
		who := a.subject(t, "ada@example.com")
		first := a.login(t, device(who, "l", "one", start))
		used := []token.Use{{ID: first.ID, At: after(time.Second), IP: "192.0.2.1"}}
		if err := a.Tokens.TouchUsed(t.Context(), used); err != nil {
			t.Fatal(err)
		}
		again := device(who, "l", "two", after(time.Minute))
		again.GrantRef, again.CreatedIP = first.GrantRef, "192.0.2.7"
		id, previous, err := replace(b, again)
		if err != nil || id != first.ID || previous != first.TokenHash {
			t.Fatalf("id %s, want %s; previous hash fits: %t; %v", id, first.ID, previous == first.TokenHash, err)
		}
		a.dead(t, first.TokenHash)
		again.ID = first.ID
		same(t, "session", a.resolve(t, again.TokenHash), again)
	})

	t.Run("DF-43 neither another grant's login nor an ended session is touched", func(t *testing.T) {
		a, b := open(t)
		who := a.subject(t, "ada@example.com")
		late := device(who, "l", "late", after(time.Minute))
		current := a.login(t, device(who, "l", "current", start)) // of another grant
		if _, _, err := replace(b, late); !errors.Is(err, token.ErrUnknown) {
			t.Errorf("another grant's: %v, want %v", err, token.ErrUnknown)
		}
		same(t, "session", a.resolve(t, current.TokenHash), current)

		late.GrantRef = current.GrantRef
		for name, other := range map[string]func(*token.Session){
			"another label":  func(s *token.Session) { s.Label = "other" },
			"another client": func(s *token.Session) { s.ClientID = "difyauth" },
			"another person": func(s *token.Session) { s.Subject.Email = "bob@example.com" },
			"another issuer": func(s *token.Session) { s.Subject.Issuer = "https://idp.example.com" },
		} {
			s := late
			other(&s)
			if _, _, err := replace(b, s); !errors.Is(err, token.ErrUnknown) {
				t.Errorf("%s: %v, want %v", name, err, token.ErrUnknown)
			}
		}
		same(t, "session", a.resolve(t, current.TokenHash), current)

		a.end(t, current.ID, start)
		if _, _, err := replace(b, late); !errors.Is(err, token.ErrUnknown) {
			t.Errorf("an ended one: %v, want %v", err, token.ErrUnknown)
		}
		a.dead(t, late.TokenHash)
	})

	t.Run("a hash that exists is refused", func(t *testing.T) {
		a, _ := open(t)
		who := a.subject(t, "ada@example.com")
		first := a.login(t, device(who, "1", "one", start))
		a.login(t, device(who, "2", "two", start))
		again := device(who, "1", "two", start)
		again.GrantRef = first.GrantRef
		if _, _, err := replace(a, again); !errors.Is(err, token.ErrHashTaken) {
			t.Fatalf("%v, want %v", err, token.ErrHashTaken)
		}
	})
}
