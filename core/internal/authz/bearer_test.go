// SPDX-License-Identifier: Apache-2.0

package authz_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/memstore"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// tokens knows one token and counts who asks.
type tokens struct {
	live     string
	err      error // instead of an answer
	resolved int
	used     []string
	account  string // whose the live token is; empty is ada's
	ends     time.Time
}

func (s *tokens) ResolveKnown(_ context.Context, kind token.Kind, digest secret.Digest, known token.Remembered, cached bool) (token.Identity, error) {
	s.resolved++
	if s.err != nil {
		return token.Identity{}, s.err
	}
	if digest != secret.DigestOf(s.live) {
		return token.Identity{}, token.ErrInvalid.Because(token.CauseUnknown)
	}
	who := "ada"
	if s.account != "" {
		who = s.account
	}
	return token.Identity{Context: token.Context{SessionID: "session", Subject: token.AccountSubject(who, ""), AccountName: "Ada", ExpiresAt: s.ends}, Kind: kind}, nil
}

func (s *tokens) Resolve(ctx context.Context, kind token.Kind, digest secret.Digest) (token.Identity, error) {
	return s.ResolveKnown(ctx, kind, digest, token.Remembered{}, true)
}

// Place is asked by no rule of the fuzz targets.
func (s *tokens) Place(context.Context, string, string) (workspace.Membership, error) {
	panic("asked for a workspace")
}

func (s *tokens) Used(id string, _ time.Time, ip string) { s.used = append(s.used, id+" "+ip) }

var (
	external = token.Kind{Prefix: "dfoe_", SubjectType: "external_sso", Scopes: []token.Scope{token.ScopeAppsRun}}
	anybody  = []token.SubjectType{token.SubjectAccount, external.SubjectType}
	accounts = []token.SubjectType{token.SubjectAccount}

	good         = "dfoa_" + strings.Repeat("x", 42) + "A"
	unknown      = "dfoa_" + strings.Repeat("y", 42) + "A"
	goodExternal = "dfoe_" + strings.Repeat("x", 42) + "A"
)

// gate is the authenticator on a fake registry.
type gate struct {
	*authz.BearerAuthenticator
	*storetest.World
	t      *testing.T
	tokens *tokens
	faults storetest.Faults
	spaces storetest.Faults
}

func newGate(t *testing.T, overrides map[limits.Name]limits.Override) *gate {
	t.Helper()
	g := &gate{World: storetest.NewWorld(t), t: t, tokens: &tokens{live: good}}
	kinds, err := token.NewKindRegistry(token.AccountKind, external)
	if err != nil {
		t.Fatal(err)
	}
	counters := ratelimit.NewMemory(1000)
	table, err := limits.New(limits.Deps{Store: counters, Recorder: g.Recorder, Now: g.Clock.Now, Overrides: overrides})
	if err != nil {
		t.Fatal(err)
	}
	places, err := workspace.New(storetest.FaultyWorkspaces(g.Workspaces, &g.spaces))
	if err != nil {
		t.Fatal(err)
	}
	registered, err := apps.New(sqlstore.Apps{DB: g.DB})
	if err != nil {
		t.Fatal(err)
	}
	g.BearerAuthenticator, err = authz.New(authz.Deps{Places: places, Apps: registered, Kinds: kinds, Tokens: g.tokens, Gate: storetest.FaultyGate(memstore.Gate{Counters: counters, Bearers: g.Bearers}, &g.faults), Limits: table, Recorder: g.Recorder, Now: g.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func presented(headers ...string) authz.Presented {
	return authz.Presented{Authorization: headers, Address: "192.0.2.1", IP: "192.0.2.1"}
}

func (g *gate) ask(rule authz.Rule, headers ...string) (*authz.Caller, error) {
	return g.Authenticate(g.t.Context(), rule, presented(headers...))
}

func TestBearersAreSwitchedOff(t *testing.T) {
	t.Run("DF-40 whoever asks, and before anything is counted", func(t *testing.T) {
		g := newGate(t, nil)
		g.Disabled = true
		for _, header := range []string{"Bearer " + good, "Bearer x", ""} {
			if who, err := g.ask(authz.Rule{Subjects: anybody}, header); !errors.Is(err, authz.ErrDisabled) || len(who.Limits) > 0 {
				t.Errorf("%q: %+v, %v", header, who, err)
			}
		}
	})
}

func TestTheHeader(t *testing.T) {
	for _, tc := range []struct {
		name    string
		headers []string
		want    error
	}{
		{"as it should be", []string{"Bearer " + good}, nil},
		{"the scheme in another case", []string{"bEARER " + good}, nil},
		{"none", nil, authz.ErrUnauthorized},
		{"empty", []string{""}, authz.ErrUnauthorized},
		{"the scheme alone", []string{"Bearer"}, authz.ErrUnauthorized},
		{"no token", []string{"Bearer "}, authz.ErrUnauthorized},
		{"Basic", []string{"Basic " + good}, authz.ErrUnauthorized},
		{"no scheme", []string{good}, authz.ErrUnauthorized},
		{"a longer scheme", []string{"BearerX " + good}, authz.ErrUnauthorized},
		{"twice, a good one first", []string{"Bearer " + good, "Bearer " + unknown}, authz.ErrAmbiguous},
		{"twice the same", []string{"Bearer " + good, "Bearer " + good}, authz.ErrAmbiguous},
		{"another scheme beside it", []string{"Basic x", "Bearer " + good}, authz.ErrAmbiguous},
		{"two blanks", []string{"Bearer  " + good}, token.ErrInvalid},
		{"a tab", []string{"Bearer\t" + good}, authz.ErrUnauthorized},
		{"two tokens", []string{"Bearer " + good + ", Bearer " + good}, token.ErrInvalid},
		{"something after it", []string{"Bearer " + good + " x"}, token.ErrInvalid},
		{"unknown", []string{"Bearer " + unknown}, token.ErrInvalid},
		{"an app key", []string{"Bearer app-" + good}, token.ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGate(t, nil)
			c, err := g.ask(authz.Rule{Subjects: accounts}, tc.headers...)
			if !errors.Is(err, tc.want) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			if (err == nil) != (c.SessionID == "session") || (err == nil) != (len(g.tokens.used) == 1) {
				t.Fatalf("caller %q, used %v", c.SessionID, g.tokens.used)
			}
			if tc.want == authz.ErrUnauthorized || tc.want == authz.ErrAmbiguous { //nolint:errorlint // the table's own values
				if g.tokens.resolved > 0 || len(g.Recorded(t, "oauth.bearer_rejected")) > 0 {
					t.Error("no bearer was counted as a bad one")
				}
			}
		})
	}
}

// Each pair of neighbours fails together, and the earlier one answers.
func TestTheOrderOfSteps(t *testing.T) {
	used := func(name limits.Name) map[limits.Name]limits.Override {
		return map[limits.Name]limits.Override{name: {Limit: 1}}
	}
	exhaustedToken := func(g *gate, bearer string) {
		if _, err := g.ask(authz.Rule{Subjects: anybody}, "Bearer "+bearer); errors.Is(err, limits.ErrTooMany) {
			g.t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name      string
		overrides map[limits.Name]limits.Override
		before    func(*gate)
		rule      authz.Rule
		headers   []string
		want      error
		asked     int // look-ups of the last request
	}{
		{name: "PL-1 header before shape", rule: authz.Rule{}, headers: []string{"Bearer x", "Bearer y"}, want: authz.ErrAmbiguous},
		{
			name: "PL-1 shape before the token's limit", overrides: used(limits.BearerToken),
			before: func(g *gate) { exhaustedToken(g, good) }, headers: []string{"Bearer " + good + "x"}, want: token.ErrInvalid,
		},
		{
			name: "PL-1 the token's limit before the look-up", overrides: used(limits.BearerToken),
			before: func(g *gate) { exhaustedToken(g, unknown) }, headers: []string{"Bearer " + unknown}, want: limits.ErrTooMany,
		},
		{name: "PL-1 the look-up before the subject", rule: authz.Rule{Subjects: accounts}, headers: []string{"Bearer dfoe_" + unknown[5:]}, want: token.ErrInvalid, asked: 1},
		{
			name: "PL-1 the subject before the scope", rule: authz.Rule{Subjects: accounts, Scope: token.ScopeWorkspaceWrite},
			before: func(g *gate) { g.tokens.live = goodExternal }, headers: []string{"Bearer " + goodExternal}, want: authz.ErrWrongSurface, asked: 1,
		},
		{
			name: "PL-1 the scope before the route's own limit", overrides: used(limits.AccountRead),
			rule: authz.Rule{Subjects: anybody, Scope: token.ScopeWorkspaceWrite, Extra: limits.AccountRead},
			before: func(g *gate) {
				g.tokens.live = goodExternal
				if _, err := g.ask(authz.Rule{Subjects: anybody, Extra: limits.AccountRead}, "Bearer "+goodExternal); err != nil {
					g.t.Fatal(err)
				}
			},
			headers: []string{"Bearer " + goodExternal}, want: authz.ErrInsufficientScope, asked: 1,
		},
		{
			name: "PL-1 the route's own limit last", overrides: used(limits.AccountRead), rule: authz.Rule{Subjects: accounts, Extra: limits.AccountRead},
			before: func(g *gate) {
				if _, err := g.ask(authz.Rule{Subjects: accounts, Extra: limits.AccountRead}, "Bearer "+good); err != nil {
					g.t.Fatal(err)
				}
			},
			headers: []string{"Bearer " + good}, want: limits.ErrTooMany, asked: 1,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGate(t, tc.overrides)
			if tc.before != nil {
				tc.before(g)
			}
			asked, uses := g.tokens.resolved, len(g.tokens.used)
			if _, err := g.ask(tc.rule, tc.headers...); !errors.Is(err, tc.want) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			if got := g.tokens.resolved - asked; got != tc.asked {
				t.Errorf("%d look-ups, want %d", got, tc.asked)
			}
			if len(g.tokens.used) != uses {
				t.Error("a refused request counts as a use")
			}
		})
	}
}

func TestWhoIsServed(t *testing.T) {
	t.Run("the limits that were asked come along, also with a refusal", func(t *testing.T) {
		g := newGate(t, map[limits.Name]limits.Override{limits.BearerToken: {Limit: 2}})
		rule := authz.Rule{Subjects: accounts, Extra: limits.AccountRead}
		c, err := g.ask(rule, "Bearer "+good)
		if err != nil || len(c.Limits) != 2 || c.Limits[0].Limit != 2 || c.Limits[0].Remaining != 1 || c.Limits[1].Limit != 60 {
			t.Fatalf("%+v, %v", c.Limits, err)
		}
		if _, err := g.ask(rule, "Bearer "+good); err != nil {
			t.Fatal(err)
		}
		c, err = g.ask(rule, "Bearer "+good)
		if !errors.Is(err, limits.ErrTooMany) || fault.Of(err).Retry() <= 0 || len(c.Limits) != 1 || c.Limits[0].Allowed {
			t.Fatalf("%+v, %v", c.Limits, err)
		}
	})

	t.Run("LIM-5 a limit that is off shows nothing", func(t *testing.T) {
		g := newGate(t, map[limits.Name]limits.Override{limits.BearerToken: {}})
		for range 100 {
			if c, err := g.ask(authz.Rule{Subjects: accounts}, "Bearer "+good); err != nil || len(c.Limits) != 0 {
				t.Fatalf("%+v, %v", c.Limits, err)
			}
		}
	})

	t.Run("TK-23 an outage is no bad bearer", func(t *testing.T) {
		g := newGate(t, nil)
		g.tokens.err = fault.ErrUnavailable
		if _, err := g.ask(authz.Rule{Subjects: accounts}, "Bearer "+good); !errors.Is(err, fault.ErrUnavailable) {
			t.Fatal(err)
		}
		if len(g.Recorded(t, "oauth.bearer_rejected")) != 0 {
			t.Error("it was counted as one")
		}
	})
}

func TestBadBearers(t *testing.T) {
	t.Run("LIM-12 after three hundred of one address it is told to wait, another address is not", func(t *testing.T) {
		g := newGate(t, nil)
		rule := authz.Rule{Subjects: accounts}
		for i := range 300 {
			if _, err := g.ask(rule, "Bearer bad"); !errors.Is(err, token.ErrInvalid) {
				t.Fatalf("bearer %d: %v", i+1, err)
			}
		}
		c, err := g.ask(rule, "Bearer bad")
		if !errors.Is(err, limits.ErrTooMany) || len(c.Limits) != 1 {
			t.Fatalf("%+v, %v", c.Limits, err)
		}
		if _, err := g.ask(rule, "Bearer "+good); !errors.Is(err, limits.ErrTooMany) || g.tokens.resolved != 0 {
			t.Fatalf("a bearer that SQL would be asked for: %v", err)
		}
		who := token.Context{SessionID: "session", ExpiresAt: g.Clock.Now().Add(time.Hour)}
		if err := g.Bearers.Remember(t.Context(), secret.DigestOf(good), who, g.Clock.Now(), token.LiveFor); err != nil {
			t.Fatal(err)
		}
		if _, err := g.ask(rule, "Bearer "+good); err != nil {
			t.Fatalf("a good bearer of that address, remembered: %v", err)
		}
		other := presented("Bearer bad")
		other.Address = "192.0.2.2"
		if _, err := g.Authenticate(t.Context(), rule, other); !errors.Is(err, token.ErrInvalid) {
			t.Fatalf("another address: %v", err)
		}
	})

	t.Run("LIM-14 RL-06 a proxy that asks for its clients is never told to wait, and spends nothing of an address", func(t *testing.T) {
		g := newGate(t, map[limits.Name]limits.Override{limits.BearerFailedAddr: {Limit: 1}})
		rule := authz.Rule{Subjects: accounts}
		for range 301 {
			p := presented("Bearer bad")
			p.Unmetered = true
			if c, err := g.Authenticate(t.Context(), rule, p); !errors.Is(err, token.ErrInvalid) || len(c.Limits) != 0 {
				t.Fatalf("%+v, %v", c.Limits, err)
			}
		}
		if _, err := g.ask(rule, "Bearer bad"); !errors.Is(err, token.ErrInvalid) {
			t.Fatalf("the address itself: %v", err)
		}
		if _, err := g.ask(rule, "Bearer "+good); !errors.Is(err, limits.ErrTooMany) {
			t.Fatalf("the address itself, now used up: %v", err)
		}
		p := presented("Bearer " + good)
		p.Unmetered = true
		if _, err := g.Authenticate(t.Context(), rule, p); err != nil {
			t.Fatalf("a good bearer that SQL is asked for: %v", err)
		}
	})

	t.Run("LOG-03 one event per address, cause and minute, with the number of those before", func(t *testing.T) {
		g := newGate(t, nil)
		rule := authz.Rule{Subjects: accounts}
		bad := func(n int, bearer, address string) {
			for range n {
				p := presented("Bearer " + bearer)
				p.Address = address
				if _, err := g.Authenticate(t.Context(), rule, p); !errors.Is(err, token.ErrInvalid) {
					t.Fatal(err)
				}
			}
		}
		bad(5, "bad", "192.0.2.1")
		bad(1, unknown, "192.0.2.1")
		bad(1, "bad", "192.0.2.2")
		g.Clock.Advance(time.Minute - time.Microsecond)
		bad(1, "bad", "192.0.2.1")
		g.Clock.Advance(time.Microsecond)
		bad(1, "bad", "192.0.2.1")
		bad(1, "bad", "192.0.2.1")
		var got []string
		for _, e := range g.Recorded(t, "oauth.bearer_rejected") {
			var own struct {
				Cause string
				Count int
			}
			if err := json.Unmarshal(e.Fields, &own); err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(own.Cause, own.Count))
		}
		if want := "malformed1 unknown1 malformed1 malformed6"; strings.Join(got, " ") != want {
			t.Fatalf("events %v, want %s", got, want)
		}
	})
}

func TestTheWorkspace(t *testing.T) {
	g := newGate(t, nil)
	who := g.AddActive(t, "ada@example.com")
	g.tokens.account = who.ID
	w := g.AddWorkspaceOf(t, "w", who.ID)
	foreign := g.AddWorkspaceOf(t, "foreign", g.AddActive(t, "bob@example.com").ID)
	ask := func(ctx context.Context, id string, roles ...workspace.Role) (*authz.Caller, error) {
		p := presented("Bearer " + good)
		p.Workspace = id
		return g.Authenticate(ctx, authz.Rule{Subjects: accounts, Workspace: true, Roles: roles}, p)
	}
	t.Run("a member, any and of a role", func(t *testing.T) {
		for _, roles := range [][]workspace.Role{nil, workspace.Managers, {workspace.Owner}} {
			c, err := ask(t.Context(), w.ID, roles...)
			if err != nil || c.Place.Workspace.ID != w.ID || c.Place.Role != workspace.Owner {
				t.Fatalf("%+v, %v", c.Place, err)
			}
		}
		if _, err := ask(t.Context(), w.ID, workspace.Normal, workspace.Editor); !errors.Is(err, workspace.ErrRole) {
			t.Fatal(err)
		}
	})
	t.Run("nobody's is asked for without SQL, another's is none", func(t *testing.T) {
		for _, id := range []string{"", "x", strings.ToUpper(w.ID)} {
			g.spaces.Clear()
			if _, err := ask(t.Context(), id); !errors.Is(err, workspace.ErrNotFound) || g.spaces.Total() != 0 {
				t.Fatalf("%q: %v after %d reads", id, err, g.spaces.Total())
			}
		}
		g.Archive(t, foreign.ID)
		g.AddMember(t, foreign.ID, who.ID, workspace.Admin, false)
		for _, id := range []string{foreign.ID, who.ID} {
			if _, err := ask(t.Context(), id, workspace.Owner); !errors.Is(err, workspace.ErrNotFound) {
				t.Fatal(err)
			}
		}
	})
	t.Run("PL-9 down", func(t *testing.T) {
		g.spaces.Clear()
		g.spaces.Plan(storetest.Fault{Method: "Place"})
		if _, err := ask(t.Context(), w.ID); fault.Of(err).Kind() != fault.Unavailable {
			t.Fatal(err)
		}
	})
	t.Run("PL-9 slower than anybody waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := g.Deps
			d.Places = silent{}
			b, err := authz.New(d)
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			_, err = b.Authenticate(t.Context(), authz.Rule{Subjects: accounts, Workspace: true}, presented("Bearer "+good))
			if took := time.Since(begun); fault.Of(err).Kind() != fault.Unavailable || took > 10*time.Second {
				t.Fatalf("after %s: %v", took, err)
			}
		})
	})
}

// silent never answers.
type silent struct{}

func (silent) Place(ctx context.Context, _, _ string) (workspace.Membership, error) {
	<-ctx.Done()
	return workspace.Membership{}, ctx.Err()
}

func TestNewChecksWhatItNeeds(t *testing.T) {
	whole := newGate(t, nil).Deps
	for name, drop := range map[string]func(*authz.Deps){
		"kinds": func(d *authz.Deps) { d.Kinds = nil }, "tokens": func(d *authz.Deps) { d.Tokens = nil }, "limits": func(d *authz.Deps) { d.Limits = nil },
		"places": func(d *authz.Deps) { d.Places = nil }, "apps": func(d *authz.Deps) { d.Apps = nil }, "gate": func(d *authz.Deps) { d.Gate = nil },
		"recorder": func(d *authz.Deps) { d.Recorder = nil }, "clock": func(d *authz.Deps) { d.Now = nil },
	} {
		d := whole
		drop(&d)
		if _, err := authz.New(d); err == nil {
			t.Errorf("made without %s", name)
		}
	}
}

// FuzzBearer: only the one spelling of a token's bytes is looked up; what fails the
// shape touches no store.
func FuzzBearer(f *testing.F) {
	for _, s := range []string{"Bearer " + good, "Bearer " + unknown, "bearer " + good, "Bearer", "", "Bearer dfoa_", "Bearer " + good + "\n", "Basic x", "Bearer app-x", "Bearer _", "\x00"} {
		f.Add(s)
	}
	kinds, err := token.NewKindRegistry(token.AccountKind)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header string) {
		fake := &tokens{live: good}
		// A table of its own for each input: the budget of bad bearers is not the matter.
		g := fuzzGate(t, kinds, fake)
		c, err := g.Authenticate(t.Context(), authz.Rule{Subjects: accounts}, presented(header))
		_, bearer, _ := strings.Cut(header, " ")
		body, isOurs := strings.CutPrefix(bearer, "dfoa_")
		raw, decode := base64.RawURLEncoding.DecodeString(body)
		shaped := isOurs && decode == nil && len(raw) == 32 && base64.RawURLEncoding.EncodeToString(raw) == body
		if fake.resolved > 0 && !shaped {
			t.Fatalf("%q was looked up", header)
		}
		if served := err == nil; served != (fake.resolved == 1 && bearer == good) || served != (c.SessionID != "") {
			t.Fatalf("%q: served %t", header, served)
		}
	})
}
