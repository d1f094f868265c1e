// SPDX-License-Identifier: Apache-2.0

package connection_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

func TestSAMLIssuers(t *testing.T) {
	cert := inBase64(rsaCertificate(t))
	sameIssuer := func(id, other string) connection.Content {
		c := corpSAML(id, cert)
		c.Config.SAML.IdP.EntityID = corpSAML(other, cert).Config.SAML.IdP.EntityID
		return c
	}
	t.Run("SAML-39 SSO-77 an entity id belongs to one connection, also after that is deleted", func(t *testing.T) {
		h := start(t)
		h.enabled(t, corpSAML("corp", cert))
		for _, taken := range []connection.Content{sameIssuer("other", "corp"), func() connection.Content {
			c := byURL("other")
			c.Config.SAML.IdPEntityID = "http://corp.example/"
			return c
		}()} {
			for _, act := range []connection.Act{operator, forced("mine")} {
				_, err := h.Create(t.Context(), taken, act)
				refused(t, err, connection.ErrIssuerTaken)
			}
		}
		h.create(t, corpSAML("other", cert)) // one key in two connections is none of this
		_, err := h.Update(t.Context(), sameIssuer("other", "corp"), h.show(t, "other").Head, forced("mine"))
		refused(t, err, connection.ErrIssuerTaken)
		h.disableAndDelete(t, "corp")
		_, err = h.Create(t.Context(), sameIssuer("third", "corp"), operator)
		refused(t, err, connection.ErrIssuerTaken)
		if len(h.core.unlinked) != 0 {
			t.Error(h.core.unlinked)
		}
	})
	t.Run("SAML-39 SSO-108 force with a reason takes the entity id of a deleted connection, and its identities are unlinked", func(t *testing.T) {
		h := start(t)
		h.enabled(t, corpSAML("corp", cert))
		h.disableAndDelete(t, "corp")
		if _, err := h.Create(t.Context(), sameIssuer("next", "corp"), forced("set up anew")); err != nil {
			t.Fatal(err)
		}
		storetest.Same(t, "core unlinked", h.core.unlinked, []string{"http://corp.example/|set up anew|cli:root"})
		h.told(t, "sso.issuer_taken_over", `"previous_connection":"corp"`)
		if owner, err := h.IssuerOwner(t.Context(), "http://corp.example/"); owner != "next" || err != nil {
			t.Error(owner, err)
		}
	})
	t.Run("SAML-39 an OpenID connection's issuer is no entity id for another", func(t *testing.T) {
		h := start(t)
		h.create(t, okta("corp"))
		c := corpSAML("other", cert)
		c.Config.SAML.IdP.EntityID = okta("corp").Config.OIDC.Issuer
		_, err := h.Create(t.Context(), c, operator)
		refused(t, err, connection.ErrIssuerTaken)
	})
	t.Run("SAML-39 a provider that its metadata alone names has no issuer before it was read", func(t *testing.T) {
		h := start(t)
		v := h.create(t, byURL("corp"))
		if len(v.Issuers) != 0 || len(v.Incomplete) != 0 {
			t.Errorf("%+v", v)
		}
		if text, err := json.Marshal(v.Document()); err != nil || !bytes.Contains(text, []byte(`"issuers":[]`)) {
			t.Errorf("%s, %v", text, err)
		}
		h.told(t, "sso.connection_created", `"issuers":[]`)
		h.create(t, byURL("other")) // none is no issuer that two could have
		if owner, err := h.IssuerOwner(t.Context(), ""); owner != "" || err != nil {
			t.Error(owner, err)
		}
	})
	t.Run("SAML-39 SSO-77 what the first reading has claimed, nobody configures", func(t *testing.T) {
		h := start(t)
		h.create(t, byURL("corp"))
		if err := h.Connections.InTx(t.Context(), func(ctx context.Context, tx connection.Tx) error {
			return tx.TakeIssuer(ctx, "http://corp.example/", "corp")
		}); err != nil {
			t.Fatal(err)
		}
		_, err := h.Create(t.Context(), corpSAML2("other", cert, "http://corp.example/"), operator)
		refused(t, err, connection.ErrIssuerTaken)
		pasted := h.update(t, corpSAML("corp", cert)) // its own
		storetest.Same(t, "issuers", pasted.Issuers, []string{"http://corp.example/"})
	})
	for name, issuer := range map[string]string{"one of core's": "dify:account", "one of core's in capitals": "Dify:x", "one without an issuer": "oauth2:corp", "a space": "a b", "not ASCII": "ä", "too long": strings.Repeat("a", 256), "empty": ""} {
		t.Run("SSO-77 refused is an entity id with "+name, func(t *testing.T) {
			h := start(t)
			_, err := h.Create(t.Context(), corpSAML2("corp", cert, issuer), forced("x"))
			refused(t, err, connection.ErrInvalid)
		})
	}
}

func corpSAML2(id, certificate, issuer string) connection.Content {
	c := corpSAML(id, certificate)
	c.Config.SAML.IdP.EntityID = issuer
	return c
}

func TestSAMLLife(t *testing.T) {
	cert := inBase64(rsaCertificate(t))
	t.Run("SSO-79 a draft without facts is saved, and enabled by nobody", func(t *testing.T) {
		h := start(t)
		c := byURL("corp")
		c.Config.SAML.MetadataURL = ""
		v := h.create(t, c)
		if d := v.Document(); !slices.Contains(d.Warnings, "The head is not complete: saml.metadata_url is missing.") || d.Head.SAML.Source != "" {
			t.Errorf("%+v", d)
		}
		_, err := h.Enable(t.Context(), "corp", v.Head, forced("x"))
		refused(t, err, connection.ErrIncomplete)
		_, err = h.ForTest(t.Context(), "corp", "")
		refused(t, err, connection.ErrIncomplete)
	})
	t.Run("SSO-79 tested, enabled, edited and restored", func(t *testing.T) {
		h := start(t)
		first := h.enabled(t, corpSAML("corp", cert, "corp.example"))
		edited := corpSAML("corp", cert, "corp.example")
		edited.Config.SAML.Signed = connection.SignedBoth
		if v := h.update(t, edited); v.Serving != first.Head || v.Head == first.Head {
			t.Errorf("%+v", v)
		}
		if v, err := h.Restore(t.Context(), "corp", first.Head, h.show(t, "corp").Head, operator); err != nil || v.Head != first.Head {
			t.Errorf("%+v, %v", v, err)
		}
		serving, err := h.Serving(t.Context(), "corp")
		if err != nil || serving.Config.SAML.IdP == nil || serving.Config.Issuer("corp") != "http://corp.example/" {
			t.Errorf("%+v, %v", serving, err)
		}
	})
	t.Run("a shared callback is anybody's: a response names and signs its issuer", func(t *testing.T) {
		h := start(t)
		for _, id := range []string{"one", "two"} {
			c := corpSAML(id, cert)
			c.Config.Callback = connection.CallbackShared
			h.enabled(t, c)
		}
	})
	t.Run("SSO-84 a view says whence the facts come and which certificates they have", func(t *testing.T) {
		h := start(t)
		d := h.create(t, corpSAML("corp", cert)).Document()
		if s := d.Head.SAML; s.Source != connection.SourceConfigured || s.EntityID != "http://corp.example/" || s.Redirect == "" || len(s.Certificates) != 1 ||
			len(s.Certificates[0].Fingerprint) != 64 || !s.Certificates[0].NotAfter.Equal(ended) {
			t.Errorf("%+v", s)
		}
		if len(d.Head.Secrets) != 0 {
			t.Error(d.Head.Secrets)
		}
		if s := h.create(t, byURL("other")).Document().Head.SAML; s.Source != connection.SourceMetadataURL || len(s.Certificates) != 0 {
			t.Errorf("%+v", s)
		}
	})
	for _, tc := range []struct {
		left    time.Duration
		expired string
		want    string
	}{
		{31 * 24 * time.Hour, connection.ExpiredWarn, ""},
		{30*24*time.Hour - time.Second, connection.ExpiredWarn, "in 29 days"},
		{7 * 24 * time.Hour, connection.ExpiredWarn, "in 7 days"},
		{24 * time.Hour, connection.ExpiredWarn, "in 1 day."},
		{time.Hour, connection.ExpiredWarn, "in less than a day"},
		{-time.Hour, connection.ExpiredWarn, "is accepted"},
		{-time.Hour, connection.ExpiredRefuse, "is refused"},
	} {
		t.Run(fmt.Sprintf("SAML-54 a certificate %s before its end, %s", tc.left, tc.expired), func(t *testing.T) {
			h := start(t)
			c := corpSAML("corp", cert, "corp.example")
			c.Config.SAML.ExpiredCertificates = tc.expired
			h.create(t, c)
			h.clock.advance(ended.Sub(storetest.Start) - tc.left)
			warnings := h.show(t, "corp").Document().Warnings
			if tc.want == "" && len(warnings) > 0 || tc.want != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], tc.want)) {
				t.Errorf("%q", warnings)
			}
		})
	}
	t.Run("SSO-76 what a NameID can be is warned of, and an e-mail that nobody vouches for", func(t *testing.T) {
		h := start(t)
		c := corpSAML("corp", cert)
		c.Config.SAML.NameIDFormat, c.Config.SAML.SubjectFormats = "", []string{connection.FormatPersistent, connection.FormatEmail}
		warnings := h.create(t, c).Document().Warnings
		if len(warnings) != 2 || !strings.Contains(warnings[0], "NameID") || !strings.Contains(warnings[1], "owns no domain") {
			t.Errorf("%q", warnings)
		}
	})
}

func TestSAMLReconcile(t *testing.T) {
	cert := inBase64(rsaCertificate(t))
	file := func(edit ...string) string {
		return strings.NewReplacer(edit...).Replace(`version: 1
connections:
  - id: corp
    name: Corp
    preset: google-saml
    domains: [corp.example]
    enable: force
    reason: moved
    saml:
      idp:
        entity_id: https://accounts.google.com/o/saml2?idpid=C0
        sso_url: https://accounts.google.com/o/saml2/idp?idpid=C0
        certificates:
          - ` + cert + `
`)
	}
	read := func(t *testing.T, content string) []connection.Declaration {
		t.Helper()
		declared, err := connection.ParseFile([]byte(content), files)
		if err != nil {
			t.Fatal(err)
		}
		return declared
	}
	t.Run("SSO-81 a SAML connection is new, the same, changed and gone", func(t *testing.T) {
		h := start(t)
		storetest.Same(t, "new", h.reconcile(t, read(t, file())...), connection.Reconciled{Created: []string{"corp"}, Enabled: []string{"corp"}})
		head := h.show(t, "corp").Head
		storetest.Same(t, "the same", h.reconcile(t, read(t, file())...), connection.Reconciled{})
		changed := read(t, file("idp:", "signed: both\n      idp:"))
		storetest.Same(t, "changed", h.reconcile(t, changed...), connection.Reconciled{Updated: []string{"corp"}, Enabled: []string{"corp"}})
		storetest.Same(t, "as it was", h.reconcile(t, read(t, file())...), connection.Reconciled{Updated: []string{"corp"}, Enabled: []string{"corp"}})
		if h.show(t, "corp").Serving != head {
			t.Error("one content has two hashes")
		}
		storetest.Same(t, "gone", h.reconcile(t), connection.Reconciled{Disabled: []string{"corp"}})
	})
	t.Run("SSO-81 all or nothing: another connection's entity id", func(t *testing.T) {
		h := start(t)
		h.create(t, corpSAML2("other", cert, "https://accounts.google.com/o/saml2?idpid=C0"))
		_, err := h.Reconcile(t.Context(), append(read(t, file()), declared(github("github"))))
		refused(t, err, connection.ErrIssuerTaken)
		if _, err := h.Show(t.Context(), "github"); err == nil {
			t.Error("the other half was made")
		}
	})
	t.Run("SSO-77 SSO-81 SAML-39 one entity id in two connections of the file", func(t *testing.T) {
		second := strings.TrimPrefix(file("id: corp", "id: other", "domains: [corp.example]", "domains: [other.example]"), "version: 1\nconnections:\n")
		_, err := connection.ParseFile([]byte(file()+second), files)
		if err == nil || !strings.Contains(err.Error(), "connections[1].saml.idp.entity_id (line 23, column 9): belongs to connection corp") {
			t.Error(err)
		}
	})
	t.Run("SSO-81 two providers that their metadata names are not one", func(t *testing.T) {
		one := "  - id: %s\n    name: Corp\n    preset: okta-saml\n    saml: { metadata_url: \"https://%s.example/m\" }\n"
		if _, err := connection.ParseFile([]byte("version: 1\nconnections:\n"+fmt.Sprintf(one, "one", "one")+fmt.Sprintf(one, "two", "two")), files); err != nil {
			t.Error(err)
		}
	})
	for _, tc := range []struct{ name, content, want string }{
		{"SSO-81 an unknown key", file("sso_url", "sso_address"), "connections[0].saml.idp.sso_address (line 12, column 9): is not known here"},
		{"SSO-81 a certificate file that is not there", file("certificates:\n          - "+cert, "certificates_file: /run/none.pem"), "connections[0].saml.idp.certificates_file (line 13, column 9): names a file that cannot be read"},
		{"SSO-81 a certificate that is none", file(cert, "hunter2"), "connections[0].saml.idp.certificates[0] (line 14, column 13): an X.509 certificate"},
		{"SSO-81 a subject that is neither", file("      idp:", "      subject: email\n      idp:"), "connections[0].saml.subject (line 10, column 7): has the wrong type"},
		{"SSO-81 the block of another protocol", file("    saml:", "    oidc: { client_id: x }\n    saml:"), "connections[0].oidc (line 9, column 5): not with this preset, which is of SAML 2.0"},
		{"SSO-81 guests elsewhere", file("    saml:", "    guests: allow\n    saml:"), "connections[0].guests"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := connection.ParseFile([]byte(tc.content), files)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "is missing") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q is not in\n%v", tc.want, err)
			}
		})
	}
}

// A subject is what people are known by: another one makes strangers of them.
func TestAnotherSubject(t *testing.T) {
	cert := inBase64(rsaCertificate(t))
	byAttribute := func(c connection.Content) connection.Content {
		c.Config.Claims.Subject, c.Config.SAML.SubjectFormats, c.Config.SAML.NameIDFormat = "id", nil, ""
		return c
	}
	wider := func(c connection.Content) connection.Content {
		c.Config.SAML.SubjectFormats = []string{connection.FormatPersistent, connection.FormatUnspecified}
		return c
	}
	ofOIDC := func(c connection.Content) connection.Content { c.Config.Claims.Subject = "oid"; return c }
	for name, tc := range map[string]struct{ before, after connection.Content }{
		"an attribute in the place of the NameID": {corpSAML("corp", cert), byAttribute(corpSAML("corp", cert))},
		"the NameID in the place of an attribute": {byAttribute(corpSAML("corp", cert)), corpSAML("corp", cert)},
		"further formats of the NameID":           {corpSAML("corp", cert), wider(corpSAML("corp", cert))},
		"another claim of OpenID Connect":         {okta("corp"), ofOIDC(okta("corp"))},
		"another protocol":                        {okta("corp"), corpSAML("corp", cert)},
	} {
		t.Run(name+" needs force with a reason once the connection has served", func(t *testing.T) {
			h := start(t)
			h.create(t, tc.before)
			h.update(t, tc.after) // nobody has signed in yet
			h.update(t, tc.before)
			first := h.show(t, "corp").Head
			h.passed(t, "corp", first)
			if _, err := h.Enable(t.Context(), "corp", first, operator); err != nil {
				t.Fatal(err)
			}
			_, err := h.Update(t.Context(), tc.after, first, operator)
			refused(t, err, connection.ErrSubjectChanges)
			v, err := h.Update(t.Context(), tc.after, first, forced("the provider was moved"))
			if err != nil {
				t.Fatal(err)
			}
			more := tc.after
			more.Config.Domains = []string{"more.example"}
			h.update(t, more) // was accepted, and is not asked again
			if _, err := h.Restore(t.Context(), "corp", first, h.show(t, "corp").Head, operator); err != nil {
				t.Errorf("what serves is the head again: %v", err)
			}
			_, err = h.Restore(t.Context(), "corp", v.Head, first, operator)
			refused(t, err, connection.ErrSubjectChanges)
		})
	}
	t.Run("SSO-81 in the file it needs enable: force, and refuses all of it else", func(t *testing.T) {
		h := start(t)
		d := declared(corpSAML("corp", cert))
		d.Enable, d.Reason = connection.EnableForce, "staging"
		h.reconcile(t, d)
		other := declared(byAttribute(corpSAML("corp", cert)))
		_, err := h.Reconcile(t.Context(), []connection.Declaration{other, declared(github("github"))})
		refused(t, err, connection.ErrSubjectChanges)
		if _, err := h.Show(t.Context(), "github"); err == nil {
			t.Error("the other half was made")
		}
		other.Enable, other.Reason = connection.EnableForce, "the provider was moved"
		h.reconcile(t, other)
		other.Enable, other.Reason = connection.EnableTested, ""
		storetest.Same(t, "once more", h.reconcile(t, other), connection.Reconciled{})
	})
}

// goldenSAML is a hash as goldenOIDC is.
const goldenSAML = "438783ac09d9ca553583297f7851ba66f9779fcc616fcc019bc9833bf880fdcf"

func TestTheHashOfASAMLRevision(t *testing.T) {
	key := bytes.Repeat([]byte{7}, secret.KeySize)
	t.Run("SSO-110 the hash of a SAML configuration stays, and members that are empty are no part of it", func(t *testing.T) {
		c := corpSAML("corp", "AAAA", "corp.example")
		if got := connection.Hash(key, c.Config, c.Secrets); got != goldenSAML {
			t.Errorf("%s, want %s", got, goldenSAML)
		}
		c.Config.SAML.Contexts, c.Config.SAML.Comparison, c.Config.SAML.Skew = []string{}, "", 0
		c.Config.SAML.EntityID, c.Config.SAML.MetadataURL, c.Config.SAML.IdP.Post = "", "", ""
		if got := connection.Hash(key, c.Config, c.Secrets); got != goldenSAML {
			t.Errorf("an empty member has made it %s", got)
		}
		c.Config.SAML.IdP.Certificates = []string{"AAAA", "BBBB"}
		if connection.Hash(key, c.Config, c.Secrets) == goldenSAML {
			t.Error("a further key is no new revision")
		}
	})
}
