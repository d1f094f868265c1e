// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"crypto/hmac"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/wire"
)

// MaxMessage is the longest message that is looked at, in bytes.
const MaxMessage = 4096

// maxDepth is the deepest nesting of claims; the object itself is the first level.
const maxDepth = 4

// Reason says where verification stopped. It is for audit alone: whoever sent the
// message never learns it.
type Reason string

// The reasons, in the order of the checks.
const (
	Shape     Reason = "shape"     // size, parts or base64url
	Header    Reason = "header"    // not exactly alg, kid and typ
	Algorithm Reason = "algorithm" // not HS256
	Type      Reason = "type"      // of another audience
	KeyID     Reason = "kid"       // unknown, or past its verify_until
	MAC       Reason = "mac"
	Claims    Reason = "claims" // missing, unknown, doubled or of another type
	For       Reason = "aud"
	From      Reason = "iss"
	Time      Reason = "time" // not yet, no more, or a life above the cap
	ID        Reason = "jti"
)

// RefusedError is every refusal of a message.
type RefusedError struct {
	Reason Reason
	// KID is the entry that the message names, where it has the form of one.
	KID string
	// Skew is by how much a time lies outside, for Time.
	Skew time.Duration
}

// Error implements error and carries nothing of the message.
func (e *RefusedError) Error() string { return "envelope: refused: " + string(e.Reason) }

// Verify gives the claims of a message for this audience, or *RefusedError. It stops at
// the first failure, and believes no byte before the MAC has been compared.
func (c *Codec[C]) Verify(message string) (claims C, r Registered, err error) {
	signed, parts, ok := split(message)
	if !ok {
		return claims, r, &RefusedError{Reason: Shape}
	}
	kid, refused := c.checkHeader(parts[0])
	if refused != "" {
		return claims, r, &RefusedError{Reason: refused}
	}
	fail := func(reason Reason) error { return &RefusedError{Reason: reason, KID: kid} }
	now := c.Now()
	key, err := c.Keys.Current().Verify(kid, string(c.Audience), c.Owner, now)
	if err != nil {
		return claims, r, &RefusedError{Reason: KeyID}
	}
	if !hmac.Equal(parts[2], mac(key, signed)) {
		return claims, r, fail(MAC)
	}
	if !c.decode(parts[1], &r, &claims) {
		return claims, r, fail(Claims)
	}
	switch {
	case r.Audience != string(c.Audience):
		return claims, r, fail(For)
	case r.Issuer != c.Issuer:
		return claims, r, fail(From)
	case !isID(r.ID):
		return claims, r, fail(ID)
	}
	if skew, ok := c.inTime(r, now); !ok {
		return claims, r, &RefusedError{Reason: Time, KID: kid, Skew: skew}
	}
	return claims, r, nil
}

// split takes a compact serialization apart (RFC 7515 section 7.1). Only the canonical
// base64url of each part counts, so that no two texts are one message.
func split(message string) (signed string, parts [3][]byte, ok bool) {
	texts := strings.Split(message, ".")
	if len(message) > MaxMessage || len(texts) != len(parts) {
		return "", parts, false
	}
	for i, text := range texts {
		raw, err := b64.DecodeString(text)
		if err != nil || len(raw) == 0 || b64.EncodeToString(raw) != text {
			return "", parts, false
		}
		parts[i] = raw
	}
	return texts[0] + "." + texts[1], parts, true
}

func (c *Codec[C]) checkHeader(raw []byte) (kid string, refused Reason) {
	var h struct {
		Algorithm *string `json:"alg"`
		KeyID     *string `json:"kid"`
		Type      *string `json:"typ"`
	}
	if shallow(raw, 1) && wire.JSON(raw, &h, wire.Refuse) == nil && h.Algorithm != nil && h.KeyID != nil && h.Type != nil {
		switch {
		case *h.Algorithm != algorithm:
			return "", Algorithm
		case *h.Type != c.Audience.typ():
			return "", Type
		}
		return *h.KeyID, ""
	}
	return "", Header
}

// decode reads the claims strictly: each known one once and of its type, each required
// one present, none that is null or that nobody knows.
func (c *Codec[C]) decode(raw []byte, r *Registered, claims *C) bool {
	if !shallow(raw, maxDepth) || wire.JSON(raw, &struct{}{}, wire.Ignore) != nil {
		return false
	}
	all := map[string]json.RawMessage{}
	if json.Unmarshal(raw, &all) != nil {
		return false
	}
	own, rest := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	for name, value := range all {
		switch {
		case string(value) == "null":
			return false
		case slices.Contains(registered, name):
			own[name] = value
		default:
			rest[name] = value
		}
	}
	if len(own) != len(registered) {
		return false
	}
	for _, name := range c.required {
		if _, ok := rest[name]; !ok {
			return false
		}
	}
	return fill(own, r) && fill(rest, claims)
}

func fill(members map[string]json.RawMessage, dst any) bool {
	raw, err := json.Marshal(members)
	return err == nil && wire.JSON(raw, dst, wire.Refuse) == nil
}

// shallow bounds the nesting before any parser sees the text: a recursive one pays for
// depth with its stack.
func shallow(raw []byte, most int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}

// inTime judges iat, exp and the life between them.
func (c *Codec[C]) inTime(r Registered, now time.Time) (skew time.Duration, ok bool) {
	seconds, leeway := now.Unix(), int64(Leeway/time.Second)
	switch life := r.Expires - r.IssuedAt; {
	case r.IssuedAt > seconds+leeway:
		return time.Duration(r.IssuedAt-seconds) * time.Second, false
	case r.Expires < seconds-leeway:
		return time.Duration(r.Expires-seconds) * time.Second, false
	default:
		return 0, life > 0 && life <= int64(c.Audience.Life()/time.Second) && r.IssuedAt >= 0
	}
}

func isID(s string) bool {
	raw, err := b64.DecodeString(s)
	return err == nil && len(raw) == idBytes && b64.EncodeToString(raw) == s
}
