// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// redacted stands for a secret wherever one would be printed.
const redacted = "[redacted]"

// Text is a secret string. It is held by a func so that fmt cannot reach it
// through reflection and == does not compile; Reveal's call sites are the list to
// review.
type Text struct{ reveal func() string }

// New wraps s.
func New(s string) Text { return Text{reveal: func() string { return s }} }

// Reveal gives the secret in clear. Whoever calls it answers for where it goes.
func (t Text) Reveal() string {
	if t.reveal == nil {
		return ""
	}
	return t.reveal()
}

// IsZero reports whether the secret is absent or empty.
func (t Text) IsZero() bool { return t.Reveal() == "" }

// Equal compares in constant time for secrets of equal length.
func (t Text) Equal(other Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(other.Reveal())) == 1
}

// String gives the redaction mark.
func (t Text) String() string { return redacted }

// GoString gives the redaction mark.
func (t Text) GoString() string { return redacted }

// Format gives the redaction mark under every verb.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue gives the redaction mark.
func (t Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// ErrNotMarshalled is returned by every attempt to encode a secret.
var ErrNotMarshalled = errors.New("secret: not marshalled")

// MarshalText fails: a secret leaves the process by Reveal alone.
func (t Text) MarshalText() ([]byte, error) { return nil, ErrNotMarshalled }

// MarshalJSON fails as MarshalText does.
func (t Text) MarshalJSON() ([]byte, error) { return nil, ErrNotMarshalled }

// UnmarshalText takes a secret from configuration.
func (t *Text) UnmarshalText(b []byte) error {
	*t = New(string(b))
	return nil
}
