// SPDX-License-Identifier: Apache-2.0

package idptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha512" // for Hash.New
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"sync"
	"time"
)

// Key is a signing key of the provider.
type Key struct {
	ID        string
	Algorithm string
	Private   crypto.Signer
}

// RSA keys take a while to make, so the tests of a process share them; they sign nothing
// but what this package issues.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

// RSA is the first key, for RS256.
func RSA() Key { return Key{ID: "rsa-1", Algorithm: "RS256", Private: rsaKey()} }

// EC is a new P-256 key.
func EC(id string) Key {
	return Key{ID: id, Algorithm: "ES256", Private: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
}

// Ed is a new Ed25519 key.
func Ed(id string) Key {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return Key{ID: id, Algorithm: "EdDSA", Private: private}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// JWK is the public half as it is published.
func (k Key) JWK() map[string]any {
	out := map[string]any{"kid": k.ID, "alg": k.Algorithm, "use": "sig"}
	switch p := k.Private.Public().(type) {
	case *rsa.PublicKey:
		out["kty"], out["n"], out["e"] = "RSA", enc(p.N.Bytes()), enc(big.NewInt(int64(p.E)).Bytes())
	case *ecdsa.PublicKey:
		point := must(p.Bytes())
		half := (len(point) - 1) / 2
		out["kty"], out["crv"], out["x"], out["y"] = "EC", p.Curve.Params().Name, enc(point[1:1+half]), enc(point[1+half:])
	case ed25519.PublicKey:
		out["kty"], out["crv"], out["x"] = "OKP", "Ed25519", enc(p)
	}
	return out
}

func enc(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Token is an ID token before it is signed.
type Token struct {
	Header map[string]any
	Claims map[string]any
	// Key signs by the algorithm that the header names.
	Key Key
	// Payload takes the place of the claims' JSON when it is set, Head that of the header's.
	Payload, Head []byte
	// Secret signs when the header names an HMAC.
	Secret []byte
	// Text changes the serialization at last.
	Text func(string) string
	// Access and Code are what at_hash and c_hash are about.
	Access, Code string
}

// issue makes the ID token of a grant. p.mu is held.
func (p *Provider) issue(g grant) string {
	now := p.now()
	t := &Token{
		Header: map[string]any{"alg": p.signing.Algorithm, "kid": p.signing.ID, "typ": "JWT"},
		Claims: map[string]any{
			"iss": p.URL, "aud": ClientID, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
			"nonce": g.nonce, "auth_time": g.at.Unix(), "at_hash": HalfHash(p.signing.Algorithm, g.access),
		},
		Key: p.signing, Access: g.access, Code: g.code,
	}
	for name, value := range g.claims {
		t.Claims[name] = value
	}
	for _, name := range p.infoOnly {
		delete(t.Claims, name)
	}
	for _, f := range p.token {
		f(t)
	}
	return t.Sign()
}

// HalfHash is the value of at_hash and c_hash.
func HalfHash(algorithm, value string) string {
	h := hashOf(algorithm).New()
	h.Write([]byte(value))
	sum := h.Sum(nil)
	return enc(sum[:len(sum)/2])
}

func hashOf(algorithm string) crypto.Hash {
	switch {
	case strings.HasSuffix(algorithm, "384"):
		return crypto.SHA384
	case strings.HasSuffix(algorithm, "512"), algorithm == "EdDSA":
		return crypto.SHA512
	}
	return crypto.SHA256
}

// Sign gives the compact serialization.
func (t *Token) Sign() string {
	head, payload := t.Head, t.Payload
	if head == nil {
		head = must(json.Marshal(t.Header))
	}
	if payload == nil {
		payload = must(json.Marshal(t.Claims))
	}
	algorithm, _ := t.Header["alg"].(string)
	signed := enc(head) + "." + enc(payload)
	text := signed + "." + enc(t.signature(algorithm, []byte(signed)))
	if t.Text != nil {
		text = t.Text(text)
	}
	return text
}

func (t *Token) signature(algorithm string, signed []byte) []byte {
	if len(algorithm) < 2 || strings.EqualFold(algorithm, "none") {
		return nil
	}
	hash := hashOf(algorithm)
	if algorithm[:2] == "HS" {
		m := hmac.New(hash.New, t.Secret)
		m.Write(signed)
		return m.Sum(nil)
	}
	h := hash.New()
	h.Write(signed)
	sum := h.Sum(nil)
	switch private := t.Key.Private.(type) {
	case *rsa.PrivateKey:
		var options crypto.SignerOpts = hash
		if algorithm[0] == 'P' {
			options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
		}
		return must(private.Sign(rand.Reader, sum, options))
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, sum)
		if err != nil {
			panic(err)
		}
		size := (private.Curve.Params().BitSize + 7) / 8
		out := make([]byte, 2*size)
		r.FillBytes(out[:size])
		s.FillBytes(out[size:])
		return out
	case ed25519.PrivateKey:
		return ed25519.Sign(private, signed)
	}
	return nil
}
