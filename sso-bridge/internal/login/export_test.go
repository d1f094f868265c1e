// SPDX-License-Identifier: Apache-2.0

package login

import (
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

// BrowserOf is browserOf for its table.
var BrowserOf = browserOf

// NewRequestID is newRequestID for its table.
var NewRequestID = newRequestID

// Planted seals a record whose envelope is given, as whoever has SECRET_KEY could.
func (s *Service) Planted(handle, message string) (secret.Digest, []byte, error) {
	return s.eras[0].seal(handle, record{Envelope: message, Verifier: secret.Random(), Nonce: newNonce(), RequestedAt: time.Unix(0, 0)})
}

// Opens reports whether a sealed record opens under a handle.
func (s *Service) Opens(handle string, sealed []byte) bool {
	var r record
	_, err := s.open(handle, sealed, &r)
	return err == nil
}

// EnvelopeUnder gives the envelope that lies under a handle.
func (s *Service) EnvelopeUnder(handle string, sealed []byte) string {
	var r record
	if _, err := s.open(handle, sealed, &r); err != nil {
		return ""
	}
	return r.Envelope
}
