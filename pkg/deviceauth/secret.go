// SPDX-License-Identifier: Apache-2.0

package deviceauth

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// redacted stands for a secret wherever one would be printed.
const redacted = "[redacted]"

// Secret is a token or a device code. It is held by a func so that fmt cannot reach it
// through reflection and == does not compile.
type Secret struct{ reveal func() string }

// NewSecret wraps s, for a token that was stored.
func NewSecret(s string) Secret { return Secret{reveal: func() string { return s }} }

// Reveal gives the secret in clear. Whoever calls it answers for where it goes.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero reports whether the secret is absent or empty.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// String gives the redaction mark.
func (s Secret) String() string { return redacted }

// GoString gives the redaction mark.
func (s Secret) GoString() string { return redacted }

// Format gives the redaction mark under every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue gives the redaction mark.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// ErrNotMarshalled is returned by every attempt to encode a Secret.
var ErrNotMarshalled = errors.New("deviceauth: a secret is not marshalled")

// MarshalText fails: a secret leaves the process by Reveal alone.
func (s Secret) MarshalText() ([]byte, error) { return nil, ErrNotMarshalled }

// MarshalJSON fails as MarshalText does.
func (s Secret) MarshalJSON() ([]byte, error) { return nil, ErrNotMarshalled }
