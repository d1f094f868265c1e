// SPDX-License-Identifier: Apache-2.0

package console_test

import (
	"errors"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestEnding(t *testing.T) {
	key := token.AccountSubject("x", "").Key()
	epoch := func(r *room) int64 {
		n, _, err := r.Tokens.Epochs(r.t.Context(), []string{key})
		if err != nil {
			r.t.Fatal(err)
		}
		return n
	}

	t.Run("W-12 signing out ends the session on the server, twice is no failure", func(t *testing.T) {
		r := newRoom(t)
		s, other := r.begin(console.Browser{}), r.begin(console.Browser{})
		for range 2 {
			if err := r.SignOut(t.Context(), s.Cookie); err != nil {
				t.Fatal(err)
			}
		}
		r.is(s.Cookie, console.ErrUnauthorized)
		r.is(other.Cookie, nil)
		if n := len(r.Recorded(t, "account.signed_out")); n != 1 {
			t.Fatalf("%d events", n)
		}
		if err := r.SignOut(t.Context(), secret.Text{}); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("OUT-02 a sign-out that the store did not hear of is no sign-out", func(t *testing.T) {
		for _, at := range []string{"ByDigest", "End"} {
			r := newRoom(t)
			s := r.begin(console.Browser{})
			r.sessions.Plan(storetest.Fault{Method: at})
			unavailable(t, r.SignOut(t.Context(), s.Cookie))
			r.sessions.Clear()
			r.is(s.Cookie, nil)
		}
	})

	t.Run("TK-27 ending another browser moves the epoch; a session that is not the account's own is unknown", func(t *testing.T) {
		r := newRoom(t)
		s := r.begin(console.Browser{})
		bob := r.AddActive(t, "bob@example.com")
		for _, c := range []struct {
			who account.Account
			id  string
		}{{bob, s.Session.ID}, {r.ada, canon.NewID()}} {
			if err := r.End(t.Context(), c.who, c.id, key); !errors.Is(err, console.ErrSessionNotFound) || epoch(r) != 0 {
				t.Fatalf("%v, epoch %d", err, epoch(r))
			}
		}
		if err := r.End(t.Context(), r.ada, s.Session.ID, key); err != nil || epoch(r) != 1 {
			t.Fatalf("%v, epoch %d", err, epoch(r))
		}
		r.is(s.Cookie, console.ErrUnauthorized)
	})

	t.Run("W-18 TK-27 all others end, this one stays", func(t *testing.T) {
		r := newRoom(t)
		kept := r.begin(console.Browser{})
		others := []console.Issued{r.begin(console.Browser{}), r.begin(console.Browser{Remember: true})}
		r.sessions.Plan(storetest.Fault{Method: "EndOthers", On: 1})
		_, err := r.EndOthers(t.Context(), r.ada, kept.Session.ID, key)
		unavailable(t, err)
		n, err := r.EndOthers(t.Context(), r.ada, kept.Session.ID, key)
		if err != nil || n != 2 || epoch(r) != 1 {
			t.Fatalf("%d, %v, epoch %d", n, err, epoch(r))
		}
		r.is(kept.Cookie, nil)
		for _, o := range others {
			r.is(o.Cookie, console.ErrUnauthorized)
		}
	})
}
