// SPDX-License-Identifier: Apache-2.0

package authz_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

func TestStill(t *testing.T) {
	admitted := func(t *testing.T) (*gate, *authz.Caller) {
		t.Helper()
		g := newGate(t, nil)
		g.tokens.ends = g.Clock.Now().Add(time.Hour)
		c, err := g.ask(authz.Rule{Subjects: accounts}, "Bearer "+good)
		if err != nil {
			t.Fatal(err)
		}
		return g, c
	}
	t.Run("TOK-12 good for as long as the token is, and no limit counts it", func(t *testing.T) {
		g, c := admitted(t)
		asked := g.faults.Calls("Gate.Enter")
		for range 100 {
			if err := g.Still(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		if g.faults.Calls("Gate.Enter") != asked {
			t.Fatal("counted")
		}
	})
	t.Run("TOK-12 the token has ended", func(t *testing.T) {
		g, c := admitted(t)
		g.tokens.live = unknown
		if err := g.Still(t.Context(), c); !errors.Is(err, token.ErrInvalid) {
			t.Fatal(err)
		}
	})
	t.Run("TOK-12 the token is over, also while no store answers", func(t *testing.T) {
		g, c := admitted(t)
		g.tokens.err = fault.ErrUnavailable
		if err := g.Still(t.Context(), c); !errors.Is(err, fault.ErrUnavailable) {
			t.Fatal(err)
		}
		g.Clock.Advance(time.Hour)
		if err := g.Still(t.Context(), c); !errors.Is(err, token.ErrInvalid) {
			t.Fatal(err)
		}
	})
	t.Run("TOK-12 who was never let in is not good", func(t *testing.T) {
		g, _ := admitted(t)
		if err := g.Still(t.Context(), &authz.Caller{}); !errors.Is(err, token.ErrInvalid) {
			t.Fatal(err)
		}
	})
}
