// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// certificate is a pair in PEM.
type certificate struct{ cert, key []byte }

// authority signs certificates.
type authority struct {
	pem  []byte
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority of a test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func (a *authority) sign(t testing.TB, names ...string) certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(80 * 24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return certificate{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})}
}

// inner is a certificate for the Services of a component, by every name of theirs.
func (a *authority) inner(t testing.TB, component string) map[string][]byte {
	t.Helper()
	var names []string
	for _, service := range []string{"", "-inner", "-replicas-inner"} {
		short := release + "-dify-sso-" + component + service
		for _, suffix := range []string{"", "." + namespace, "." + namespace + ".svc", "." + namespace + ".svc.cluster.local"} {
			names = append(names, short+suffix)
		}
	}
	c := a.sign(t, names...)
	return map[string][]byte{"tls.crt": c.cert, "tls.key": c.key}
}

// stores are a database and a Redis of their own for a service, at addresses that pods
// reach.
func (n *node) stores() (postgres, redis, prefix string) {
	n.t.Helper()
	postgres = testserver.Postgres(n.t)
	redis, prefix = testserver.Redis(n.t)
	return n.reach(postgres, 3, "5432"), n.reach(redis, 4, "6379"), prefix
}

// reach gives an address of this machine's server on the network.
func (n *node) reach(address string, host int, number string) string {
	n.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		n.t.Fatal(err)
	}
	at, server := net.JoinHostPort(n.net.at(host), number), u.Host
	n.mu.Lock()
	there := n.reached[at]
	n.reached[at] = true
	n.mu.Unlock()
	if !there {
		forward(n.t, at, func() string { return server })
	}
	u.Host = at
	return u.String()
}

// draw applies what "core secrets init --kubernetes" prints, with the placeholders
// filled in by name of the Secret and key.
func (n *node) draw(t testing.TB, filled map[string]string, args ...string) {
	t.Helper()
	printed := process.Do(t, nil, "", process.Program(t, "core"), append([]string{"secrets", "init", "--kubernetes", release, "--namespace", namespace}, args...)...)
	for _, document := range regexp.MustCompile(`(?m)^---$`).Split(printed, -1) {
		var s corev1.Secret
		if err := yaml.UnmarshalStrict([]byte(document), &s); err != nil {
			t.Fatalf("core secrets init prints no Secret: %v", err)
		}
		if s.Kind == "" {
			continue
		}
		if s.Kind != "Secret" || s.Namespace != namespace {
			t.Fatalf("%s %s in %q", s.Kind, s.Name, s.Namespace)
		}
		content := map[string][]byte{}
		for k, v := range s.Data {
			content[k] = v
		}
		for k, v := range s.StringData {
			if to, there := filled[s.Name+"/"+k]; there {
				if !strings.HasPrefix(v, "FILL IN") {
					t.Fatalf("%s/%s is no placeholder", s.Name, k)
				}
				v = to
			} else if strings.HasPrefix(v, "FILL IN") {
				t.Fatalf("nothing to fill %s/%s in with", s.Name, k)
			}
			content[k] = []byte(v)
		}
		n.mu.Lock()
		n.secrets[s.Name] = content
		n.mu.Unlock()
	}
}
