// SPDX-License-Identifier: Apache-2.0

package connection_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

// ended is when the certificates of these tests are over.
var ended = storetest.Start.Add(100 * 24 * time.Hour).Truncate(time.Second)

var rsaKeyOf = func() map[int]func() *rsa.PrivateKey {
	keys := map[int]func() *rsa.PrivateKey{}
	for _, bits := range []int{1024, 2048} {
		keys[bits] = sync.OnceValue(func() *rsa.PrivateKey {
			key, err := rsa.GenerateKey(rand.Reader, bits)
			if err != nil {
				panic(err)
			}
			return key
		})
	}
	return keys
}()

// certificateOf makes a self-signed certificate, DER.
func certificateOf(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	template := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"}, NotBefore: storetest.Start.Add(-time.Hour), NotAfter: ended}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func rsaCertificate(t *testing.T) []byte { t.Helper(); return certificateOf(t, rsaKeyOf[2048]()) }

func ecCertificate(t *testing.T, curve elliptic.Curve) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return certificateOf(t, key)
}

func pemOf(t *testing.T, der []byte) string {
	t.Helper()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func inBase64(der []byte) string { return base64.StdEncoding.EncodeToString(der) }

// member is a mapping of an order.
type member = map[string]any

// order gives an administrator's order for a SAML connection.
func order(t *testing.T, preset string, saml member, more ...member) []byte {
	t.Helper()
	all := member{"name": "Corp", "preset": preset, "saml": saml}
	for _, m := range more {
		for k, v := range m {
			all[k] = v
		}
	}
	body, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// corpSAML is a complete connection whose provider's entity id is of its id.
func corpSAML(id, certificate string, domains ...string) connection.Content {
	c := connection.Content{
		ID: id, Name: "SAML " + id, Listed: true, Intents: []connection.Intent{connection.DeviceFlow},
		Config: connection.Config{
			Protocol: connection.SAML, Preset: "generic-saml", Callback: connection.CallbackOwn, Domains: domains,
			SAML: &connection.SAMLConfig{
				IdP:    &idpmetadata.IdP{EntityID: "http://" + id + ".example/", Redirect: "https://" + id + ".example/sso", Certificates: []string{certificate}},
				Signed: connection.SignedEither, ExpiredCertificates: connection.ExpiredWarn,
				NameIDFormat: connection.FormatPersistent, SubjectFormats: []string{connection.FormatPersistent},
			},
			Claims: connection.ClaimNames{Subject: connection.SubjectNameID, Email: "mail"},
		},
	}
	return c
}

// byURL is corpSAML whose metadata alone names the provider.
func byURL(id string) connection.Content {
	c := corpSAML(id, "")
	c.Config.SAML.IdP, c.Config.SAML.MetadataURL = nil, "https://"+id+".example/metadata"
	return c
}

func TestSAMLOrders(t *testing.T) {
	rsaDER, ecDER := rsaCertificate(t), ecCertificate(t, elliptic.P256())
	const sso = "https://accounts.google.com/o/saml2/idp?idpid=C0"
	typed := func(edit ...string) member {
		m := member{"entity_id": "https://accounts.google.com/o/saml2?idpid=C0", "sso_url": sso, "certificates": []string{pemOf(t, rsaDER)}}
		for i := 0; i < len(edit); i += 2 {
			m[edit[i]] = edit[i+1]
		}
		return m
	}

	t.Run("what a console shows is typed: address, entity id and certificate", func(t *testing.T) {
		c, err := connection.Declare(order(t, "google-saml", member{"idp": typed()}), "corp")
		if err != nil {
			t.Fatal(err)
		}
		want := connection.SAMLConfig{
			IdP:    &idpmetadata.IdP{EntityID: "https://accounts.google.com/o/saml2?idpid=C0", Redirect: sso, Certificates: []string{inBase64(rsaDER)}},
			Signed: "either", ExpiredCertificates: "warn", NameIDFormat: connection.FormatEmail, SubjectFormats: []string{connection.FormatEmail},
		}
		if diff := cmp.Diff(&want, c.Config.SAML); diff != "" || c.Config.Claims.Subject != connection.SubjectNameID {
			t.Error(diff, c.Config.Claims.Subject)
		}
	})
	t.Run("SAML-53 certificates in PEM, in base64 with line breaks and two in one text are stored in one form", func(t *testing.T) {
		broken := inBase64(rsaDER)[:64] + "\n  " + inBase64(rsaDER)[64:]
		want := []string{inBase64(rsaDER), inBase64(ecDER)}
		for _, given := range [][]string{{pemOf(t, rsaDER) + pemOf(t, ecDER)}, {broken, inBase64(ecDER)}, {"\n" + pemOf(t, rsaDER) + "\n", pemOf(t, ecDER)}} {
			idp := typed("sso_binding", "post")
			idp["certificates"] = given
			c, err := connection.Declare(order(t, "google-saml", member{"idp": idp}), "corp")
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Config.SAML.IdP; !slices.Equal(got.Certificates, want) || got.Post != sso || got.Redirect != "" {
				t.Errorf("%+v", got)
			}
		}
	})
	t.Run("the format that is asked for follows the subject", func(t *testing.T) {
		for _, tc := range []struct {
			preset  string
			saml    member
			subject string
			formats []string
			asked   string
		}{
			{"generic-saml", member{}, "name_id", []string{connection.FormatPersistent}, connection.FormatPersistent},
			{"generic-saml", member{"subject": member{"attribute": "urn:x:id"}}, "urn:x:id", nil, ""},
			{"generic-saml", member{"subject_formats": []string{"emailAddress", "persistent"}}, "name_id", []string{connection.FormatEmail, connection.FormatPersistent}, connection.FormatEmail},
			{"generic-saml", member{"subject_formats": []string{connection.FormatUnspecified}, "name_id_format": ""}, "name_id", []string{connection.FormatUnspecified}, ""},
			{"okta-saml", member{}, "id", nil, ""},
			{"okta-saml", member{"subject": "name_id"}, "name_id", []string{connection.FormatPersistent}, connection.FormatPersistent},
			{"okta-saml", member{"name_id_format": "unspecified"}, "id", nil, connection.FormatUnspecified},
		} {
			c, err := connection.Declare(order(t, tc.preset, tc.saml), "corp")
			if err != nil {
				t.Errorf("%v: %v", tc.saml, fault.Of(err).Details())
				continue
			}
			if got := c.Config; got.Claims.Subject != tc.subject || !slices.Equal(got.SAML.SubjectFormats, tc.formats) || got.SAML.NameIDFormat != tc.asked {
				t.Errorf("%v: %s, %+v", tc.saml, got.Claims.Subject, got.SAML)
			}
		}
	})
	t.Run("everything that can be said", func(t *testing.T) {
		c, err := connection.Declare(order(t, "entra-saml", member{
			"entity_id": "https://dify.example/saml", "metadata_url": "https://login.example/m?appid=1", "idp_entity_id": "https://sts.example/t/", "signed": "both",
			"authn_contexts": []string{"urn:a", "urn:b"}, "expired_certificates": "refuse", "skew": 300,
		}, member{"force_authn": true, "callback": "shared", "claims": member{"groups": "http://" + strings.Repeat("g", 248)}}), "corp")
		if err != nil {
			t.Fatal(fault.Of(err).Details())
		}
		want := connection.SAMLConfig{
			EntityID: "https://dify.example/saml", MetadataURL: "https://login.example/m?appid=1", IdPEntityID: "https://sts.example/t/", Signed: "both",
			Contexts: []string{"urn:a", "urn:b"}, Comparison: "exact", ExpiredCertificates: "refuse", Skew: 300,
		}
		if diff := cmp.Diff(&want, c.Config.SAML); diff != "" || !c.Config.ForceAuthn || c.Config.Issuer("corp") != "https://sts.example/t/" {
			t.Error(diff)
		}
	})

	const url = "https://idp.example/metadata"
	for _, tc := range []struct {
		name string
		saml member
		path string // empty for an order that is taken
	}{
		{"metadata on http of this machine", member{"metadata_url": "http://127.0.0.1:8080/m"}, ""},
		{"no facts yet", member{}, ""},
		{"SAML-52 metadata on http", member{"metadata_url": "http://idp.example/m"}, "saml.metadata_url"},
		{"SAML-52 metadata in a file", member{"metadata_url": "file:///etc/passwd"}, "saml.metadata_url"},
		{"an empty address", member{"metadata_url": ""}, "saml.metadata_url"},
		{"SSO-81 a file of this host", member{"metadata_file": "/etc/passwd"}, "saml.metadata_file"},
		{"SSO-81 a certificate file of this host", member{"idp": typed("certificates_file", "/etc/passwd")}, "saml.idp.certificates_file"},
		{"two sources", member{"metadata_url": url, "idp": typed()}, "saml.idp"},
		{"two sources, one of them pasted", member{"metadata_url": url, "metadata": "<a/>"}, "saml.metadata"},
		{"pasted text that is none", member{"metadata": "<a"}, "saml.metadata"},
		{"pasted text that is too long", member{"metadata": strings.Repeat(" ", 1<<20+1)}, "saml.metadata"},
		{"an entity id of the typed ones twice", member{"idp": typed(), "idp_entity_id": "https://idp.example"}, "saml.idp_entity_id"},
		{"SSO-77 an entity id of core's", member{"metadata_url": url, "idp_entity_id": "dify:account"}, "saml.idp_entity_id"},
		{"SSO-77 an entity id of core's in capitals", member{"idp": typed("entity_id", "DIFY:account")}, "saml.idp.entity_id"},
		{"SSO-77 the issuer of an OAuth 2.0 connection", member{"idp": typed("entity_id", "oauth2:github")}, "saml.idp.entity_id"},
		{"SSO-77 an entity id with a space", member{"idp": typed("entity_id", "https://idp example")}, "saml.idp.entity_id"},
		{"SSO-77 an entity id that is not ASCII", member{"idp": typed("entity_id", "https://idp.exämple")}, "saml.idp.entity_id"},
		{"SSO-77 an entity id of 256 bytes", member{"idp": typed("entity_id", strings.Repeat("a", 256))}, "saml.idp.entity_id"},
		{"SSO-77 no entity id", member{"idp": typed("entity_id", "")}, "saml.idp.entity_id"},
		{"an entity id of http, which is a name", member{"idp": typed("entity_id", "http://idp.example/adfs/services/trust")}, ""},
		{"an entity id of ours that is core's", member{"entity_id": "dify:core"}, "saml.entity_id"},
		{"SAML-52 an address on http", member{"idp": typed("sso_url", "http://idp.example")}, "saml.idp.sso_url"},
		{"SAML-52 an address that readers take for two", member{"idp": typed("sso_url", "https://idp.example/sso https://evil.example/")}, "saml.idp.sso_url"},
		{"SAML-52 an address that runs", member{"idp": typed("sso_url", "javascript:alert(1)")}, "saml.idp.sso_url"},
		{"an address with a state of its own", member{"idp": typed("sso_url", "https://idp.example/sso?RelayState=x")}, "saml.idp.sso_url"},
		{"no address", member{"idp": typed("sso_url", "")}, "saml.idp.sso_url"},
		{"another binding", member{"idp": typed("sso_binding", "artifact")}, "saml.idp.sso_binding"},
		{"no certificate", member{"idp": typed2(typed(), "certificates", []string{})}, "saml.idp.certificates"},
		{"a certificate twice", member{"idp": typed2(typed(), "certificates", []string{pemOf(t, rsaDER), inBase64(rsaDER)})}, "saml.idp.certificates.1"},
		{"SAML-20 a certificate of 1024 bits", member{"idp": typed2(typed(), "certificates", []string{inBase64(certificateOf(t, rsaKeyOf[1024]()))})}, "saml.idp.certificates.0"},
		{"SAML-20 a certificate on P-224", member{"idp": typed2(typed(), "certificates", []string{inBase64(ecCertificate(t, elliptic.P224()))})}, "saml.idp.certificates.0"},
		{"a certificate that is none", member{"idp": typed2(typed(), "certificates", []string{"aGk="})}, "saml.idp.certificates.0"},
		{"a private key in its place", member{"idp": typed2(typed(), "certificates", []string{"-----BEGIN PRIVATE KEY-----\naGk=\n-----END PRIVATE KEY-----\n"})}, "saml.idp.certificates.0"},
		{"text behind a certificate", member{"idp": typed2(typed(), "certificates", []string{pemOf(t, rsaDER) + "x"})}, "saml.idp.certificates.0"},
		{"another policy", member{"signed": "none"}, "saml.signed"},
		{"expired certificates are ignored", member{"expired_certificates": "ignore"}, "saml.expired_certificates"},
		{"a skew of 301 seconds", member{"skew": 301}, "saml.skew"},
		{"a skew below 0", member{"skew": -1}, "saml.skew"},
		{"no skew", member{"skew": 0}, ""},
		{"SSO-76 a transient subject", member{"subject_formats": []string{"urn:oasis:names:tc:SAML:2.0:nameid-format:transient"}}, "saml.subject_formats.0"},
		{"SSO-76 a transient NameID is asked for", member{"name_id_format": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"}, "saml.name_id_format"},
		{"SSO-76 a format that there is not", member{"subject_formats": []string{"lasting"}}, "saml.subject_formats.0"},
		{"SSO-76 no format", member{"subject_formats": []string{}}, "saml.subject_formats"},
		{"SSO-76 another format than the subject may have", member{"name_id_format": "unspecified"}, "saml.name_id_format"},
		{"SSO-76 formats of an attribute", member{"subject": member{"attribute": "id"}, "subject_formats": []string{"persistent"}}, "saml.subject_formats"},
		{"SSO-76 another word for the subject", member{"subject": "nameid"}, "saml.subject"},
		{"SSO-76 a subject with a second member", member{"subject": member{"attribute": "id", "format": "x"}}, "saml.subject"},
		{"SSO-76 an attribute called name_id", member{"subject": member{"attribute": "name_id"}}, "saml.subject"},
		{"SSO-76 an empty attribute", member{"subject": member{"attribute": ""}}, "saml.subject.attribute"},
		{"SSO-76 an address as the attribute", member{"subject": member{"attribute": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"}}, "saml.subject.attribute"},
		{"SSO-76 a user name as the attribute", member{"subject": member{"attribute": "Username"}}, "saml.subject.attribute"},
		{"SSO-76 an address by its number", member{"subject": member{"attribute": "urn:oid:0.9.2342.19200300.100.1.3"}}, "saml.subject.attribute"},
		{"eleven contexts", member{"authn_contexts": strings.Split(strings.Repeat("urn:a ", 10)+"urn:b", " ")}, "saml.authn_contexts"},
		{"a context with a space", member{"authn_contexts": []string{"urn:a b"}}, "saml.authn_contexts.0"},
		{"another comparison", member{"authn_contexts": []string{"urn:a"}, "authn_context_comparison": "better"}, "saml.authn_context_comparison"},
		{"a comparison of nothing", member{"authn_context_comparison": "exact"}, "saml.authn_context_comparison"},
		{"an unknown member", member{"allow_unsolicited": true}, "saml.allow_unsolicited"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := connection.Declare(order(t, "generic-saml", tc.saml), "corp")
			if tc.path == "" {
				if err != nil {
					t.Fatal(fault.Of(err).Details())
				}
				return
			}
			if !errors.Is(err, connection.ErrInvalid) || !refuses(err, tc.path) {
				t.Errorf("%v %+v", err, fault.Of(err).Details())
			}
		})
	}
	t.Run("claims.subject is saml.subject here", func(t *testing.T) {
		_, err := connection.Declare(order(t, "generic-saml", member{}, member{"claims": member{"subject": "id"}}), "corp")
		if !refuses(err, "claims.subject") {
			t.Error(err)
		}
	})
	t.Run("another protocol's block, and none", func(t *testing.T) {
		_, err := connection.Declare(order(t, "generic-oidc", member{}), "corp")
		if !refuses(err, "saml") || !refuses(err, "oidc") {
			t.Error(fault.Of(err).Details())
		}
		if _, err = connection.Declare([]byte(`{"name":"Corp","preset":"okta-saml"}`), "corp"); !refuses(err, "saml") {
			t.Error(fault.Of(err).Details())
		}
	})
}

// typed2 sets one member that is no text.
func typed2(m member, name string, value any) member { m[name] = value; return m }

// refuses reports whether an error names a member.
func refuses(err error, path string) bool {
	return err != nil && slices.ContainsFunc(fault.Of(err).Details(), func(d fault.Detail) bool {
		parts := make([]string, len(d.Loc))
		for i, l := range d.Loc {
			text, _ := json.Marshal(l)
			parts[i] = strings.Trim(string(text), `"`)
		}
		return strings.Join(parts, ".") == path
	})
}
