// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestKindsAreCheckedWhenTheyAreRegistered(t *testing.T) {
	with := func(prefix string) token.Kind {
		return token.Kind{Prefix: prefix, SubjectType: "x", Scopes: []token.Scope{token.ScopeFull}}
	}
	for _, tc := range []struct {
		name  string
		kinds []token.Kind
		ok    bool
	}{
		{"none", nil, true},
		{"ours", []token.Kind{token.AccountKind}, true},
		{"two", []token.Kind{token.AccountKind, with("dfoe_")}, true},
		{"a prefix twice", []token.Kind{with("a_"), with("a_")}, false},
		{"no prefix", []token.Kind{with("")}, false},
		{"an underscore alone", []token.Kind{with("_")}, false},
		{"no underscore", []token.Kind{with("dfoa")}, false},
		{"two underscores", []token.Kind{with("df_oa_")}, false},
		{"an underscore in the middle", []token.Kind{with("df_oa")}, false},
		{"no scopes", []token.Kind{{Prefix: "a_", SubjectType: "x"}}, false},
		{"no subject type", []token.Kind{{Prefix: "a_", Scopes: []token.Scope{token.ScopeFull}}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := token.NewKindRegistry(tc.kinds...); (err == nil) != tc.ok {
				t.Fatal(err)
			}
		})
	}
}

func TestKnownScope(t *testing.T) {
	for _, s := range []string{"full", "apps:read", "apps:read:permitted-external", "apps:run", "workspace:read", "workspace:write"} {
		if !token.KnownScope(s) {
			t.Errorf("%q is unknown", s)
		}
	}
	for _, s := range []string{"", "FULL", "full ", "app:run", "full apps:run", "apps:read,full"} {
		if token.KnownScope(s) {
			t.Errorf("%q is known", s)
		}
	}
}

func TestScopes(t *testing.T) {
	some := token.Kind{Scopes: []token.Scope{token.ScopeAppsRun, token.ScopeAppsReadPermitted}}
	if !token.AccountKind.Has(token.ScopeWorkspaceWrite) || !some.Has(token.ScopeAppsRun) {
		t.Error("a scope that is there is missing")
	}
	if some.Has(token.ScopeAppsRead) || some.Has(token.ScopeFull) || (token.Kind{}).Has(token.ScopeAppsRun) {
		t.Error("a scope that is not there is had")
	}
	if token.AccountKind.ScopeText() != "full" || some.ScopeText() != "apps:run apps:read:permitted-external" {
		t.Errorf("%q and %q", token.AccountKind.ScopeText(), some.ScopeText())
	}
}

func registry(t testing.TB) *token.KindRegistry {
	t.Helper()
	r, err := token.NewKindRegistry(token.AccountKind)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestParse(t *testing.T) {
	r := registry(t)
	// The last symbol of 43 carries four bits: A, E, I … are the only spellings.
	good := "dfoa_" + strings.Repeat("x", 42) + "A"
	for _, tc := range []struct {
		name, presented string
		ok              bool
		hint            string
	}{
		{name: "TK-1 as minted", presented: good, ok: true},
		{name: "TK-1 underscores and hyphens in the random part", presented: "dfoa_" + strings.Repeat("_-", 21) + "A", ok: true},
		{name: "TK-1 one character less", presented: good[:len(good)-1]},
		{name: "TK-1 one character more", presented: good + "A"},
		{name: "TK-1 another spelling of the same bytes", presented: good[:len(good)-1] + "B"},
		{name: "TK-1 Unicode", presented: good[:len(good)-2] + "ä"},
		{name: "TK-1 full-width letters", presented: "ｄfoa_" + good[5:]},
		{name: "TK-1 a line break inside", presented: good[:20] + "\n" + good[20:]},
		{name: "a line break in the place of a symbol", presented: good[:20] + "\n" + good[21:]},
		{name: "a carriage return at its end", presented: good[:len(good)-1] + "\r"},
		{name: "standard base64", presented: good[:20] + "+" + good[21:]},
		{name: "padding", presented: good[:len(good)-1] + "="},
		{name: "a blank before", presented: " " + good},
		{name: "a blank after", presented: good + " "},
		{name: "another case", presented: "DFOA_" + good[5:]},
		{name: "PL-2 of a kind that this edition lacks", presented: "dfoe_" + good[5:]},
		{name: "PL-2 an app key", presented: "app-" + good[5:], hint: "app key"},
		{name: "PL-2 a personal key", presented: "dfp_" + good[5:], hint: "personal key"},
		{name: "a prefix alone", presented: "dfoa_"},
		{name: "no prefix", presented: good[5:]},
		{name: "an underscore", presented: "_"},
		{name: "nothing", presented: ""},
		{name: "NUL", presented: good[:20] + "\x00" + good[21:]},
	} {
		t.Run(tc.name, func(t *testing.T) {
			kind, digest, err := r.Parse(tc.presented)
			if tc.ok {
				if err != nil || kind.Prefix != "dfoa_" || digest != secret.DigestOf(tc.presented) {
					t.Fatalf("kind %q, %v", kind.Prefix, err)
				}
				return
			}
			if !errors.Is(err, token.ErrInvalid) || !digest.IsZero() || kind.Prefix != "" {
				t.Fatalf("kind %q, %v", kind.Prefix, err)
			}
			if hint := fault.Of(err).Hint(); (tc.hint == "") != (hint == "") || !strings.Contains(hint, tc.hint) {
				t.Errorf("hint %q", hint)
			}
			if f := fault.Of(err); f.Code() != token.ErrInvalid.Code() || f.Text() != token.ErrInvalid.Text() || f.Kind() != token.ErrInvalid.Kind() {
				t.Errorf("it reads unlike the other refusals: %s, %q", f.Code(), f.Text())
			}
			if len(tc.presented) > 4 && strings.Contains(err.Error(), tc.presented) {
				t.Error("the refusal repeats what was presented")
			}
		})
	}
}

func TestSubjects(t *testing.T) {
	ada := token.AccountSubject("id-1", "ada@example.com")
	external := func(issuer, id string) token.Subject {
		return token.Subject{Issuer: issuer, ID: id, Email: "ada@example.com"}
	}
	t.Run("TK-4 the e-mail is no part of an identity", func(t *testing.T) {
		if ada.Key() != token.AccountSubject("id-1", "other@example.com").Key() || !ada.Owns(token.AccountSubject("id-1", "")) {
			t.Error("one account is two people")
		}
	})
	t.Run("keys are apart where identities are", func(t *testing.T) {
		seen := map[string]token.Subject{}
		for _, s := range []token.Subject{
			ada, token.AccountSubject("id-2", ada.Email), external(token.AccountIssuer, "id-1"), external("a", "bc"), external("ab", "c"), external("a\x00b", "c"),
		} {
			key := s.Key()
			if len(key) != 64 || strings.ToLower(key) != key {
				t.Errorf("key %q", key)
			}
			if other, twice := seen[key]; twice {
				t.Errorf("%+v and %+v share a key", other, s)
			}
			seen[key] = s
		}
	})
	t.Run("an account has one epoch, an external subject one for each way of naming it", func(t *testing.T) {
		if got := ada.EpochKeys(); !slices.Equal(got, []string{token.AccountKey("id-1")}) {
			t.Errorf("an account's: %v", got)
		}
		e := external("https://idp.example.com", "ada")
		e.ConnectionID = "con-1"
		want := []string{e.Key(), token.ExternalEmailKey(e.Issuer, e.Email), token.ConnectionKey("con-1"), token.EmailKey(e.Email)}
		slices.Sort(want)
		got := e.EpochKeys()
		if !slices.Equal(got, want) || len(slices.Compact(want)) != 4 {
			t.Errorf("an external subject's, in the order of locks: %v, want %v", got, want)
		}
		if e.Key() != token.ExternalKey(e.Issuer, e.ID) {
			t.Error("the own key is another")
		}
	})
	t.Run("an account and an external subject of one e-mail never own each other's", func(t *testing.T) {
		e := external(token.AccountIssuer, "id-1")
		if ada.Owns(e) || e.Owns(ada) || ada.Owns(token.AccountSubject("id-2", ada.Email)) || e.Owns(external("other", "id-1")) {
			t.Error("owned")
		}
		if !e.Owns(external(token.AccountIssuer, "id-1")) {
			t.Error("not owned")
		}
	})
}

func TestLifeIsClamped(t *testing.T) {
	for _, tc := range []struct {
		name         string
		days, want   int
		wantsWarning bool
	}{{"TK-6 nought", 0, 1, true}, {"TK-6 below", -3, 1, true}, {"TK-6 one", 1, 1, false}, {"TK-6 a fortnight", 14, 14, false}, {"TK-6 a year", 365, 365, false}, {"TK-6 a day more", 366, 365, true}} {
		t.Run(tc.name, func(t *testing.T) {
			if got, changed := token.ClampTTLDays(tc.days); got != tc.want || changed != tc.wantsWarning {
				t.Fatalf("%d days, warning %t", got, changed)
			}
		})
	}
}
