// SPDX-License-Identifier: Apache-2.0

package devicegrant

import (
	"crypto/rand"
	"regexp"

	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// devicePrefix begins every device code; the rest is 256 random bits.
const devicePrefix = "dc_"

var (
	deviceCodeShape = regexp.MustCompile(`^dc_[A-Za-z0-9_-]{43}$`)
	clientIDShape   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
)

// ValidClientID reports whether a client id has an acceptable shape.
func ValidClientID(s string) bool { return clientIDShape.MatchString(s) }

// NewUserCode draws a user code: eight of 30 symbols, 39.3 bits. Bytes that would
// favour the first symbols are thrown away (RFC 8628 section 6.1).
func NewUserCode() string {
	const symbols = len(canon.UserCodeAlphabet)
	const limit = 256 - 256%symbols
	code := make([]byte, 0, canon.UserCodeSymbols+1)
	var b [16]byte
	for {
		_, _ = rand.Read(b[:])
		for _, c := range b {
			if int(c) >= limit {
				continue
			}
			if len(code) == canon.UserCodeSymbols/2 {
				code = append(code, '-')
			}
			code = append(code, canon.UserCodeAlphabet[int(c)%symbols])
			if len(code) == canon.UserCodeSymbols+1 {
				return string(code)
			}
		}
	}
}

// newDeviceCode draws a device code.
func newDeviceCode() secret.Text { return secret.New(devicePrefix + secret.Random()) }

// ValidDeviceCode reports whether a presented device code has the shape of ours.
// What has not touches no store.
func ValidDeviceCode(code secret.Text) bool { return deviceCodeShape.MatchString(code.Reveal()) }
