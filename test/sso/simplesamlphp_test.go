// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// settings are one provider's or service's entry in SimpleSAMLphp's metadata.
type settings map[string]any

// simplesamlphp is a server of SimpleSAMLphp with a provider for every connection, whose
// entity id is the server's address and the connection's id.
type simplesamlphp struct {
	*process
	t   testing.TB
	dir string
	url string
	// providers and services are what its metadata files read, by connection and entity id.
	providers, services map[string]settings
}

// newSimpleSAMLphp starts one that knows no service yet.
func newSimpleSAMLphp(t testing.TB) *simplesamlphp {
	t.Helper()
	root := os.Getenv("SIMPLESAMLPHP")
	if root == "" {
		root = "/usr/share/simplesamlphp"
	}
	if _, err := os.Stat(filepath.Join(root, "www", "saml2", "idp", "SSOService.php")); err != nil {
		testserver.Missing(t, "SimpleSAMLphp", err)
	}
	if _, err := exec.LookPath("php"); err != nil {
		testserver.Missing(t, "php", err)
	}
	own, err := filepath.Abs("simplesamlphp")
	if err != nil {
		t.Fatal(err)
	}
	address := freePort(t, "127.0.0.1")
	s := &simplesamlphp{t: t, dir: t.TempDir(), url: "http://" + address, providers: map[string]settings{}, services: map[string]settings{}}
	if err := os.Mkdir(filepath.Join(s.dir, "sessions"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.key("idp")
	s.write()
	// One process: workers of PHP's server outlive it when it is killed.
	s.process = start(t, []string{
		"SSP_DIR=" + s.dir, "SSP_URL=" + s.url, "SSP_ROOT=" + root, "SIMPLESAMLPHP_CONFIG_DIR=" + filepath.Join(own, "config"),
	}, "php", "-d", "opcache.enable_cli=1", "-d", "display_errors=0", "-S", address, "-t", filepath.Join(root, "www"), filepath.Join(own, "router.php"))
	s.until(s.metadata("any"))
	return s
}

func (s *simplesamlphp) entity(id string) string   { return s.url + "/" + id }
func (s *simplesamlphp) metadata(id string) string { return s.base(id) + "saml2/idp/metadata.php" }
func (s *simplesamlphp) base(id string) string     { return s.entity(id) + "/simplesaml/" }

// key makes a signing key and gives the name of its files.
func (s *simplesamlphp) key(name string) string {
	s.t.Helper()
	return s.keyUntil(name, time.Now().Add(90*24*time.Hour))
}

// keyUntil makes one whose certificate ends at a time.
func (s *simplesamlphp) keyUntil(name string, until time.Time) string {
	s.t.Helper()
	key, cert := signingKeyUntil(s.t, until)
	for ending, content := range map[string]string{".key": key, ".crt": cert} {
		if err := os.WriteFile(filepath.Join(s.dir, name+ending), []byte(content), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return name
}

// asked counts how often the metadata of a connection's provider was read.
func (s *simplesamlphp) asked(id string) int {
	return strings.Count(s.said.String(), "GET "+strings.TrimPrefix(s.metadata(id), s.url)+"\n")
}

// write has every request from now on read what is known.
func (s *simplesamlphp) write() {
	s.t.Helper()
	for name, list := range map[string]map[string]settings{"idps.json": s.providers, "sps.json": s.services} {
		content, err := json.Marshal(list)
		if err != nil {
			s.t.Fatal(err)
		}
		path := filepath.Join(s.dir, name)
		if err := os.WriteFile(path+".new", content, 0o600); err != nil {
			s.t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			s.t.Fatal(err)
		}
	}
}

// serves registers a connection of an installation as a service; switches are those of
// saml20-sp-remote.
func (s *simplesamlphp) serves(in *install, id string, switches settings) {
	s.t.Helper()
	service := settings{"AssertionConsumerService": []settings{{
		"index": 0, "isDefault": true, "Binding": "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST", "Location": in.consumer(id),
	}}}
	maps.Copy(service, switches)
	s.services[in.serviceEntity(id)] = service
	s.write()
}

// signIn fills the login form in and arrives at the page that posts the answer.
func (p *page) signIn(person string) *page {
	p.b.t.Helper()
	return p.must(http.StatusOK, "AuthState").submit("?", "username", person, "password", person+"pass").must(http.StatusOK, "SAMLResponse")
}

// consumer is the address of a connection's assertion consumer service.
func (in *install) consumer(id string) string { return in.bridge.url + "/sso/saml/acs/" + id }

// serviceEntity is a connection's entity id, which is the address of its metadata.
func (in *install) serviceEntity(id string) string { return in.bridge.url + "/sso/saml/metadata/" + id }

var certificates = regexp.MustCompile(`(?s)<(?:[a-z]+:)?X509Certificate>([^<]+)</`)

// published gives the certificates in a connection's metadata, as base64 of DER.
func (in *install) published(id string) (list []string) {
	in.t.Helper()
	p := newBrowser(in.t).open(in.serviceEntity(id)).must(http.StatusOK, "SPSSODescriptor")
	for _, found := range certificates.FindAllStringSubmatch(p.body, -1) {
		list = append(list, strings.Join(strings.Fields(found[1]), ""))
	}
	if len(list) == 0 {
		in.t.Fatalf("no certificate in\n%s", p.body)
	}
	return list
}

// trust lists certificates as keys of a service, as SimpleSAMLphp's metadata wants them.
func trust(certificates ...string) (keys []settings) {
	for _, c := range certificates {
		keys = append(keys, settings{"type": "X509Certificate", "signing": true, "encryption": false, "X509Certificate": c})
	}
	return keys
}

// samlConnection is the YAML of a connection to a SAML provider, enabled at once and
// reached by an address in the domain ID.test; saml are lines of its saml block, more of
// the connection.
func samlConnection(id, metadata string, saml []string, more ...string) string {
	lines := []string{
		"  - id: " + id, "    name: " + strings.ToUpper(id[:1]) + id[1:], "    preset: generic-saml", "    enable: force", "    reason: a connection of a test",
		"    intents: [device_flow]", "    domains: [" + id + ".test]", "    saml:", "      metadata_url: " + metadata,
	}
	for _, line := range saml {
		lines = append(lines, "      "+line)
	}
	if !strings.Contains(strings.Join(more, " "), "claims:") {
		lines = append(lines, "    claims: { email: email, name: name, groups: groups }")
	}
	for _, line := range more {
		lines = append(lines, "    "+line)
	}
	return strings.Join(lines, "\n") + "\n"
}

// signingKey makes a key and a certificate of it, as PEM.
func signingKey(t testing.TB) (key, cert string) {
	t.Helper()
	return signingKeyUntil(t, time.Now().Add(90*24*time.Hour))
}

func signingKeyUntil(t testing.TB, until time.Time) (key, cert string) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "a provider of a test"},
		NotBefore: time.Now().Add(-90 * 24 * time.Hour), NotAfter: until,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
}

// derOf is a PEM certificate as base64 of DER.
func derOf(t testing.TB, certificate string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(certificate))
	if block == nil {
		t.Fatal("no PEM")
	}
	return base64.StdEncoding.EncodeToString(block.Bytes)
}
