// SPDX-License-Identifier: Apache-2.0

package oidcrp

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

const (
	keysLive  = 15 * time.Minute // a withdrawn key is dead after it
	keysRest  = 30 * time.Second // between two fetches because no key fits
	maxKeys   = 100
	leastRSA  = 2048 // bits
	mostRSA   = 8192 // more costs without being needed
	maxKeyID  = 255  // bytes; a longer one is nobody's
	useSig    = "sig"
	opsVerify = "verify"
)

// keyState is the key set of a source, under its lock.
type keyState struct {
	set     []key
	uri     string
	readAt  time.Time
	triedAt time.Time
}

// key is one that may verify ID tokens.
type key struct {
	id        string
	algorithm string // the only one it is for, or empty
	issuer    string // of Entra ID: a template, or one tenant's
	public    any
}

// fits reports whether a key can make signatures of an algorithm: its type decides, and
// what the key says of itself.
func (k key) fits(algorithm string) bool {
	if k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	switch p := k.public.(type) {
	case *rsa.PublicKey:
		return slices.Contains([]string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, algorithm)
	case *ecdsa.PublicKey:
		return map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512"}[p.Curve] == algorithm
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}

// parseKeys reads a key set (RFC 7517 section 5). A key that cannot be used is left out:
// for encryption, symmetric, weak, malformed, or one of several with the same kid, since
// nobody could say which is meant. Certificates and addresses in a key are not looked at.
func parseKeys(body []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := wire.JSON(body, &set, wire.Ignore); err != nil {
		return nil, err
	}
	if set.Keys == nil {
		return nil, errors.New("oidcrp: the key set has no keys")
	}
	var out []key
	count := map[string]int{}
	for _, raw := range set.Keys[:min(len(set.Keys), maxKeys)] {
		k, ok := parseKey(raw)
		if !ok {
			continue
		}
		count[k.id]++
		out = append(out, k)
	}
	return slices.DeleteFunc(out, func(k key) bool { return k.id != "" && count[k.id] > 1 }), nil
}

func parseKey(raw json.RawMessage) (key, bool) {
	var m claims
	if json.Unmarshal(raw, &m) != nil {
		return key{}, false
	}
	if use, there := m["use"]; there && string(use) != strconv.Quote(useSig) {
		return key{}, false
	}
	if _, there := m["key_ops"]; there {
		if ops, ok := m.list("key_ops"); !ok || !slices.Contains(ops, opsVerify) {
			return key{}, false
		}
	}
	// Only what makes a public key is handed to the library.
	public := map[string]json.RawMessage{}
	for _, name := range []string{"kty", "n", "e", "crv", "x", "y"} {
		if v, there := m[name]; there {
			public[name] = v
		}
	}
	clean, err := json.Marshal(public)
	if err != nil {
		return key{}, false
	}
	var j jose.JSONWebKey
	if j.UnmarshalJSON(clean) != nil || !j.Valid() || !j.IsPublic() {
		return key{}, false
	}
	if r, ok := j.Key.(*rsa.PublicKey); ok && (r.N.BitLen() < leastRSA || r.N.BitLen() > mostRSA) {
		return key{}, false
	}
	k := key{public: j.Key}
	k.id, _ = m.text("kid")
	k.algorithm, _ = m.text("alg")
	k.issuer, _ = m.text("issuer")
	return k, true
}

// verify checks the signature of an ID token and gives its payload and the key. When no
// key fits, the set is read once more, at most every thirty seconds.
func (x *exchange) verify(ctx context.Context, raw string, h header) ([]byte, key, error) {
	set, err := x.keySet(ctx, false)
	if err != nil {
		return nil, key{}, err
	}
	payload, k, ok := tryKeys(ctx, set, raw, h)
	if !ok {
		if set, err = x.keySet(ctx, true); err != nil {
			return nil, key{}, err
		}
		payload, k, ok = tryKeys(ctx, set, raw, h)
	}
	if !ok {
		return nil, key{}, failure.New(failure.OIDCSignature).With("kid", h.keyID).With("keys", strconv.Itoa(len(set)))
	}
	return payload, k, nil
}

// tryKeys verifies with the key that the header names, or with each of the type.
func tryKeys(ctx context.Context, set []key, raw string, h header) ([]byte, key, bool) {
	if len(h.keyID) > maxKeyID {
		return nil, key{}, false
	}
	for _, k := range set {
		if h.hasKeyID && k.id != h.keyID || !k.fits(h.algorithm) {
			continue
		}
		one := oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{k.public}}
		if payload, err := one.VerifySignature(ctx, raw); err == nil {
			return payload, k, true
		}
	}
	return nil, key{}, false
}

// keySet gives the keys, remembered or read. With renew it reads them again unless that
// was done just now.
func (x *exchange) keySet(ctx context.Context, renew bool) ([]key, error) {
	s, now := x.source, x.Now()
	s.mu.Lock()
	k := s.keys
	s.mu.Unlock()
	live := k.set != nil && k.uri == x.endpoints.JWKS && now.Sub(k.readAt) < keysLive
	if live && (!renew || now.Sub(k.triedAt) < keysRest) {
		return k.set, nil
	}
	return shared(ctx, &s.flight, "keys "+x.endpoints.JWKS, x.readKeys)
}

func (x *exchange) readKeys(ctx context.Context) ([]key, error) {
	s, uri := x.source, x.endpoints.JWKS
	s.mu.Lock()
	s.keys.triedAt = x.Now()
	s.mu.Unlock()
	r, err := x.line.Get(ctx, uri, http.Header{"Accept": {"application/json", "application/jwk-set+json"}})
	if err != nil {
		return nil, unread(failure.OIDCKeys, err)
	}
	if r.Status != http.StatusOK {
		return nil, answered(failure.OIDCKeys, uri, r.Status)
	}
	set, err := parseKeys(r.Body)
	if err != nil {
		return nil, failure.New(failure.OIDCKeys).With("host", failure.HostOf(uri)).With("cause", "json").Because(err)
	}
	if set == nil {
		set = []key{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys.set, s.keys.uri, s.keys.readAt = set, uri, x.Now()
	return set, nil
}
