// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// FlowLifetime is how long a browser may take to come back from its identity provider.
const FlowLifetime = 15 * time.Minute

// nonceBytes of a MAC are what a nonce shows.
const nonceBytes = 16

var b64 = base64.RawURLEncoding.Strict()

// Flow is what one browser keeps of the login that it began: random bytes that nobody
// else has, and the user code that it was begun for.
type Flow struct {
	value string
	// UserCode is canonical.
	UserCode string
}

// newFlow draws the flow of a canonical user code.
func newFlow(userCode string) Flow {
	return Flow{value: secret.Random() + "." + userCode, UserCode: userCode}
}

// ParseFlow takes a cookie's value back. What we did not write in this very form is none.
func ParseFlow(cookie secret.Text) (Flow, bool) {
	value := cookie.Reveal()
	random, code, ok := strings.Cut(value, ".")
	if !ok {
		return Flow{}, false
	}
	raw, err := b64.DecodeString(random)
	if err != nil || len(raw) != sha256.Size || b64.EncodeToString(raw) != random {
		return Flow{}, false
	}
	if canonical, ok := canon.UserCode(code); !ok || canonical != code {
		return Flow{}, false
	}
	return Flow{value: value, UserCode: code}, true
}

// Cookie is the value for the browser.
func (f Flow) Cookie() secret.Text { return secret.New(f.value) }

// Scope names the flow in a limit without telling it.
func (f Flow) Scope() string { return f.binding() }

// binding is what the bridge carries to the end, for the cookie to be compared with.
func (f Flow) binding() string {
	d := secret.DigestOf(f.value)
	return b64.EncodeToString(d[:])
}

// nonce shows that core began the login: the bridge knows every binding and can make no
// nonce.
func (s *owned) nonce(f Flow) string {
	d := secret.MACOf(s.nonceKey, f.value)
	return b64.EncodeToString(d[:nonceBytes])
}

// codeDigest differs from the digest under which stores know a code: nothing that the
// bridge keeps can be joined with them.
func (s *owned) codeDigest(userCode string) string {
	d := secret.MACOf(s.codeKey, userCode)
	return b64.EncodeToString(d[:])
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
