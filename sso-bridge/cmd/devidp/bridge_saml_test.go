// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/samlsp"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
)

// samlSide is what a SAML party asks the rest of the bridge for.
type samlSide struct {
	idp    idpmetadata.IdP
	signer spkeys.Signer
	used   map[string]bool
}

func (s samlSide) Load(context.Context, connection.Serving) (idpmetadata.IdP, string, error) {
	return s.idp, "digest", nil
}

func (s samlSide) Refetch(context.Context, connection.Serving, string) (idpmetadata.IdP, string, bool, error) {
	return s.idp, "digest", false, nil
}
func (samlSide) Checked(context.Context, connection.Serving) (time.Time, error) {
	return time.Now(), nil
}

func (s samlSide) Signer(context.Context, string, bool) (spkeys.Signer, error) { return s.signer, nil }
func (s samlSide) Published(context.Context, string) ([]spkeys.Key, error) {
	return []spkeys.Key{s.signer.Key}, nil
}
func (samlSide) Seen(context.Context, spkeys.Key) error { return nil }

func (s samlSide) First(_ context.Context, mark string, _ time.Duration) (bool, error) {
	first := !s.used[mark]
	s.used[mark] = true
	return first, nil
}

// owner knows that the first load of the metadata has claimed the entity id.
type owner struct{ nobody }

func (owner) IssuerOwner(context.Context, string) (string, error) { return "dev-saml", nil }

// What a person of this provider comes to in the bridge by SAML, from the connections file
// to the identity.
func TestPeopleInTheBridgeBySAML(t *testing.T) {
	s := newStage(t)
	d := declared(t, fmt.Appendf(nil, `version: 1
connections:
  - id: dev-saml
    name: Development
    preset: generic-saml
    domains: [%s]
    saml: { metadata_url: "%s/saml/metadata" }
    claims: { groups: groups }
    allow: { groups: [everyone] }
`, samlDomain, s.issuer))
	idp, _, err := idpmetadata.Parse([]byte(s.get(t, s.issuer+"/saml/metadata")), "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := newPair(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	side := samlSide{idp: idp, signer: spkeys.Signer{Key: spkeys.Key{ID: "k", ConnectionID: d.ID}, Private: key}, used: map[string]bool{}}
	party, err := samlsp.New(samlsp.Deps{Metadata: side, Keys: side, Replays: side, Now: time.Now, Public: "http://127.0.0.1:5003"})
	if err != nil {
		t.Fatal(err)
	}
	signIn := func(t *testing.T, who string) (identity.Identity, error) {
		request := login.Request{
			Serving:     served(d),
			State:       secret.New("the-state"),
			RedirectURI: consumer,
			Material:    login.Material{RequestID: "_" + random(), RequestedAt: time.Now()},
		}
		to, err := party.Address(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		form := s.answerTo(t, to.URL, url.Values{}, who)
		claims, err := party.Verify(t.Context(), login.Answer{Request: request, Message: secret.New(form.Get("SAMLResponse"))}, &login.Trace{})
		if err != nil {
			return identity.Identity{}, err
		}
		return identity.Map(t.Context(), claims, d.ID, d.Config, owner{})
	}
	for _, tc := range []struct {
		who  string
		want failure.Code
	}{
		{"alice", ""},
		{"bob", ""},
		{"zhangwei", ""},
		{"nomail", failure.EmailMissing},
		{"foreign", failure.EmailDomainNotAllowed},
		{"wrongnonce", failure.SAMLInResponseTo},
		{"expired", failure.SAMLTime},
		{"wrongaudience", failure.SAMLAudience},
		{"refuses", failure.SAMLStatus},
		{"manygroups", failure.SAMLStructure}, // a message holds 1000 values at most
		{"overage", failure.GroupsOverage},
		{"unsigned", failure.SAMLSignatureMissing},
		{"transient", failure.SAMLNameID},
		{"twoaddresses", failure.EmailAmbiguous},
		{"longlife", failure.SAMLLifetime},
	} {
		t.Run("SSO-64 "+tc.who, func(t *testing.T) {
			id, err := signIn(t, tc.who)
			if tc.want == "" {
				if err != nil || id.Issuer != idp.EntityID || id.Subject != "dev|"+tc.who || id.Email != tc.who+"@"+samlDomain {
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
