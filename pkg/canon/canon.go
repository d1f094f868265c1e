// SPDX-License-Identifier: Apache-2.0

package canon

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"
)

// UserCodeAlphabet holds the 30 symbols of a user code: no 0, 1, 2, I, O or Z,
// which people confuse (RFC 8628 section 6.1).
const UserCodeAlphabet = "ABCDEFGHJKLMNPQRSTUVWXY3456789"

// UserCodeSymbols is the number of symbols in a user code, the hyphen not counted.
const UserCodeSymbols = 8

const (
	minEmail = 3
	maxEmail = 254
)

// Email gives the canonical e-mail address: trimmed, NFC, lower-cased, exactly one
// @ with something on both sides, 3 to 254 bytes, no control or space characters.
func Email(s string) (string, bool) {
	if !utf8.ValidString(s) {
		return "", false
	}
	s = norm.NFC.String(strings.ToLower(norm.NFC.String(strings.TrimSpace(s))))
	if len(s) < minEmail || len(s) > maxEmail || strings.Count(s, "@") != 1 {
		return "", false
	}
	if strings.HasPrefix(s, "@") || strings.HasSuffix(s, "@") {
		return "", false
	}
	for _, r := range s {
		if unicode.IsSpace(r) || unicode.IsControl(r) || turns(r) {
			return "", false
		}
	}
	return s, true
}

// UserCode gives the form XXXX-XXXX: trimmed, without spaces and hyphens, ASCII
// upper-case. Full-width and look-alike characters are not mapped: a code that
// needs guessing is not looked up.
func UserCode(s string) (string, bool) {
	var b [UserCodeSymbols + 1]byte
	n := 0
	for _, r := range strings.TrimSpace(s) {
		if r == ' ' || r == '-' {
			continue
		}
		if r >= 'a' && r <= 'z' {
			r -= 'a' - 'A'
		}
		if r > unicode.MaxASCII || !strings.ContainsRune(UserCodeAlphabet, r) || n == len(b) {
			return "", false
		}
		if n == UserCodeSymbols/2 {
			b[n] = '-'
			n++
		}
		b[n] = byte(r)
		n++
	}
	if n != len(b) {
		return "", false
	}
	return string(b[:]), true
}

// Claim gives what a client says of itself, such as a User-Agent, as it is kept: nothing
// is refused, what is no UTF-8 and every control character becomes U+FFFD, and at most
// so many characters are left. A database of text takes neither a NUL nor half a
// character, and would refuse all that is written together with them.
func Claim(s string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range s { // gives U+FFFD for each byte that begins no character
		if n == most {
			break
		}
		if unicode.IsControl(r) {
			r = utf8.RuneError
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// NewID draws a UUID of version 7, whose order is that of its creation.
func NewID() string {
	return uuid.Must(uuid.NewV7()).String()
}

// IsID reports whether s is a UUID in dashed lower case. What is none never
// reaches a store.
func IsID(s string) bool {
	if len(s) != 36 {
		return false
	}
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}
