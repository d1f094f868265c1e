// SPDX-License-Identifier: Apache-2.0

package authz_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// shelf is a registry of one app, which counts who asks.
type shelf struct {
	place   apps.Place
	err     error
	silent  bool
	asked   int
	account string // who asked last
}

func (s *shelf) Place(ctx context.Context, appID, accountID string) (*apps.Place, error) {
	s.asked, s.account = s.asked+1, accountID
	if s.silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if s.err != nil {
		return nil, s.err
	}
	if appID != s.place.App.ID {
		return nil, apps.ErrNotFound
	}
	return &s.place, nil
}

func (*shelf) Usable(context.Context, string, string, apps.Search) ([]apps.Summary, int, error) {
	return nil, 0, nil
}

func (*shelf) Permitted(context.Context, apps.Search) ([]apps.Summary, int, error) {
	return nil, 0, nil
}

// stocked is a gate with one app that everybody may use.
func stocked(t *testing.T, overrides map[limits.Name]limits.Override) (*gate, *shelf) {
	t.Helper()
	g := newGate(t, overrides)
	s := &shelf{place: apps.Place{
		App:       apps.App{ID: canon.NewID(), Status: apps.StatusNormal, APIEnabled: true, Access: apps.Public},
		Workspace: workspace.Workspace{Status: workspace.StatusNormal}, Role: workspace.Normal,
	}}
	reads, err := apps.New(s)
	if err != nil {
		t.Fatal(err)
	}
	d := g.Deps
	d.Apps = reads
	if g.BearerAuthenticator, err = authz.New(d); err != nil {
		t.Fatal(err)
	}
	return g, s
}

func (g *gate) askFor(app string, rule authz.Rule, bearer string) (*authz.Caller, error) {
	p := presented("Bearer " + bearer)
	p.App = app
	return g.Authenticate(g.t.Context(), rule, p)
}

func TestAnAppIsAskedForLast(t *testing.T) {
	rule := authz.Rule{Subjects: anybody, App: true}
	t.Run("PL-1 the subject, the scope and the route's own limit come before it", func(t *testing.T) {
		g, s := stocked(t, map[limits.Name]limits.Override{limits.AccountRead: {Limit: 1}})
		g.tokens.live = goodExternal
		for _, tc := range []struct {
			rule authz.Rule
			want error
		}{
			{authz.Rule{Subjects: accounts, App: true}, authz.ErrWrongSurface},
			{authz.Rule{Subjects: anybody, Scope: token.ScopeAppsRead, App: true}, authz.ErrInsufficientScope},
			{authz.Rule{Subjects: anybody, Scope: token.ScopeAppsRead, Or: token.ScopeWorkspaceRead, App: true}, authz.ErrInsufficientScope},
			{authz.Rule{Subjects: anybody, App: true, Extra: limits.AccountRead}, apps.ErrNotFound},
			{authz.Rule{Subjects: anybody, App: true, Extra: limits.AccountRead}, limits.ErrTooMany},
		} {
			before := s.asked
			if _, err := g.askFor(canon.NewID(), tc.rule, goodExternal); !errors.Is(err, tc.want) || (s.asked > before) != errors.Is(tc.want, apps.ErrNotFound) {
				t.Errorf("%+v: %v, asked %d times", tc.rule, err, s.asked-before)
			}
		}
	})
	t.Run("PL-3 a scope, or the other, serves", func(t *testing.T) {
		g, s := stocked(t, nil)
		g.tokens.live = goodExternal
		for _, r := range []authz.Rule{
			{Subjects: anybody, App: true, Scope: token.ScopeAppsRead, Or: token.ScopeAppsRun}, {Subjects: anybody, App: true, Scope: token.ScopeAppsRun, Or: token.ScopeAppsRead},
		} {
			if _, err := g.askFor(s.place.App.ID, r, goodExternal); err != nil {
				t.Errorf("%+v: %v", r, err)
			}
		}
	})
	t.Run("PL-3 one read finds app, workspace and role, anew for each request", func(t *testing.T) {
		g, s := stocked(t, nil)
		for i := range 3 {
			c, err := g.askFor(s.place.App.ID, rule, good)
			if err != nil || s.asked != i+1 || s.account != "ada" || c.App.App.ID != s.place.App.ID || c.App.Role != workspace.Normal {
				t.Fatalf("%+v, %v, asked %d times for %q", c.App, err, s.asked, s.account)
			}
		}
		s.place.Role = ""
		if _, err := g.askFor(s.place.App.ID, rule, good); !errors.Is(err, apps.ErrNotFound) {
			t.Error(err)
		}
	})
	t.Run("PL-4 API-3 what is no id is nobody's, and no store is asked", func(t *testing.T) {
		g, s := stocked(t, nil)
		for _, id := range []string{"", "x", "00000000-0000-0000-0000-00000000000", s.place.App.ID + "0", "{" + s.place.App.ID + "}", "' OR ''='", "\x00"} {
			if _, err := g.askFor(id, rule, good); !errors.Is(err, apps.ErrNotFound) || s.asked != 0 {
				t.Errorf("%q: %v, asked %d times", id, err, s.asked)
			}
		}
	})
}

func TestARegistryThatCannotSay(t *testing.T) {
	rule := authz.Rule{Subjects: accounts, App: true}
	t.Run("PL-9 down", func(t *testing.T) {
		g, s := stocked(t, nil)
		s.err = errors.New("connection refused")
		for range 3 {
			if _, err := g.askFor(s.place.App.ID, rule, good); !errors.Is(err, fault.ErrUnavailable) || errors.Is(err, apps.ErrNotFound) {
				t.Fatal(err)
			}
		}
		s.err = nil
		if _, err := g.askFor(s.place.App.ID, rule, good); err != nil {
			t.Error("an outage is remembered:", err)
		}
	})
	t.Run("PL-9 slower than anybody waits", func(t *testing.T) {
		g, s := stocked(t, nil)
		s.silent = true
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			p := presented("Bearer " + good)
			p.App = s.place.App.ID
			_, err := g.Authenticate(t.Context(), rule, p)
			if took := time.Since(begun); !errors.Is(err, fault.ErrUnavailable) || errors.Is(err, apps.ErrNotFound) || took > 10*time.Second {
				t.Fatalf("after %s: %v", took, err)
			}
		})
	})
}
