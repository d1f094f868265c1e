// SPDX-License-Identifier: Apache-2.0

//go:build unix

package redisdb

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// selfSigned writes a certificate of 127.0.0.1 and its key.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestEncryptedAndWithPassword(t *testing.T) {
	cert, key := selfSigned(t)
	const password = "pa55,w@rd"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	testserver.StartRedis(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no",
		"--user", "core", "on", ">"+password, "~core:*", "+@all", "--user", "default", "on", "nopass", "~*", "+ping")

	encoded := "rediss://core:" + strings.NewReplacer(",", "%2C", "@", "%40").Replace(password) + "@" + addr
	db := open(t, Options{URL: secret.New(encoded), CAFile: cert, KeyPrefix: "core:"})
	if _, err := db.Do(t.Context(), "set", db.Key("k", "a"), "v"); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"roots of the system alone": {URL: secret.New(encoded)},
		"another password":          {URL: secret.New("rediss://core:hidden-word@" + addr), CAFile: cert},
		"no encryption":             {URL: secret.New("redis://core:hidden-word@" + addr)},
	} {
		if _, err := Open(t.Context(), o); err == nil {
			t.Errorf("%s: opened", name)
		} else if strings.Contains(err.Error(), "hidden-word") || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v tells the password", name, err)
		}
	}
}
