// SPDX-License-Identifier: Apache-2.0

package devicegrant

import (
	"crypto/hmac"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// EntryLifetime is how long a browser is known to have typed a code.
const EntryLifetime = Lifetime

// Entries proves that a code was sent from the very browser that now shows it: a
// link that somebody sent never gets as far as the question by itself (RFC 8628
// section 5.4).
type Entries struct {
	key    []byte
	former [][]byte
}

// NewEntries takes a key of its own, and those whose proofs still hold.
func NewEntries(key []byte, former ...[]byte) *Entries { return &Entries{key: key, former: former} }

// Source says how a code came into the entry form.
type Source string

// The sources of a code.
const (
	// Typed: the person read it off the device.
	Typed Source = "typed"
	// Linked: an address brought it (RFC 8628 section 3.3.1); the person has yet to
	// compare it with the device.
	Linked Source = "linked"
)

// Prove gives the value of the browser's cookie for a canonical user code.
func (e *Entries) Prove(userCode string, from Source, now time.Time) string {
	at := strconv.FormatInt(now.Unix(), 10)
	return at + "." + string(from) + "." + entryMAC(e.key, userCode, at, string(from))
}

// Check reports whether a cookie value was made for this code, as typed or
// canonical, and is not older than EntryLifetime, and how the code had come.
func (e *Entries) Check(value, userCode string, now time.Time) (Source, bool) {
	code, ok := canon.UserCode(userCode)
	parts := strings.SplitN(value, ".", 3)
	if !ok || len(parts) != 3 || !e.made(parts[2], code, parts[0], parts[1]) {
		return "", false
	}
	seconds, err := strconv.ParseInt(parts[0], 10, 64)
	return Source(parts[1]), err == nil && now.Sub(time.Unix(seconds, 0)) < EntryLifetime
}

func (e *Entries) made(mac, code, at, from string) bool {
	for _, key := range append([][]byte{e.key}, e.former...) {
		if hmac.Equal([]byte(mac), []byte(entryMAC(key, code, at, from))) {
			return true
		}
	}
	return false
}

func entryMAC(key []byte, userCode, at, from string) string {
	d := secret.MACOf(key, userCode+"\x00"+at+"\x00"+from)
	return base64.RawURLEncoding.EncodeToString(d[:])
}
