// SPDX-License-Identifier: Apache-2.0

package oidcrp_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idptest"
)

func TestAttacks(t *testing.T) {
	t.Run("SSO-66 OIDC-34 every attack", everyAttack)
}

func everyAttack(t *testing.T) {
	idp := idptest.New(t)
	for _, a := range idptest.Attacks() {
		t.Run(a.Name, func(t *testing.T) {
			idp.Reset()
			p := beside(t, idp)
			a.Arm(idp)
			claims, trace, err := p.signIn(t)
			if got := codeOf(err); got != a.Want {
				t.Fatalf("%q (%v), want %q", got, err, a.Want)
			}
			if n := idp.Canary().Count(); n != 0 {
				t.Fatalf("%d connections to an address that nobody may call", n)
			}
			if err == nil {
				if claims.Issuer != idp.URL || claims.Subject == "" || !slices.Equal(claims.Emails, []string{"alice@corp.example"}) {
					t.Errorf("accepted with %+v", claims)
				}
				return
			}
			refusal := failure.Of(err)
			about, ok := failure.About(refusal.Code)
			if !ok {
				t.Errorf("%q is not in the catalogue", refusal.Code)
			}
			for field := range refusal.Facts {
				if !slices.Contains(about.Fields, field) {
					t.Errorf("%q is no field of %q", field, refusal.Code)
				}
			}
			header, form := idp.LastTokenRequest()
			for _, secret := range []string{idptest.ClientSecret, header.Get("Authorization"), form.Get("code"), form.Get("code_verifier")} {
				if secret != "" && (strings.Contains(err.Error(), secret) || strings.Contains(p.log.String(), secret)) {
					t.Error("a secret stands in the error or the log")
				}
			}
			if trace.ProviderHost == "" && len(trace.Steps) > 0 {
				t.Error("the trace names no host")
			}
		})
	}
}
