// SPDX-License-Identifier: Apache-2.0

package connection_test

import (
	"testing"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
)

func TestSharedCallbacks(t *testing.T) {
	shared := func(c connection.Content) connection.Content {
		c.Config.Callback = connection.CallbackShared
		return c
	}
	withEndpoints := func(c connection.Content, named bool) connection.Content {
		c.Config.OIDC.Endpoints = &connection.OIDCEndpoints{
			Authorization: "https://idp.example/a", Token: "https://idp.example/t", JWKS: "https://idp.example/k", IssuerInCallback: named,
		}
		return c
	}
	for name, tc := range map[string]struct {
		first, second connection.Content
		taken         bool
	}{
		"OAuth 2.0 beside OAuth 2.0":               {shared(github("one")), shared(github("two")), false},
		"OAuth 2.0 beside one with its own":        {github("one"), shared(github("two")), true},
		"OAuth 2.0 beside OpenID Connect":          {shared(okta("one")), shared(github("two")), true},
		"a provider that names its issuer":         {shared(okta("one")), withEndpoints(shared(okta("two")), true), true},
		"a provider that does not name its issuer": {shared(okta("one")), withEndpoints(shared(okta("two")), false), false},
		"a provider that is discovered":            {shared(okta("one")), shared(okta("two")), true},
	} {
		t.Run("OIDC-18 "+name, func(t *testing.T) {
			h := start(t)
			h.enabled(t, tc.first)
			v := h.create(t, tc.second)
			h.passed(t, "two", v.Head)
			_, err := h.Enable(t.Context(), "two", v.Head, operator)
			if tc.taken && err != nil {
				t.Fatal(err)
			}
			if !tc.taken {
				refused(t, err, connection.ErrInvalid)
				if d := fault.Of(err).Details(); len(d) != 1 || d[0].Loc[0] != "callback" {
					t.Errorf("%+v", d)
				}
				if _, err := h.Disable(t.Context(), "one", operator, false); err != nil {
					t.Fatal(err)
				}
				if _, err := h.Enable(t.Context(), "two", v.Head, operator); err != nil {
					t.Errorf("the only one: %v", err)
				}
			}
		})
	}
	t.Run("OIDC-18 a login is told of the others that are enabled", func(t *testing.T) {
		h := start(t)
		h.enabled(t, shared(okta("one")))
		h.enabled(t, okta("own"))
		asks := func(id string, want bool) {
			t.Helper()
			c, err := h.Serving(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := h.SharesCallback(t.Context(), c); err != nil || got != want {
				t.Errorf("%s: %t, %v", id, got, err)
			}
		}
		asks("one", false)
		h.enabled(t, shared(okta("two")))
		asks("one", true)
		asks("two", true)
		asks("own", false)
		if _, err := h.Disable(t.Context(), "two", operator, false); err != nil {
			t.Fatal(err)
		}
		asks("one", false)
	})
}

func TestAFreshSignInThatNobodyCanAskFor(t *testing.T) {
	h := start(t)
	c := github("hub")
	c.Config.ForceAuthn = true
	_, err := h.Create(t.Context(), c, operator)
	refused(t, err, connection.ErrInvalid)
	if d := fault.Of(err).Details(); len(d) != 1 || d[0].Loc[0] != "force_authn" {
		t.Errorf("%+v", d)
	}
}
