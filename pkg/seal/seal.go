// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

// KeySize is the length of a sealing key in bytes.
const KeySize = 32

// ErrOpen is returned for a sealed value that no key opens at this place. It says
// nothing of why.
var ErrOpen = errors.New("seal: value does not open")

var keyID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)

// Keys seals with its first key and opens with any. It is safe for concurrent use.
type Keys struct{ ring atomic.Pointer[ring] }

type ring struct {
	ids  []string
	aead map[string]cipher.AEAD
}

// Parse reads a key file: one "id:base64(32 bytes)" per line, blank lines and lines
// that begin with # skipped. Errors name the line, never its content.
func Parse(file []byte) (*Keys, error) {
	k := &ring{aead: map[string]cipher.AEAD{}}
	for n, line := range bytes.Split(file, []byte("\n")) {
		text := strings.TrimSpace(string(line))
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		id, encoded, ok := strings.Cut(text, ":")
		if !ok || !keyID.MatchString(id) {
			return nil, fmt.Errorf("seal: line %d is not id:base64", n+1)
		}
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(raw) != KeySize {
			return nil, fmt.Errorf("seal: line %d does not hold %d bytes of base64", n+1, KeySize)
		}
		if _, dup := k.aead[id]; dup {
			return nil, fmt.Errorf("seal: line %d repeats a key id", n+1)
		}
		block, err := aes.NewCipher(raw)
		if err != nil {
			return nil, fmt.Errorf("seal: line %d: %w", n+1, err)
		}
		gcm, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("seal: line %d: %w", n+1, err)
		}
		k.ids = append(k.ids, id)
		k.aead[id] = gcm
	}
	if len(k.ids) == 0 {
		return nil, errors.New("seal: no key in the file")
	}
	keys := &Keys{}
	keys.ring.Store(k)
	return keys, nil
}

// Values gives the keys of a file, for comparison with other secrets. Lines that hold none
// are skipped: Parse is what refuses them.
func Values(file []byte) []secret.Text {
	var found []secret.Text
	for line := range bytes.SplitSeq(file, []byte("\n")) {
		_, encoded, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		if raw, err := base64.StdEncoding.DecodeString(encoded); err == nil && len(raw) == KeySize {
			found = append(found, secret.New(string(raw)))
		}
	}
	return found
}

// Become takes over the keys of another, for all that hold this one.
func (k *Keys) Become(other *Keys) { k.ring.Store(other.ring.Load()) }

// IDs lists the keys' ids; the first is the one that seals.
func (k *Keys) IDs() []string { return slices.Clone(k.ring.Load().ids) }

// Again gives a value as the first key seals it: as it is if that key has sealed it, else
// sealed anew. It returns ErrOpen for one that does not open at this place.
func (k *Keys) Again(sealed, place string) (string, error) {
	plaintext, err := k.Open(sealed, place)
	if err != nil {
		return "", err
	}
	if id, _, _ := strings.Cut(sealed, ":"); id == k.ring.Load().ids[0] {
		return sealed, nil
	}
	return k.Seal(plaintext, place), nil
}

// NewKeyFile draws a key and gives the content of a key file that holds it alone.
func NewKeyFile(id string) []byte {
	var key [KeySize]byte
	_, _ = rand.Read(key[:])
	return []byte(id + ":" + base64.StdEncoding.EncodeToString(key[:]) + "\n")
}

// Seal encrypts plaintext for place, as "key id:base64".
func (k *Keys) Seal(plaintext []byte, place string) string {
	ring := k.ring.Load()
	id := ring.ids[0]
	box := ring.aead[id].Seal(nil, nil, plaintext, []byte(place)) //nolint:gosec // the AEAD draws its own nonce and puts it in front
	return id + ":" + base64.RawStdEncoding.EncodeToString(box)
}

// Open decrypts what Seal made for the same place, or returns ErrOpen.
func (k *Keys) Open(sealed, place string) ([]byte, error) {
	id, encoded, ok := strings.Cut(sealed, ":")
	if !ok {
		return nil, ErrOpen
	}
	gcm, ok := k.ring.Load().aead[id]
	if !ok {
		return nil, ErrOpen
	}
	raw, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, ErrOpen
	}
	plaintext, err := gcm.Open(nil, nil, raw, []byte(place))
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}
