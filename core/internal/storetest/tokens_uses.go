// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

func tokenUses(t *testing.T, open OpenDurable) {
	t.Run("many at once, unknown and ended ones passed over", func(t *testing.T) {
		a, b := open(t)
		who := a.subject(t, "ada@example.com")
		one, two := a.login(t, device(who, "1", "one", start)), a.login(t, device(who, "2", "two", start))
		at1, at2 := after(time.Minute), after(2*time.Minute)
		if err := a.Tokens.TouchUsed(t.Context(), []token.Use{{ID: one.ID, At: at1, IP: "192.0.2.1"}, {ID: canon.NewID(), At: at1}, {ID: two.ID, At: at2}}); err != nil {
			t.Fatal(err)
		}
		one.LastUsedAt, one.LastUsedIP, two.LastUsedAt = &at1, "192.0.2.1", &at2
		same(t, "one", b.resolve(t, one.TokenHash), one)
		same(t, "two", b.resolve(t, two.TokenHash), two)
		if err := a.Tokens.TouchUsed(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("more uses than one statement takes, each session gets its own last one", func(t *testing.T) {
		a, b := open(t)
		who := a.subject(t, "ada@example.com")
		sessions := make([]token.Session, 3)
		for i := range sessions {
			sessions[i] = a.login(t, device(who, fmt.Sprint(i), fmt.Sprint(i), start))
		}
		var uses []token.Use
		for i := range 1100 {
			u := token.Use{ID: canon.NewID(), At: after(time.Minute)}
			if i%100 == 0 {
				n := i / 100 % len(sessions)
				u = token.Use{ID: sessions[n].ID, At: after(time.Duration(2000-i) * time.Second), IP: fmt.Sprint("192.0.2.", n)}
			}
			uses = append(uses, u)
		}
		if err := a.Tokens.TouchUsed(t.Context(), uses); err != nil {
			t.Fatal(err)
		}
		for n, s := range sessions {
			at := after(time.Duration(2000-100*n) * time.Second)
			s.LastUsedAt, s.LastUsedIP = &at, fmt.Sprint("192.0.2.", n)
			same(t, "session", b.resolve(t, s.TokenHash), s)
		}
	})

	t.Run("TK-2 a use of the former token does not count for the one that replaced it", func(t *testing.T) {
		a, b := open(t)
		who := a.subject(t, "ada@example.com")
		s := a.login(t, device(who, "l", "one", start))
		again := device(who, "l", "two", after(time.Minute))
		a.upsert(t, again)
		// The use was recorded before the login and reaches the store after it.
		if err := a.Tokens.TouchUsed(t.Context(), []token.Use{{ID: s.ID, At: after(time.Minute - time.Microsecond), IP: "192.0.2.1"}}); err != nil {
			t.Fatal(err)
		}
		if got := b.resolve(t, again.TokenHash); got.LastUsedAt != nil || got.LastUsedIP != "" {
			t.Fatalf("used at %v from %s", got.LastUsedAt, got.LastUsedIP)
		}
	})

	t.Run("TK-18 of two processes that see one token in use one writes, once a minute", func(t *testing.T) {
		a, b := open(t)
		s := a.login(t, device(a.subject(t, "ada@example.com"), "l", "one", start))
		handles := []Durable{a, b}
		for i, c := range []struct{ at, want time.Duration }{
			{time.Second, time.Second}, {2 * time.Second, time.Second}, {61*time.Second - time.Microsecond, time.Second}, {61 * time.Second, 61 * time.Second},
			{70 * time.Second, 61 * time.Second}, {10 * time.Minute, 10 * time.Minute},
		} {
			if err := handles[i%2].Tokens.TouchUsed(t.Context(), []token.Use{{ID: s.ID, At: after(c.at), IP: "192.0.2.1"}}); err != nil {
				t.Fatal(err)
			}
			if got := b.resolve(t, s.TokenHash); got.LastUsedAt == nil || !got.LastUsedAt.Equal(after(c.want)) {
				t.Fatalf("after a use at %s: %v, want %s", c.at, got.LastUsedAt, after(c.want))
			}
		}
	})

	t.Run("a use that arrives late does not turn the time back", func(t *testing.T) {
		a, b := open(t)
		s := a.login(t, device(a.subject(t, "ada@example.com"), "l", "one", start))
		for _, u := range []token.Use{{ID: s.ID, At: after(time.Hour), IP: "192.0.2.1"}, {ID: s.ID, At: after(time.Minute), IP: "192.0.2.2"}} {
			if err := a.Tokens.TouchUsed(t.Context(), []token.Use{u}); err != nil {
				t.Fatal(err)
			}
		}
		if got := b.resolve(t, s.TokenHash); got.LastUsedAt == nil || !got.LastUsedAt.Equal(after(time.Hour)) || got.LastUsedIP != "192.0.2.1" {
			t.Fatalf("used at %v from %s", got.LastUsedAt, got.LastUsedIP)
		}
	})
}
