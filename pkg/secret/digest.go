// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// Digest is what stores keep in place of a secret: SHA-256 of a long random value,
// or a keyed HMAC of a short one. Store interfaces take a Digest, so that a raw
// code or token does not compile.
type Digest [sha256.Size]byte

// DigestOf is the SHA-256 of a random value of 256 bits, which needs no slow hash.
func DigestOf(s string) Digest { return sha256.Sum256([]byte(s)) }

// MACOf is the HMAC-SHA256 of a value short enough to be guessed.
func MACOf(key []byte, s string) Digest {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(s))
	var d Digest
	copy(d[:], mac.Sum(nil))
	return d
}

// Hex is the lower-case form used in keys of the short-lived store.
func (d Digest) Hex() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether no digest was set.
func (d Digest) IsZero() bool { return d == Digest{} }

// ErrDigestSize is returned for stored bytes that are no digest.
var ErrDigestSize = errors.New("secret: a digest has 32 bytes")

// DigestFrom takes stored bytes back.
func DigestFrom(b []byte) (Digest, error) {
	var d Digest
	if len(b) != len(d) {
		return d, ErrDigestSize
	}
	copy(d[:], b)
	return d, nil
}
