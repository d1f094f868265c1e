// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// KeySize is the length of a derived key in bytes.
const KeySize = 32

// MinMaster is the least length of a master secret in bytes: below it guessing
// the master is easier than guessing a derived key.
const MinMaster = 32

// Derive makes the key of one purpose from a master secret by HKDF-SHA256
// (RFC 5869), with purpose as its info, so that no key serves two purposes.
func Derive(master Text, purpose string) ([]byte, error) {
	if n := len(master.Reveal()); n < MinMaster {
		return nil, fmt.Errorf("secret: master secret has %d bytes, needs at least %d", n, MinMaster)
	}
	key, err := hkdf.Key(sha256.New, []byte(master.Reveal()), nil, purpose, KeySize)
	if err != nil {
		return nil, fmt.Errorf("secret: derive %q: %w", purpose, err)
	}
	return key, nil
}
