// SPDX-License-Identifier: Apache-2.0

package idpmetadata_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

func TestCompare(t *testing.T) {
	k := keys()
	later := issue(k.rsaKey, "a", "a", now.AddDate(6, 0, 0))
	before := idpmetadata.IdP{EntityID: "https://idp.example/id", Redirect: "https://idp.example/sso", Certificates: []string{k.rsa, k.ec}}
	for _, tc := range []struct {
		name   string
		change func(*idpmetadata.IdP)
		want   string // what, kind and ! for destructive
	}{
		{"nothing", func(*idpmetadata.IdP) {}, ""},
		{"the order of certificates", func(i *idpmetadata.IdP) { slices.Reverse(i.Certificates) }, ""},
		{"a key added", func(i *idpmetadata.IdP) { i.Certificates = append(i.Certificates, k.other) }, "certificate added"},
		{"a key removed", func(i *idpmetadata.IdP) { i.Certificates = i.Certificates[:1] }, "certificate removed!"},
		{"a key replaced", func(i *idpmetadata.IdP) { i.Certificates[0] = k.other }, "certificate removed!, certificate added"},
		{"a later end for a key", func(i *idpmetadata.IdP) { i.Certificates[0] = later }, "certificate changed"},
		{"a second certificate for a key", func(i *idpmetadata.IdP) { i.Certificates = append(i.Certificates, later) }, "certificate added"},
		{"an address moved", func(i *idpmetadata.IdP) { i.Redirect = "https://idp.example/sso2" }, "redirect changed!"},
		{"a binding changed", func(i *idpmetadata.IdP) { i.Redirect, i.Post = "", i.Redirect }, "redirect removed!, post added"},
		{"a form beside the redirect", func(i *idpmetadata.IdP) { i.Post = i.Redirect }, "post added"},
		{"another entity id, and a key", func(i *idpmetadata.IdP) {
			i.EntityID, i.Certificates = "https://idp.example/ID", append(i.Certificates, k.other)
		}, "entity_id changed!, certificate added"},
	} {
		t.Run("SSO-82 "+tc.name, func(t *testing.T) {
			after := before
			after.Certificates = slices.Clone(before.Certificates)
			tc.change(&after)
			changes := idpmetadata.Compare(before, after)
			var got []string
			for _, c := range changes {
				text := c.What + " " + c.Kind
				if c.Destructive {
					text += "!"
				}
				got = append(got, text)
				if c.What == idpmetadata.Certificate && !strings.Contains(c.From+c.To, " until 20") {
					t.Errorf("%+v", c)
				}
			}
			if strings.Join(got, ", ") != tc.want || idpmetadata.Destructive(changes) != strings.Contains(tc.want, "!") {
				t.Errorf("%q, want %q", got, tc.want)
			}
			if same := before.Digest() == after.Digest(); same != (tc.want == "") {
				t.Error("digest and comparison differ")
			}
		})
	}
	t.Run("SSO-82 the other way round", func(t *testing.T) {
		form := idpmetadata.IdP{EntityID: before.EntityID, Post: before.Redirect, Certificates: []string{later, k.rsa}}
		both := form
		both.Redirect = "https://idp.example/sso"
		if c := idpmetadata.Compare(form, both); len(c) != 1 || !c[0].Destructive || c[0].Kind != idpmetadata.Added {
			t.Errorf("a redirect where there was a form alone: %+v", c)
		}
		one := form
		one.Certificates = []string{k.rsa}
		if c := idpmetadata.Compare(form, one); len(c) != 1 || c[0].Destructive {
			t.Errorf("one of two certificates for a key goes: %+v", c)
		}
		early, late := form, form
		early.Certificates, late.Certificates = []string{k.rsa}, []string{later}
		if c := idpmetadata.Compare(late, early); len(c) != 1 || !c[0].Destructive {
			t.Errorf("an earlier end: %+v", c)
		}
	})
}
