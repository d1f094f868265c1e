// SPDX-License-Identifier: Apache-2.0

package onhost_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	pemfile "encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// certified makes a certificate for both host names, as files hold it, and whom to trust.
func certified(t testing.TB) (certificate, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: coreHost}, DNSNames: []string{coreHost, bridgeHost},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate = string(pemfile.EncodeToMemory(&pemfile.Block{Type: "CERTIFICATE", Bytes: der}))
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(certificate))
	return certificate, string(pemfile.EncodeToMemory(&pemfile.Block{Type: "PRIVATE KEY", Bytes: secret})), roots
}

// until waits for a port to be taken.
func until(t testing.TB, p *process.Process, address string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-p.Ended:
			t.Fatalf("it ended: %s", p.Said)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing answers at %s: %s", address, p.Said)
		}
	}
}
