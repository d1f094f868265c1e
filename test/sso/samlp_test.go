// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// samlp is npm samlp as a process: a provider for every connection, whose entity id is the
// server's address and the connection's id.
type samlp struct {
	*process
	url string
}

// newSamlp starts providers for connections of an installation: by connection what differs
// of samlp's options, see provider.mjs.
func newSamlp(t testing.TB, in *install, variants map[string]settings) *samlp {
	t.Helper()
	modules, err := filepath.Abs(filepath.Join("..", "..", ".cache", "samlp"))
	if err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("SAMLP"); dir != "" {
		modules = dir
	}
	if _, err := os.Stat(filepath.Join(modules, "node_modules", "samlp")); err != nil {
		testserver.Missing(t, "npm samlp", err)
	}
	script, err := filepath.Abs(filepath.Join("samlp", "provider.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	var first string
	for id, v := range variants {
		first, v["acs"] = id, in.consumer(id)
	}
	list, err := json.Marshal(variants)
	if err != nil {
		t.Fatal(err)
	}
	address := freePort(t, "127.0.0.1")
	s := &samlp{url: "http://" + address}
	key, cert := signingKey(t)
	s.process = start(t, []string{"MODULES=" + modules, "LISTEN=" + address, "URL=" + s.url, "VARIANTS=" + string(list), "KEY=" + key, "CERT=" + cert}, "node", "--no-deprecation", script)
	s.until(s.metadata(first))
	return s
}

func (s *samlp) metadata(id string) string { return s.url + "/" + id + "/meta" }

// encryptTo are samlp's options to encrypt to a key that nobody has.
func encryptTo(t testing.TB) settings {
	t.Helper()
	_, cert := signingKey(t)
	block, _ := pem.Decode([]byte(cert))
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(parsed.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return settings{"encryptionCert": cert, "encryptionPublicKey": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
}
