// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// What a callback takes is one value of each parameter, within its bound, and text.
func FuzzCallbackParameters(f *testing.F) {
	for _, seed := range []string{
		"SAMLResponse=PHg%2B&RelayState=" + ticket, "RelayState=" + ticket + "&SAMLart=x", "SAMLResponse=a&SAMLResponse=b", "SAMLResponse=%zz&RelayState=%ff",
		"state=" + ticket + "&code=c&iss=https%3A%2F%2Fidp.example", "state=x&error=access_denied&error_description=no", "code=a&code=b&state=h", "a=1;b=2",
		strings.Repeat("a&", 40), "=&==&&", "SAMLResponse", "RelayState=%0d%0aLocation:x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		for protocol, a := range map[connection.Protocol]login.Arrival{
			connection.SAML: readResponse(raw), connection.OIDC: read(raw, connection.OIDC), connection.OAuth2: read(raw, connection.OAuth2),
		} {
			message, code := a.Message.Reveal(), a.Code.Reveal()
			for _, text := range []string{a.Handle, message, code, a.Error, a.Issuer} {
				if !utf8.ValidString(text) {
					t.Fatalf("%s took bytes that are no text: %q", protocol, text)
				}
			}
			if a.Protocol != protocol || len(message) > maxResponse || len(code) > maxCode || len(a.Issuer) > maxIssuer || len(a.Error) > maxError {
				t.Fatalf("%+v", a)
			}
			if a.Malformed == "" && (protocol == connection.SAML) != (message != "" && code == "" && a.Error == "") {
				t.Fatalf("%s took %+v", protocol, a)
			}
			if a.Malformed == "" && protocol == connection.SAML && (strings.Contains(raw, "SAMLart=") && !strings.Contains(raw, "%") && strings.Contains("&"+raw, "&SAMLart=")) {
				t.Fatalf("it took an artifact: %q", raw)
			}
		}
	})
}
