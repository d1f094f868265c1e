// SPDX-License-Identifier: Apache-2.0

package login

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
)

// recordInfo is the info of the key under which a record lies.
const recordInfo = "sso.attempt.record"

// stateClaims are the claims of an envelope.
type stateClaims struct {
	Intent         connection.Intent `json:"intent"`
	Connection     string            `json:"connection"`
	Attempt        string            `json:"attempt"` // the reference
	Revision       string            `json:"revision"`
	UserCodeDigest string            `json:"user_code_digest,omitempty"`
	Nonce          string            `json:"nonce"` // empty for a test
	Binding        string            `json:"bnd"`
}

// fits reports whether the claims are those of their intent, and nothing else.
func (c stateClaims) fits() bool {
	shared := len(c.Binding) == digestLength && c.Connection != "" && len(c.Revision) == 2*sha256.Size && c.Attempt != ""
	switch c.Intent {
	case connection.DeviceFlow:
		return shared && len(c.UserCodeDigest) == digestLength && len(c.Nonce) == nonceLength
	case connection.Test:
		return shared && c.UserCodeDigest == "" && c.Nonce == ""
	}
	return false
}

// The lengths in which digests and nonces are written, in characters of base64url.
const (
	digestLength = 43
	nonceLength  = 22
)

// record is what lies under a handle: the envelope and what was drawn with it. It is
// written once.
type record struct {
	Envelope    string     `json:"envelope"`
	Verifier    string     `json:"verifier"`
	Nonce       string     `json:"nonce"`
	RequestID   string     `json:"request_id"`
	RequestedAt time.Time  `json:"requested_at"`
	ForceAuthn  bool       `json:"force_authn,omitempty"`
	Locale      string     `json:"locale,omitempty"`
	LoginHint   string     `json:"login_hint,omitempty"`
	Test        *testOrder `json:"test,omitempty"`
}

func (r record) material() Material {
	return Material{
		Verifier: secret.New(r.Verifier), Nonce: secret.New(r.Nonce), RequestID: r.RequestID, RequestedAt: r.RequestedAt,
		ForceAuthn: r.ForceAuthn, Locale: r.Locale, LoginHint: r.LoginHint,
	}
}

// ticket is what lies under a start ticket: the handle, or for a test the order of one.
type ticket struct {
	Attempt string     `json:"attempt"` // the reference
	Handle  string     `json:"handle,omitempty"`
	Test    *testOrder `json:"test,omitempty"`
}

// testOrder is what a tester has asked.
type testOrder struct {
	Connection    string `json:"connection"`
	Revision      string `json:"revision"`
	Actor         string `json:"actor"`
	ExpectRefusal bool   `json:"expect_refusal,omitempty"`
	NextKey       bool   `json:"next_key,omitempty"`
	Locale        string `json:"locale,omitempty"`
}

// era is what one SECRET_KEY can open. Logins that were under way when it was changed
// still end in the era in which they began.
type era struct {
	key   secret.Text
	state *envelope.Codec[stateClaims]
}

func newEra(key secret.Text, keys *keyset.Ring, public string, now func() time.Time) (era, error) {
	codec, err := envelope.New[stateClaims](envelope.Deps{
		Keys: keys, Audience: envelope.StateEnvelope, Issuer: public, Owner: key, Now: now,
	})
	return era{key: key, state: codec}, err
}

// errUnsealed says nothing of why a value does not open.
var errUnsealed = errors.New("login: the record does not open")

// aead derives the key of one record. Its opener, a ticket or a handle, is the secret:
// without it the store's content is noise, and SECRET_KEY alone opens nothing either.
func (e era) aead(opener string) (cipher.AEAD, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(opener)
	if err != nil || len(raw) != sha256.Size {
		return nil, errUnsealed
	}
	key, err := hkdf.Key(sha256.New, raw, []byte(e.key.Reveal()), recordInfo, secret.KeySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal encrypts a value for the one place that its opener's digest names.
func (e era) seal(opener string, value any) (secret.Digest, []byte, error) {
	d := secret.DigestOf(opener)
	plain, err := json.Marshal(value)
	if err != nil {
		return d, nil, err
	}
	box, err := e.aead(opener)
	if err != nil {
		return d, nil, err
	}
	return d, box.Seal(nil, nil, plain, d[:]), nil //nolint:gosec // the AEAD draws its own nonce and puts it in front
}

// open decrypts what seal made for the same opener, or returns errUnsealed.
func (e era) open(opener string, sealed []byte, into any) error {
	box, err := e.aead(opener)
	if err != nil {
		return err
	}
	d := secret.DigestOf(opener)
	plain, err := box.Open(nil, nil, sealed, d[:])
	if err != nil || json.Unmarshal(plain, into) != nil {
		return errUnsealed
	}
	return nil
}

// open tries the eras, and gives the one that the value is of.
func (s *Service) open(opener string, sealed []byte, into any) (era, error) {
	for _, e := range s.eras {
		if e.open(opener, sealed, into) == nil {
			return e, nil
		}
	}
	return era{}, errUnsealed
}

// IsHandle reports whether a text has the form of a handle.
func IsHandle(text string) bool { return isOpener(text) }

// isOpener reports whether a text has the form of a ticket or a handle.
func isOpener(text string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(text) == digestLength && len(raw) == sha256.Size
}
