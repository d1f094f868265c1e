// SPDX-License-Identifier: Apache-2.0

package idpmetadata_test

import (
	"errors"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

func FuzzMetadata(f *testing.F) {
	for _, name := range []string{"okta", "entra", "google", "keycloak", "adfs"} {
		f.Add([]byte(sample(f, name)))
	}
	f.Add([]byte(filled(plain)))
	f.Add([]byte(`<!DOCTYPE x [<!ENTITY e "x">]><x>&e;</x>`))
	f.Fuzz(func(t *testing.T, text []byte) {
		idp, _, err := idpmetadata.Parse(text, "", now)
		if err != nil {
			if e, ok := errors.AsType[*idpmetadata.Error](err); !ok || e.Rule == "" || e.Message == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := idpmetadata.Checked(idp)
		if err != nil || again.Digest() != idp.Digest() || idpmetadata.Compare(idp, again) != nil {
			t.Fatalf("what was taken is not taken again: %v", err)
		}
		if _, err := idpmetadata.Certificates(idp); err != nil {
			t.Fatal(err)
		}
	})
}
