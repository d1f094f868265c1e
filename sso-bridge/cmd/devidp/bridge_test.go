// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/oidcrp"
)

type nobody struct{}

func (nobody) Owner(context.Context, string) (string, error) { return "", nil }

func (nobody) IssuerOwner(context.Context, string) (string, error) { return "", nil }

// declared reads the one connection of a connections file.
func declared(t *testing.T, file []byte) connection.Declaration {
	t.Helper()
	all, err := connection.ParseFile(file, nil)
	if err != nil || len(all) != 1 {
		t.Fatal(len(all), err)
	}
	return all[0]
}

// served is a declaration as logins have it.
func served(d connection.Declaration) connection.Serving {
	return connection.Serving{
		Connection: connection.Connection{ID: d.ID}, Revision: connection.Revision{ConnectionID: d.ID, Hash: "h", Config: d.Config, Secrets: d.Secrets},
	}
}

// What a person of this provider comes to in the bridge, from the connections file to the
// identity.
func TestPeopleInTheBridge(t *testing.T) {
	s := newStage(t)
	d := declared(t, fmt.Appendf(nil, `version: 1
connections:
  - id: dev
    name: Development
    preset: generic-oidc
    domains: [corp.example]
    oidc: { issuer: "%s", client_id: dify-sso, client_secret: "s&cret" }
    claims: { groups: groups }
    allow: { groups: [everyone] }
`, s.issuer))
	client, err := egress.New(egress.Options{Allow: []string{"127.0.0.1"}, Now: time.Now, Total: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	party, err := oidcrp.New(oidcrp.Deps{Circuits: egress.NewCircuits(client, time.Now), Pins: unpinned{}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	signIn := func(t *testing.T, who string) (identity.Identity, error) {
		request := login.Request{
			Serving:     served(d),
			State:       secret.New("the-state"),
			RedirectURI: callback,
			Material:    login.Material{Verifier: secret.New(secret.Random()), Nonce: secret.New(random()[:22]), RequestedAt: time.Now()},
		}
		address, err := party.Address(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		q := s.callbackOf(t, address.URL, who)
		claims, err := party.Verify(t.Context(), login.Answer{
			Request: request, Code: secret.New(q.Get("code")), Error: q.Get("error"), Description: q.Get("error_description"), Issuer: q.Get("iss"), IssuerSent: q.Has("iss"),
		}, &login.Trace{})
		if err != nil {
			return identity.Identity{}, err
		}
		return identity.Map(t.Context(), claims, d.ID, d.Config, nobody{})
	}
	for _, tc := range []struct {
		who  string
		want failure.Code
	}{
		{"alice", ""},
		{"bob", ""},
		{"zhangwei", ""},
		{"unverified", failure.EmailNotVerified},
		{"nomail", failure.EmailMissing},
		{"foreign", failure.EmailDomainNotAllowed},
		{"wrongnonce", failure.OIDCNonce},
		{"expired", failure.OIDCTime},
		{"wrongaudience", failure.OIDCAudience},
		{"refuses", failure.OIDCDenied},
		{"manygroups", failure.GroupsOverage},
		{"overage", failure.GroupsOverage},
		{"slow", failure.TokenEndpoint},
	} {
		t.Run("SSO-66 "+tc.who, func(t *testing.T) {
			id, err := signIn(t, tc.who)
			if tc.want == "" {
				if err != nil || id.Issuer != s.issuer || id.Subject != "dev|"+tc.who || id.Email != tc.who+"@corp.example" || !id.EmailVerified {
					t.Errorf("%+v, %v", id, err)
				}
				return
			}
			if refusal, ok := errors.AsType[*failure.Error](err); !ok || refusal.Code != tc.want {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

// unpinned takes each discovery document as it comes.
type unpinned struct{}

func (unpinned) Pinned(context.Context, string, string) (connection.Discovered, error) {
	return connection.Discovered{}, nil
}

func (unpinned) Settle(_ context.Context, _, _ string, found connection.Discovered, _ bool) (connection.Discovered, error) {
	return found, nil
}
