// SPDX-License-Identifier: Apache-2.0

package idpmetadata_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// issue makes a certificate of a name, in base64 of its DER.
func issue(key crypto.Signer, subject, issuer string, end time.Time) string {
	t := &x509.Certificate{SerialNumber: big.NewInt(end.Unix()), Subject: pkix.Name{CommonName: subject}, NotBefore: now.Add(-time.Hour), NotAfter: end}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: issuer}}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func rsaKey(bits int) crypto.Signer {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

func ecKey(c elliptic.Curve) crypto.Signer {
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// keys are made once: an RSA key takes its time.
var keys = sync.OnceValue(func() (k struct {
	rsa, ec, other string
	rsaKey, ecKey  crypto.Signer
}) {
	k.rsaKey, k.ecKey = rsaKey(2048), ecKey(elliptic.P256())
	k.rsa, k.ec = issue(k.rsaKey, "a", "a", now.AddDate(3, 0, 0)), issue(k.ecKey, "b", "b", now.AddDate(5, 0, 0))
	k.other = issue(ecKey(elliptic.P384()), "c", "c", now.AddDate(1, 0, 0))
	return k
})

func filled(text string) string {
	k := keys()
	return strings.NewReplacer("@RSA@", k.rsa, "@EC@", k.ec, "@OTHER@", k.other).Replace(text)
}

func sample(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".xml"))
	if err != nil {
		t.Fatal(err)
	}
	return filled(string(b))
}

func ruleOf(err error) string {
	if e, ok := errors.AsType[*idpmetadata.Error](err); ok {
		return e.Rule
	}
	return ""
}

func TestProvidersAreRead(t *testing.T) {
	k := keys()
	for name, want := range map[string]struct {
		idp   idpmetadata.IdP
		terms idpmetadata.Terms
	}{
		"okta": {idp: idpmetadata.IdP{
			EntityID: "http://www.okta.com/exk1fcia6d6EMsf331d8",
			Redirect: "https://corp.okta.com/app/corp_sso_1/exk1fcia6d6EMsf331d8/sso/saml", Post: "https://corp.okta.com/app/corp_sso_1/exk1fcia6d6EMsf331d8/sso/saml",
			Certificates: []string{k.rsa},
		}},
		"entra": {idp: idpmetadata.IdP{
			EntityID:     "https://sts.windows.net/1f0c9d7c-6a54-4b8e-9d3c-0f6a1c2b3d4e/",
			Redirect:     "https://login.microsoftonline.com/1f0c9d7c-6a54-4b8e-9d3c-0f6a1c2b3d4e/saml2",
			Post:         "https://login.microsoftonline.com/1f0c9d7c-6a54-4b8e-9d3c-0f6a1c2b3d4e/saml2",
			Certificates: []string{k.rsa, k.ec},
		}},
		"google": {idp: idpmetadata.IdP{
			EntityID: "https://accounts.google.com/o/saml2?idpid=C03abcdef",
			Redirect: "https://accounts.google.com/o/saml2/idp?idpid=C03abcdef", Post: "https://accounts.google.com/o/saml2/idp?idpid=C03abcdef",
			Certificates: []string{k.rsa, k.ec},
		}, terms: idpmetadata.Terms{ValidUntil: time.Date(2031, 11, 25, 12, 0, 0, 0, time.UTC)}},
		"keycloak": {idp: idpmetadata.IdP{
			EntityID: "https://keycloak.corp.example/realms/corp",
			Redirect: "https://keycloak.corp.example/realms/corp/protocol/saml", Post: "https://keycloak.corp.example/realms/corp/protocol/saml",
			Certificates: []string{k.rsa},
		}},
		"adfs": {idp: idpmetadata.IdP{
			EntityID: "http://adfs.corp.example/adfs/services/trust", Redirect: "https://adfs.corp.example/adfs/ls/", Post: "https://adfs.corp.example/adfs/ls/",
			Certificates: []string{k.rsa, k.ec},
		}, terms: idpmetadata.Terms{CacheDuration: 6 * time.Hour}},
	} {
		t.Run("SAML-53 "+name, func(t *testing.T) {
			got, terms, err := idpmetadata.Parse([]byte(sample(t, name)), want.idp.EntityID, now)
			if err != nil {
				t.Fatal(err)
			}
			if got.EntityID != want.idp.EntityID || got.Redirect != want.idp.Redirect || got.Post != want.idp.Post || !slices.Equal(got.Certificates, want.idp.Certificates) || terms != want.terms {
				t.Errorf("%+v, %+v", got, terms)
			}
			if all, err := idpmetadata.Certificates(got); err != nil || len(all) != len(got.Certificates) || len(idpmetadata.Fingerprint(all[0])) != 64 {
				t.Error(len(all), err)
			}
		})
	}
}

// plain is a document of which tests change one part.
const plain = `<?xml version="1.0"?>
<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" entityID="https://idp.example/id">
<md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:1.1:protocol urn:oasis:names:tc:SAML:2.0:protocol">
<md:KeyDescriptor use="signing"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>@RSA@</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>
<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example/sso"/>
</md:IDPSSODescriptor>
</md:EntityDescriptor>`

const descriptor = `<md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://evil.example/sso"/></md:IDPSSODescriptor>`

func service(binding, location string) string {
	return `<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:` + binding + `" Location="` + location + `"/>`
}

func with(old, replaced string) string {
	if strings.Count(plain, old) != 1 {
		panic(old)
	}
	return strings.Replace(plain, old, replaced, 1)
}

func TestDocumentsThatAreRefused(t *testing.T) {
	const (
		key   = `<md:KeyDescriptor use="signing"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>@RSA@</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`
		id    = `entityID="https://idp.example/id"`
		where = `Location="https://idp.example/sso"`
		end   = `</md:IDPSSODescriptor>`
	)
	many := strings.Builder{}
	for range idpmetadata.MaxCertificates + 1 {
		many.WriteString(strings.Replace(key, "@RSA@", issue(keys().ecKey, "m", "m", now.AddDate(1, 0, many.Len())), 1))
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak := func(k crypto.Signer) string { return with("@RSA@", issue(k, "w", "w", now.AddDate(1, 0, 0))) }
	for _, tc := range []struct{ name, text, rule string }{
		{"SAML-52 a second IdP descriptor after the first", with(end, end+descriptor), "several_idp"},
		{"SAML-52 a second IdP descriptor before the first", with(`<md:IDPSSODescriptor`, descriptor+`<md:IDPSSODescriptor`), "several_idp"},
		{"SAML-52 another entity id than the connection's", with(id, `entityID="https://evil.example/id"`), "entity_id_other"},
		{"SAML-52 an entity id that is one but for a slash", with(id, `entityID="https://idp.example/id/"`), "entity_id_other"},
		{"SAML-52 an address javascript:", with(where, `Location="javascript:alert(1)"`), "address"},
		{"SAML-52 a form address javascript: beside a good one", with(end, service("HTTP-POST", "javascript:alert(1)//https://idp.example")+end), "address"},
		{"SAML-52 a second redirect address javascript:", with(end, service("HTTP-Redirect", "javascript:alert(1)")+end), "address"},
		{"SAML-52 an address data:", with(where, `Location="data:text/html,x"`), "address"},
		{"SAML-52 an address http", with(where, `Location="http://idp.example/sso"`), "address"},
		{"SAML-52 an address with a user", with(where, `Location="https://idp.example@evil.example/sso"`), "address"},
		{"SAML-52 an address with a fragment", with(where, `Location="https://idp.example/sso#"`), "address"},
		{"SAML-52 an address with a space", with(where, `Location="https://idp.example/ sso"`), "address"},
		{"SAML-52 an address without a host", with(where, `Location="https:///sso"`), "address"},
		{"SAML-52 an address that is relative", with(where, `Location="//idp.example/sso"`), "address"},
		{"SAML-52 an address of 2 049 characters", with(where, `Location="https://idp.example/`+strings.Repeat("a", 2029)+`"`), "address"},
		{"SAML-52 an address that brings a request along", with(where, `Location="https://idp.example/sso?SAMLRequest=a"`), "address"},
		{"SAML-52 an address of which nobody can read the path", with(where, `Location="https://idp.example/%zz"`), "address"},
		{"SAML-52 an address of which nobody can read the query", with(where, `Location="https://idp.example/sso?a=%zz"`), "address"},
		{"SAML-52 a chain of which one is no certificate", with("</md:IDPSSODescriptor>", `<md:KeyDescriptor><ds:KeyInfo><ds:X509Data><ds:X509Certificate>@EC@</ds:X509Certificate><ds:X509Certificate>aGk=</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor></md:IDPSSODescriptor>`), "certificate"},
		{"SAML-52 an external entity", strings.Replace(plain, `<md:Entity`, `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><md:Entity`, 1), "xml"},
		{"SAML-52 an external DTD", strings.Replace(plain, `<md:Entity`, `<!DOCTYPE x SYSTEM "https://evil.example/x.dtd"><md:Entity`, 1), "xml"},
		{"SAML-52 an entity in the entity id", with(id, `entityID="&e;"`), "xml"},
		{"SAML-52 a stylesheet", strings.Replace(plain, `<md:Entity`, `<?xml-stylesheet href="https://evil.example/x.xsl"?><md:Entity`, 1), "xml"},
		{"SAML-52 an inclusion is not followed", with(`<md:IDPSSO`, `<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="https://evil.example/x"/><md:IDPSSO`), ""},
		{"SAML-52 20 001 elements", with(end, end+strings.Repeat("<md:a/>", 20_000)), "xml"},
		{"SAML-52 a depth of 33", with(end, end+strings.Repeat("<md:a>", 32)+strings.Repeat("</md:a>", 32)), "xml"},
		{"SAML-52 a comment within text", with("@RSA@", "@RSA@<!-- -->"), "xml"},
		{"SAML-52 UTF-16", "\xff\xfe<\x00", "xml"},
		{"SAML-52 two marks", "\xef\xbb\xbf\xef\xbb\xbf" + plain, "xml"},
		{"SAML-52 nothing", "", "xml"},
		{"SAML-52 a page of HTML", "<html><body>Sign in</body></html>", "root"},
		{"SAML-52 a root of another namespace", strings.ReplaceAll(plain, "SAML:2.0:metadata", "SAML:2.1:metadata"), "root"},
		{"SAML-52 several entities", `<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata"/>`, "entities"},
		{"SAML-52 a service provider", strings.ReplaceAll(plain, "IDPSSODescriptor", "SPSSODescriptor"), "no_idp"},
		{"SAML-52 a descriptor of another namespace", strings.ReplaceAll(strings.ReplaceAll(plain, "md:IDPSSO", "x:IDPSSO"), "xmlns:md=", `xmlns:x="urn:x" xmlns:md=`), "no_idp"},
		{"SAML-52 SAML 1.1 alone", with(" urn:oasis:names:tc:SAML:2.0:protocol", ""), "protocol"},
		{"SAML-52 no entity id", with(id, ""), "entity_id"},
		{"SAML-52 an entity id of another namespace", with(id, `md:entityID="https://idp.example/id"`), "entity_id"},
		{"SAML-52 an entity id of ours", with(id, `entityID="Dify:account"`), "entity_id"},
		{"SAML-52 an entity id like that of OAuth 2.0", with(id, `entityID="oauth2:github"`), "entity_id"},
		{"SAML-52 an entity id of 256 bytes", with(id, `entityID="`+strings.Repeat("a", 256)+`"`), "entity_id"},
		{"SAML-52 an entity id that is not ASCII", with(id, `entityID="https://idp.exämple"`), "entity_id"},
		{"SAML-52 an entity id with a space", with(id, `entityID=" https://idp.example/id"`), "entity_id"},
		{"SAML-52 no binding that is used", with("bindings:HTTP-Redirect", "bindings:SOAP"), "binding"},
		{"SAML-52 no key", with(key, ""), "certificate"},
		{"SAML-52 a key for encryption alone", with(`use="signing"`, `use="encryption"`), "certificate"},
		{"SAML-52 a certificate that is none", with("@RSA@", "QUJD"), "certificate"},
		{"SAML-52 a certificate that is no base64", with("@RSA@", "@RSA@!"), "certificate"},
		{"SAML-52 eleven keys", with(key, many.String()), "certificates"},
		{"SAML-52 RSA of 1024 bits", weak(rsaKey(1024)), "weak_key"},
		{"SAML-52 ECDSA on P-224", weak(ecKey(elliptic.P224())), "weak_key"},
		{"SAML-52 Ed25519", weak(edwards), "weak_key"},
		{"SAML-52 a document that is over", with(id, id+` validUntil="2026-11-27T12:00:00Z"`), "valid_until"},
		{"SAML-52 a role that is over", with("<md:IDPSSODescriptor ", `<md:IDPSSODescriptor validUntil="2026-11-27T11:59:59" `), "valid_until"},
		{"SAML-52 an end that is no time", with(id, id+` validUntil="soon"`), "valid_until"},
		{"SAML-52 a duration that is none", with(id, id+` cacheDuration="6 hours"`), "cache_duration"},
		{"SAML-52 a duration of nothing", with(id, id+` cacheDuration="P"`), "cache_duration"},
		{"SAML-52 a duration of no time", with(id, id+` cacheDuration="P1DT"`), "cache_duration"},
		{"SAML-52 a duration below nothing", with(id, id+` cacheDuration="-PT1H"`), "cache_duration"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, _, err := idpmetadata.Parse([]byte(filled(tc.text)), "https://idp.example/id", now)
			if rule := ruleOf(err); rule != tc.rule || (err == nil) != (tc.rule == "") {
				t.Fatalf("%v, want %q", err, tc.rule)
			}
			if err == nil {
				return
			}
			if got.EntityID != "" || got.Certificates != nil {
				t.Error("facts came with a refusal")
			}
			if e, _ := errors.AsType[*idpmetadata.Error](err); !strings.HasSuffix(e.Message, ".") || strings.Contains(e.Message+e.Error(), "evil") {
				t.Errorf("%q", e.Message)
			}
		})
	}
}

func TestDocumentsThatAreTaken(t *testing.T) {
	k := keys()
	for _, tc := range []struct{ name, text string }{
		{"SAML-52 `use` absent", with(` use="signing"`, "")},
		{"SAML-52 comments between elements", with("<md:KeyDescriptor ", "<!-- until March --><md:KeyDescriptor ")},
		{"SAML-52 a descriptor of SAML 1.1 beside it", with("</md:IDPSSODescriptor>", `</md:IDPSSODescriptor><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:1.1:protocol"/>`)},
		{"SAML-52 an address javascript: of a binding that is not used", with("</md:IDPSSODescriptor>", service("SOAP", "javascript:alert(1)")+"</md:IDPSSODescriptor>")},
		{"SAML-52 another redirect address after the first", with("</md:IDPSSODescriptor>", service("HTTP-Redirect", "https://second.example/sso")+"</md:IDPSSODescriptor>")},
		{"SAML-52 an attribute of another namespace beside the entity id", with("entityID=", `xmlns:x="urn:x" x:entityID="https://evil.example" entityID=`)},
		{"SAML-52 the same certificate twice", with("</md:IDPSSODescriptor>", `<md:KeyDescriptor><ds:KeyInfo><ds:X509Data><ds:X509Certificate> @RSA@
</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor></md:IDPSSODescriptor>`)},
		{"SAML-52 a key without a certificate beside it", with("</md:IDPSSODescriptor>", `<md:KeyDescriptor><ds:KeyInfo><ds:KeyName>k</ds:KeyName></ds:KeyInfo></md:KeyDescriptor></md:IDPSSODescriptor>`)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, terms, err := idpmetadata.Parse([]byte(filled(tc.text)), "", now)
			if err != nil || got.EntityID != "https://idp.example/id" || got.Redirect != "https://idp.example/sso" || got.Post != "" || !slices.Equal(got.Certificates, []string{k.rsa}) || terms != (idpmetadata.Terms{}) {
				t.Errorf("%+v %+v %v", got, terms, err)
			}
		})
	}
	t.Run("SAML-52 of a chain the authority signs no response", func(t *testing.T) {
		leaf, authority := issue(k.ecKey, "leaf", "root", now.AddDate(1, 0, 0)), issue(k.rsaKey, "root", "root", now.AddDate(9, 0, 0))
		for _, chain := range [][2]string{{leaf, authority}, {authority, leaf}} {
			text := with("@RSA@", chain[0]+"</ds:X509Certificate><ds:X509Certificate>"+chain[1])
			if got, _, err := idpmetadata.Parse([]byte(text), "", now); err != nil || !slices.Equal(got.Certificates, []string{leaf}) {
				t.Errorf("%d certificates, %v", len(got.Certificates), err)
			}
		}
	})
	t.Run("SAML-54 a certificate that is over", func(t *testing.T) {
		if _, _, err := idpmetadata.Parse([]byte(with("@RSA@", issue(k.ecKey, "o", "o", now.Add(-time.Minute)))), "", now); err != nil {
			t.Error(err)
		}
	})
}

func TestSize(t *testing.T) {
	padded := func(size int) []byte {
		text := filled(plain)
		text += "<!--" + strings.Repeat("x", 8<<10) + "-->"
		return []byte(text + strings.Repeat(" ", size-len(text)))
	}
	for _, tc := range []struct {
		name string
		size int
		ok   bool
	}{
		{"300 KiB", 300 << 10, true},
		{"1 MiB", 1 << 20, true},
		{"1 MiB + 1", 1<<20 + 1, false},
		{"SAML-52 50 MB", 50_000_000, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, _, err := idpmetadata.Parse(padded(tc.size), "", now); (err == nil) != tc.ok || !tc.ok && ruleOf(err) != "xml" {
				t.Error(err)
			}
		})
	}
	t.Run("300 KiB of claim types, as AD FS has them", func(t *testing.T) {
		const one = `<auth:ClaimType Uri="http://schemas.xmlsoap.org/claims/%d" Optional="true" xmlns:auth="http://docs.oasis-open.org/wsfed/authorization/200706"><auth:DisplayName>Claim</auth:DisplayName><auth:Description>A claim of the user</auth:Description></auth:ClaimType>`
		var claims strings.Builder
		for i := 0; claims.Len() < 300<<10; i++ {
			fmt.Fprintf(&claims, one, i)
		}
		text := strings.Replace(sample(t, "adfs"), "</fed:ClaimTypesRequested>", claims.String()+"</fed:ClaimTypesRequested>", 1)
		if _, _, err := idpmetadata.Parse([]byte(text), "", now); err != nil {
			t.Error(err)
		}
	})
}

func TestTerms(t *testing.T) {
	for _, tc := range []struct {
		entity, role string
		want         idpmetadata.Terms
	}{
		{`cacheDuration="P1DT2H3M4.5S"`, "", idpmetadata.Terms{CacheDuration: 26*time.Hour + 3*time.Minute + 4*time.Second}},
		{`cacheDuration="P1Y1M"`, `cacheDuration="PT0S"`, idpmetadata.Terms{CacheDuration: 395 * 24 * time.Hour}},
		{`cacheDuration="P9999Y99999M"`, `cacheDuration="PT9999999H"`, idpmetadata.Terms{CacheDuration: 3650 * 24 * time.Hour}},
		{`validUntil="2026-12-01T00:00:00Z"`, `validUntil="2026-11-30T02:00:00.5+02:00"`, idpmetadata.Terms{ValidUntil: time.Date(2026, 11, 30, 0, 0, 0, 500_000_000, time.UTC)}},
		{`validUntil="2026-12-01T00:00:00"`, `cacheDuration="PT1H"`, idpmetadata.Terms{ValidUntil: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), CacheDuration: time.Hour}},
	} {
		text := strings.NewReplacer("entityID=", tc.entity+" entityID=", "<md:IDPSSODescriptor ", "<md:IDPSSODescriptor "+tc.role+" ").Replace(plain)
		if _, got, err := idpmetadata.Parse([]byte(filled(text)), "", now); err != nil || got != tc.want {
			t.Errorf("%s %s: %+v %v", tc.entity, tc.role, got, err)
		}
	}
}

func TestTypedFacts(t *testing.T) {
	k := keys()
	der, _ := base64.StdEncoding.DecodeString(k.rsa)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	got, err := idpmetadata.Checked(idpmetadata.IdP{EntityID: "https://idp.example/id", Post: "http://127.0.0.1:8080/sso", Certificates: []string{text, k.rsa}})
	if err != nil || !slices.Equal(got.Certificates, []string{k.rsa}) {
		t.Errorf("%+v %v", got, err)
	}
	for name, c := range map[string]string{
		"two":   text + text,
		"a key": strings.ReplaceAll(text, "CERTIFICATE", "PRIVATE KEY"),
	} {
		if _, err := idpmetadata.Checked(idpmetadata.IdP{EntityID: "a", Post: "https://idp.example/sso", Certificates: []string{c}}); ruleOf(err) != "certificate" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for form, ok := range map[string]bool{k.rsa: true, k.ec: true, k.other: true, text: false, k.rsa + "\n": false} {
		if _, kept := idpmetadata.Kept(form); kept != ok {
			t.Errorf("%.40q is kept: %t", form, kept)
		}
	}
	if _, err := idpmetadata.Checked(idpmetadata.IdP{EntityID: "a", Post: "javascript:alert(1)", Certificates: []string{text}}); ruleOf(err) != "address" {
		t.Error(err)
	}
}
