// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/crewjam/saml/samlidp"
)

// newSamlidp serves the provider of the library that our requests are made with, with one
// person and one connection as its service, and gives its address. It never proves alone
// what the other providers do not. Without a signature method it signs with its own choice.
func newSamlidp(t testing.TB, id, method string) (address string, serves func(in *install)) {
	t.Helper()
	key, cert := signingKey(t)
	private, _ := pem.Decode([]byte(key))
	public, _ := pem.Decode([]byte(cert))
	parsed, err := x509.ParsePKCS8PrivateKey(private.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		t.Fatal("the key signs nothing")
	}
	certificate, err := x509.ParseCertificate(public.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = "http://" + listener.Addr().String()
	handler, err := samlidp.New(samlidp.Options{
		URL: *mustParse(t, address), Key: parsed, Signer: signer, Certificate: certificate, Store: &samlidp.MemoryStore{}, Logger: log.New(io.Discard, "", 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	handler.IDP.SignatureMethod = method
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	put := func(path, body string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, address+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		if said, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusNoContent {
			t.Fatalf("%s: %d %s", path, answer.StatusCode, said)
		}
	}
	person, err := json.Marshal(map[string]any{"name": "alice", "password": "alicepass", "email": "alice@" + id + ".test", "common_name": "Alice Liddell", "groups": []string{"eng"}})
	if err != nil {
		t.Fatal(err)
	}
	put("/users/alice", string(person))
	return address, func(in *install) {
		put("/services/"+id, newBrowser(t).open(in.serviceEntity(id)).must(http.StatusOK, "SPSSODescriptor").body)
	}
}

// throughSamlidp signs alice in. Its form makes a session and no answer: what was asked is
// asked again.
func throughSamlidp(p *page) *page {
	p.b.t.Helper()
	asked := p.url.String()
	p.must(http.StatusOK, "SAMLRequest").submit("/login", "user", "alice", "password", "alicepass").must(http.StatusOK, "")
	return p.b.travel(p, http.MethodGet, asked, url.Values{}, 20).must(http.StatusOK, "SAMLResponse")
}
