// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"crypto/rand"
	"regexp"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/canon"
)

// The longest claims.
const (
	maxIdentity       = 255 // bytes of an issuer or subject id
	maxConnectionName = 64  // characters
	maxName           = 128 // characters
	maxACR            = 255 // bytes
	maxMethods        = 8
	maxMethod         = 32 // bytes
)

var connectionShape = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,35}$`)

// IsConnection reports whether text has the form of a connection's id.
func IsConnection(text string) bool { return connectionShape.MatchString(text) }

// isIssuer reports whether text is 1 to 255 printable ASCII characters without space, and
// no issuer of our own.
func isIssuer(text string) bool {
	return isSubject(text) && !strings.Contains(text, " ") && !strings.HasPrefix(text, "dify:")
}

// isSubject reports whether text is 1 to 255 printable ASCII characters. A space is one:
// some providers know people by their names.
func isSubject(text string) bool {
	return text != "" && len(text) <= maxIdentity && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// label reports whether text is empty or a name as it is stored.
func label(text string, max int) bool {
	return text == "" || canon.Kept(text, max)
}

func fitMethods(methods []string) bool {
	for _, m := range methods {
		if m == "" || len(m) > maxMethod {
			return false
		}
	}
	return len(methods) <= maxMethods
}

// csrfBytes is the strength of a token that lives five minutes.
const csrfBytes = 16

func drawCSRF() string {
	var b [csrfBytes]byte
	_, _ = rand.Read(b[:])
	return b64.EncodeToString(b[:])
}
