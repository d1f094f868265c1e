// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

// pair writes a certificate for sso.example.com and its key.
func pair(t *testing.T, until time.Time) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"sso.example.com"},
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return written(t, "CERTIFICATE", der), written(t, "PRIVATE KEY", private)
}

func written(t *testing.T, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCertificateSettings(t *testing.T) {
	const public = "CONSOLE_API_URL=https://sso.example.com"
	cert, key := pair(t, time.Now().Add(24*time.Hour))
	_, other := pair(t, time.Now().Add(24*time.Hour))
	over, overKey := pair(t, time.Now().Add(-24*time.Hour))
	locked := written(t, "ENCRYPTED PRIVATE KEY", []byte("secret"))
	nonsense := written(t, "CERTIFICATE", []byte("secret"))
	open := written(t, "PRIVATE KEY", nil)
	content, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(open, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, cert, key, public string
		want                    string // a problem
		warns                   string
	}{
		{name: "neither", public: public},
		{name: "both", cert: cert, key: key, public: public},
		{name: "the certificate alone", cert: cert, public: public, want: "TLS_KEY_FILE: is required with TLS_CERT_FILE"},
		{name: "the key alone", key: key, public: public, want: "TLS_CERT_FILE: is required with TLS_KEY_FILE"},
		{name: "a public address of http", cert: cert, key: key, public: "CONSOLE_API_URL=http://127.0.0.1:5001", want: "CONSOLE_API_URL: must be https with TLS_CERT_FILE"},
		{name: "no certificate there", cert: cert + "x", key: key, public: public, want: "TLS_CERT_FILE: cannot be read: no such file"},
		{name: "no key there", cert: cert, key: key + "x", public: public, want: "TLS_KEY_FILE: cannot be read: no such file"},
		{name: "the two swapped", cert: key, key: cert, public: public, want: "TLS_CERT_FILE: holds no certificate in PEM form"},
		{name: "another's key", cert: cert, key: other, public: public, want: "TLS_KEY_FILE: does not hold the key of the certificate"},
		{name: "a key with a password", cert: cert, key: locked, public: public, want: "TLS_KEY_FILE: holds no private key in PEM form, or one that a password protects"},
		{name: "no certificate in it", cert: nonsense, key: key, public: public, want: "TLS_CERT_FILE: holds a certificate that cannot be parsed"},
		{name: "one that is over", cert: over, key: overKey, public: public, warns: "and not now"},
		{name: "one of another host", cert: cert, key: key, public: "CONSOLE_API_URL=https://other.example.com", warns: "no certificate for other.example.com"},
		{name: "a key that everybody can read", cert: cert, key: open, public: public, warns: "can be read by everybody"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := app.Load(app.Sources{Environ: []string{tc.public, "TLS_CERT_FILE=" + tc.cert, "TLS_KEY_FILE=" + tc.key}})
			if err == nil {
				_, err = s.Certificate(time.Now, telemetry.NewLogger(io.Discard, 0, "json"))
			}
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Fatalf("err = %v", err)
			}
			if err != nil {
				if strings.Contains(err.Error(), "c2VjcmV0") {
					t.Fatal("the error shows the file")
				}
				return
			}
			if warned := strings.Join(s.Warnings, "\n"); tc.warns == "" && warned != "" || !strings.Contains(warned, tc.warns) {
				t.Fatalf("warnings: %s", warned)
			}
		})
	}
}
