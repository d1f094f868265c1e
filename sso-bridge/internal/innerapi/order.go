// SPDX-License-Identifier: Apache-2.0

package innerapi

import (
	"encoding/base64"
	"regexp"

	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// members is the body of an order. Pointers tell a member that is absent from an empty one.
type members struct {
	Intent         *string `json:"intent"`
	UserCodeDigest *string `json:"user_code_digest"`
	Nonce          *string `json:"nonce"`
	Binding        *string `json:"binding"`
	ReturnTo       *string `json:"return_to"`
	Connection     *string `json:"connection"`
	Email          *string `json:"email"`
	ForceAuthn     *bool   `json:"force_authn"`
	Locale         *string `json:"locale"`
	RequestID      *string `json:"request_id"`
}

var (
	connectionForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,35}$`)
	requestIDForm  = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)
)

const maxEmail = 254 // bytes (RFC 5321 section 4.5.3.1.3)

// order judges the members, all of them, before any store is asked.
func (m members) order() (login.Order, error) {
	var p wire.Problems
	text := func(v *string, name string, required bool, holds func(string) bool, rule string) string {
		switch {
		case v == nil && required:
			p.Add("missing", rule, "body", name)
		case v == nil:
		case !holds(*v):
			p.Add("value_error", rule, "body", name)
		default:
			return *v
		}
		return ""
	}
	o := login.Order{Intent: connection.Intent(text(m.Intent, "intent", true, isIntent, "device_flow or account_login"))}
	device := o.Intent == connection.DeviceFlow
	o.UserCodeDigest = text(m.UserCodeDigest, "user_code_digest", device, func(s string) bool { return device && isRandom(s, 32) }, "43 of base64url, with device_flow alone")
	o.Nonce = text(m.Nonce, "nonce", true, func(s string) bool { return isRandom(s, 16) }, "22 of base64url")
	o.Binding = text(m.Binding, "binding", true, func(s string) bool { return isRandom(s, 32) }, "43 of base64url")
	text(m.ReturnTo, "return_to", true, func(s string) bool { return device == (s == "") && len(s) <= 512 }, "empty with device_flow")
	o.Connection = text(m.Connection, "connection", false, connectionForm.MatchString, "the id of a connection")
	o.Email = text(m.Email, "email", false, func(s string) bool { return s != "" && len(s) <= maxEmail }, "1 to 254 bytes")
	if m.Connection != nil && m.Email != nil {
		p.Add("value_error", "connection and email do not go together", "body", "email")
	}
	o.ForceAuthn = m.ForceAuthn != nil && *m.ForceAuthn
	o.Locale = text(m.Locale, "locale", true, func(s string) bool { return s == "en" || s == "zh-Hans" }, "en or zh-Hans")
	o.RequestID = text(m.RequestID, "request_id", true, requestIDForm.MatchString, "8 to 64 of A-Z, a-z, 0-9, dot, underscore and hyphen")
	return o, p.Fault(ErrInvalidParam)
}

func isIntent(s string) bool {
	return s == string(connection.DeviceFlow) || s == string(connection.AccountLogin)
}

// isRandom reports whether text is the canonical base64url of so many bytes.
func isRandom(text string, bytes int) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(raw) == bytes && base64.RawURLEncoding.EncodeToString(raw) == text
}
