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

// Entries proves that a code was typed on the very browser that now shows it: a
// link that somebody sent never gets as far as the question (RFC 8628 section 5.4).
type Entries struct {
	key    []byte
	former [][]byte
}

// NewEntries takes a key of its own, and those whose proofs still hold.
func NewEntries(key []byte, former ...[]byte) *Entries { return &Entries{key: key, former: former} }

// Prove gives the value of the browser's cookie for a canonical user code.
func (e *Entries) Prove(userCode string, now time.Time) string {
	at := strconv.FormatInt(now.Unix(), 10)
	return at + "." + entryMAC(e.key, userCode, at)
}

// Check reports whether a cookie value was made for this code, as typed or
// canonical, and is not older than EntryLifetime.
func (e *Entries) Check(value, userCode string, now time.Time) bool {
	code, ok := canon.UserCode(userCode)
	at, mac, cut := strings.Cut(value, ".")
	if !ok || !cut || !e.made(mac, code, at) {
		return false
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	return err == nil && now.Sub(time.Unix(seconds, 0)) < EntryLifetime
}

func (e *Entries) made(mac, code, at string) bool {
	for _, key := range append([][]byte{e.key}, e.former...) {
		if hmac.Equal([]byte(mac), []byte(entryMAC(key, code, at))) {
			return true
		}
	}
	return false
}

func entryMAC(key []byte, userCode, at string) string {
	d := secret.MACOf(key, userCode+"\x00"+at)
	return base64.RawURLEncoding.EncodeToString(d[:])
}
