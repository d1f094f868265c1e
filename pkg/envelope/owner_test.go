// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

type grantClaims struct {
	UserCode string `json:"user_code"`
}

// Whoever holds the key set, and a SECRET_KEY of their own, derives what they can.
func TestOnlyTheOwnerSignsWhatIsTheOwners(t *testing.T) {
	keys := keyset.NewRing(keyset.Fixed("k", map[string][]byte{"k": bytes.Repeat([]byte("0123456789abcdef"), 2)}))
	core, bridge := secret.New(strings.Repeat("c", 32)), secret.New(strings.Repeat("b", 32))
	now := func() time.Time { return time.Unix(1767225600, 0) }
	audiences := []Audience{StateEnvelope, ApprovalGrant, ExternalSubject, ConsoleLogin, CoreToBridge, BridgeToCore}
	for _, tc := range []struct {
		name     string
		audience Audience
		owner    secret.Text
		salts    []secret.Text // that the forger knows
	}{
		{"JWS-04 the bridge forges an approval grant", ApprovalGrant, core, []secret.Text{{}, bridge}},
		{"JWS-04 core forges a state envelope", StateEnvelope, bridge, []secret.Text{{}, core}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			verifier, err := New[grantClaims](Deps{Keys: keys, Audience: tc.audience, Issuer: "https://owner.example", Owner: tc.owner, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			genuine, registered, err := verifier.Sign(grantClaims{UserCode: "BCDF-GHJK"})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := verifier.Verify(genuine); err != nil {
				t.Fatalf("the owner's own does not verify: %v", err)
			}
			signed := genuine[:strings.LastIndexByte(genuine, '.')]
			for _, salt := range tc.salts {
				for _, audience := range audiences {
					_, key, err := keys.Current().Sign(string(audience), salt)
					if err != nil {
						t.Fatal(err)
					}
					var refused *RefusedError
					if _, _, err := verifier.Verify(signed + "." + b64.EncodeToString(mac(key, signed))); !errors.As(err, &refused) || refused.Reason != MAC {
						t.Errorf("the key of %s: %v", audience, err)
					}
				}
			}
			if registered.Issuer == "" {
				t.Error("the message names nobody")
			}
		})
	}
	t.Run("JWS-04 an audience of one owner is not signed without the owner's key, and no other with it", func(t *testing.T) {
		for _, audience := range audiences {
			owned := audience == StateEnvelope || audience == ApprovalGrant
			for _, owner := range []secret.Text{{}, core} {
				_, err := New[grantClaims](Deps{Keys: keys, Audience: audience, Issuer: "x", Owner: owner, Now: now})
				if (err == nil) != (owned != owner.IsZero()) {
					t.Errorf("%s with an owner %v: %v", audience, !owner.IsZero(), err)
				}
			}
		}
	})
}
