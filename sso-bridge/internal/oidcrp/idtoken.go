// SPDX-License-Identifier: Apache-2.0

package oidcrp

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

const (
	maxIDToken = 32 << 10 // bytes
	skew       = 60       // seconds, between the two clocks
	maxAge     = 600      // seconds since iat
	maxLife    = 86400    // seconds between iat and exp
	maxSubject = 255      // bytes
)

// Algorithms that a connection may name, and those it takes when it names none. Neither
// "none" nor an HMAC is among them, whatever discovery says.
var (
	known     = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	byDefault = []string{"RS256", "PS256", "ES256", "EdDSA"}
)

// header is the protected header of an ID token, as far as it is looked at. jku, x5u,
// x5c and jwk are not: keys come from the provider's pinned address alone.
type header struct {
	algorithm string
	keyID     string
	hasKeyID  bool
}

func shape(rule string) *failure.Error {
	return failure.New(failure.OIDCTokenShape).With("rule", rule)
}

var b64 = base64.RawURLEncoding.Strict()

// decode gives the bytes of a part in its one canonical form; the library's decoder
// skips line breaks.
func decode(part string) ([]byte, bool) {
	raw, err := b64.DecodeString(part)
	return raw, err == nil && b64.EncodeToString(raw) == part
}

// parseHeader judges the outer form of an ID token: a compact JWS (RFC 7515 section 7.1)
// with nothing critical in its header, of the type JWT or none.
func parseHeader(raw string) (header, error) {
	if len(raw) > maxIDToken {
		return header{}, shape("size")
	}
	parts := strings.Split(raw, ".")
	switch len(parts) {
	case 3:
	case 5:
		return header{}, shape("encrypted")
	default:
		return header{}, shape("compact")
	}
	head, ok := decode(parts[0])
	if !ok {
		return header{}, shape("base64url")
	}
	c, err := parseClaims(head)
	if err != nil {
		return header{}, shape("header")
	}
	for _, name := range []string{"crit", "b64", "zip", "enc"} {
		if c.mentions(name) {
			return header{}, shape(name)
		}
	}
	if typ, ok := c.text("typ"); c.mentions("typ") && (!ok || typ != "JWT") {
		return header{}, shape("typ")
	}
	h := header{}
	h.algorithm, _ = c.text("alg")
	if h.keyID, h.hasKeyID = c.text("kid"); c.mentions("kid") && !h.hasKeyID {
		return header{}, shape("kid")
	}
	return h, nil
}

// idToken judges the ID token and gives its claims.
func (x *exchange) idToken(ctx context.Context, got tokens, code secret.Text) (claims, error) {
	h, err := parseHeader(got.id)
	if err != nil {
		return nil, err
	}
	taken := x.oidc.Algorithms
	if len(taken) == 0 {
		taken = byDefault
	}
	if !slices.Contains(taken, h.algorithm) || !slices.Contains(known, h.algorithm) {
		return nil, failure.New(failure.OIDCAlgorithm).With("algorithm", h.algorithm).Showing(strings.Join(taken, " "), h.algorithm)
	}
	x.trace.Algorithms = []string{h.algorithm}
	parts := strings.Split(got.id, ".")
	if payload, ok := decode(parts[1]); !ok || len(payload) == 0 {
		return nil, shape("payload")
	}
	if _, ok := decode(parts[2]); !ok {
		return nil, shape("base64url")
	}
	payload, k, err := x.verify(ctx, got.id, h)
	if err != nil {
		return nil, err
	}
	c, err := parseClaims(payload)
	if err != nil {
		return nil, shape("claims")
	}
	for _, check := range []func() error{
		func() error { return x.checkIssuer(c, k) },
		func() error { return x.checkAudience(c) },
		func() error { return x.checkTime(c, got.date) },
		func() error { return x.checkNonce(c) },
		func() error { return checkHash(c, "at_hash", h.algorithm, got.access) },
		func() error { return checkHash(c, "c_hash", h.algorithm, code) },
		func() error { return checkSubject(c, "sub") },
		func() error { return x.checkSignIn(c) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (x *exchange) checkAudience(c claims) error {
	id := x.oidc.ClientID
	audiences, ok := c.list("aud")
	if !ok || !slices.Contains(audiences, id) {
		return failure.New(failure.OIDCAudience).With("where", "aud").Showing(id, strings.Join(audiences, " "))
	}
	azp, ok := c.text("azp")
	if c.has("azp") && (!ok || azp != id) || len(audiences) > 1 && !ok {
		return failure.New(failure.OIDCAudience).With("where", "azp").Showing(id, azp)
	}
	return nil
}

// checkTime judges exp, iat and nbf. The trace shows how far the clocks differ: by the
// provider's Date where it sent one, else by iat.
func (x *exchange) checkTime(c claims, date time.Time) error {
	now := x.Now().Unix()
	refuse := func(claim string, off int64) error {
		return failure.New(failure.OIDCTime).With("claim", claim).With("skew_s", strconv.FormatInt(off, 10))
	}
	issued, ok := c.whole("iat")
	if !ok {
		return failure.New(failure.OIDCTime).With("claim", "iat")
	}
	if date.IsZero() {
		off := float64(issued - now)
		x.trace.ClockSkew = &off
	}
	expires, ok := c.whole("exp")
	if !ok {
		return failure.New(failure.OIDCTime).With("claim", "exp")
	}
	// Compared, never subtracted before it is known to be near: no sum overflows.
	switch {
	case issued > now+skew, issued < now-maxAge:
		return refuse("iat", issued-now)
	case expires <= now-skew:
		return refuse("exp", expires-now)
	case expires > issued+maxLife:
		return failure.New(failure.OIDCTime).With("claim", "exp").Showing(fmt.Sprintf("a life of at most %d s", maxLife), "a longer one")
	}
	if c.has("nbf") {
		before, ok := c.whole("nbf")
		if !ok {
			return failure.New(failure.OIDCTime).With("claim", "nbf")
		}
		if before > now+skew {
			return refuse("nbf", before-now)
		}
	}
	return nil
}

func (x *exchange) checkNonce(c claims) error {
	nonce, ok := c.text("nonce")
	want := x.request.Material.Nonce
	if !ok || want.IsZero() || !want.Equal(secret.New(nonce)) {
		return failure.New(failure.OIDCNonce).With("present", strconv.FormatBool(c.has("nonce")))
	}
	return nil
}

// checkHash judges at_hash and c_hash where they are (OpenID Connect Core section
// 3.3.2.11): the left half of the digest that belongs to the algorithm.
func checkHash(c claims, name, algorithm string, value secret.Text) error {
	if !c.has(name) {
		return nil
	}
	var digest []byte
	switch {
	case strings.HasSuffix(algorithm, "256"):
		d := sha256.Sum256([]byte(value.Reveal()))
		digest = d[:]
	case strings.HasSuffix(algorithm, "384"):
		d := sha512.Sum384([]byte(value.Reveal()))
		digest = d[:]
	default: // the 512s, and Ed25519, which is built on SHA-512
		d := sha512.Sum512([]byte(value.Reveal()))
		digest = d[:]
	}
	got, ok := c.text(name)
	want := b64.EncodeToString(digest[:len(digest)/2])
	if !ok || value.IsZero() || subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
		return failure.New(failure.OIDCHash).With("rule", name)
	}
	return nil
}

// checkSubject judges a claim that identifies: 1 to 255 bytes of printable ASCII.
func checkSubject(c claims, name string) error {
	if !c.has(name) {
		return failure.New(failure.SubjectMissing).With("claim", name)
	}
	subject, ok := c.text(name)
	printable := !strings.ContainsFunc(subject, func(r rune) bool { return r < ' ' || r > '~' })
	if !ok || subject == "" || len(subject) > maxSubject || !printable {
		return failure.New(failure.SubjectMalformed).With("claim", name).With("length", strconv.Itoa(len(c[name])))
	}
	return nil
}

// checkSignIn judges how and when the person signed in there.
func (x *exchange) checkSignIn(c claims) error {
	at, ok := c.whole("auth_time")
	if c.has("auth_time") && !ok {
		return failure.New(failure.OIDCTime).With("claim", "auth_time")
	}
	if ok {
		age := x.Now().Unix() - at
		x.trace.AuthAge = &age
	}
	if x.fresh() {
		least := x.request.Material.RequestedAt.Unix() - skew
		if !ok || at < least {
			return failure.New(failure.OIDCStale).Showing("auth_time since "+utc(least), utcIf(ok, at))
		}
	}
	acr, _ := c.text("acr")
	x.trace.ACR = bounded(acr)
	if x.oidc.ACRRequired && !slices.Contains(x.oidc.ACRValues, acr) {
		return failure.New(failure.OIDCACR).Showing(strings.Join(x.oidc.ACRValues, " "), acr)
	}
	return nil
}

func utc(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }

func utcIf(there bool, seconds int64) string {
	if !there {
		return "no auth_time"
	}
	return utc(seconds)
}

// bounded cuts a foreign word for the trace.
func bounded(s string) string {
	if len(s) > maxSubject {
		s = s[:maxSubject]
	}
	return strings.ToValidUTF8(s, "?")
}
