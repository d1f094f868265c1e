// SPDX-License-Identifier: Apache-2.0

package keyset

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

// KeySize is the length of a derived key in bytes.
const KeySize = sha256.Size

// ErrUnknownKey: no entry has this kid, or it is past its verify_until.
var ErrUnknownKey = errors.New("keyset: no key of this id verifies")

// key is one entry of the set.
type key struct {
	secret      []byte
	verifyUntil time.Time // zero while the entry has no end
}

// Set is one content of the file. It is immutable.
type Set struct {
	active string
	keys   map[string]key
}

// Fixed makes a set of secrets that stand in no file, as vectors and tests need it; none
// of the file's rules is asked.
func Fixed(active string, secrets map[string][]byte) *Set {
	s := &Set{active: active, keys: make(map[string]key, len(secrets))}
	for kid, value := range secrets {
		s.keys[kid] = key{secret: bytes.Clone(value)}
	}
	return s
}

// Active is the kid that signs.
func (s *Set) Active() string { return s.active }

// Sign derives the active entry's key for an audience. The salt is the owner's
// SECRET_KEY for an audience that only its owner signs and verifies, else empty.
func (s *Set) Sign(audience string, salt secret.Text) (kid string, derived []byte, err error) {
	derived, err = derive(s.keys[s.active].secret, audience, salt)
	return s.active, derived, err
}

// Verify derives the key of the entry that a message names: one look-up and no
// fallback. It returns ErrUnknownKey for a kid that verifies nothing at now.
func (s *Set) Verify(kid, audience string, salt secret.Text, now time.Time) ([]byte, error) {
	k, ok := s.keys[kid]
	if !ok || !k.verifyUntil.IsZero() && !now.Before(k.verifyUntil) {
		return nil, ErrUnknownKey
	}
	return derive(k.secret, audience, salt)
}

// KIDs lists the entries' ids in order.
func (s *Set) KIDs() []string {
	ids := make([]string, 0, len(s.keys))
	for id := range s.keys {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Fingerprint is equal for two processes that hold the same set with the same active
// entry: eight hexadecimal digits that tell nothing of the secrets.
func (s *Set) Fingerprint() string {
	_, derived, err := s.Sign("keyset.fingerprint", secret.Text{})
	if err != nil { // HKDF fails for impossible lengths alone
		return ""
	}
	mac := hmac.New(sha256.New, derived)
	mac.Write([]byte(strings.Join(s.KIDs(), "\n")))
	return hex.EncodeToString(mac.Sum(nil))[:8]
}

// Holds reports whether a secret of the set equals another, decoded or as it is written
// in a file. One secret for two purposes makes two trust boundaries one.
func (s *Set) Holds(other secret.Text) bool {
	text := []byte(other.Reveal())
	for _, k := range s.keys {
		if hmac.Equal(k.secret, text) || hmac.Equal([]byte(encode(k.secret)), bytes.TrimRight(text, "=")) {
			return true
		}
	}
	return false
}

func derive(ikm []byte, audience string, salt secret.Text) ([]byte, error) {
	derived, err := hkdf.Key(sha256.New, ikm, []byte(salt.Reveal()), audience, KeySize)
	if err != nil {
		return nil, fmt.Errorf("keyset: derive %q: %w", audience, err)
	}
	return derived, nil
}

// Ring holds the set in force. It is safe for concurrent use.
type Ring struct{ current atomic.Pointer[Set] }

// NewRing begins with a set.
func NewRing(s *Set) *Ring {
	r := &Ring{}
	r.current.Store(s)
	return r
}

// Current is the set in force.
func (r *Ring) Current() *Set { return r.current.Load() }

// Become puts another set in force, whole, for all that hold this ring.
func (r *Ring) Become(s *Set) { r.current.Store(s) }
