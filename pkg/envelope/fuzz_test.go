// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/envelope"
)

// No text that its signer has not made is believed, and none brings the verifier down.
func FuzzEnvelope(f *testing.F) {
	c := codecOf(f, of, at)
	message := signed(f, of, at)
	header, payload := parts(f, message)
	for _, seed := range []string{
		"", ".", "..", "...", message, message + "=", message[:len(message)-1], strings.ToUpper(message), vector, signed(f, envelope.ConsoleLogin, at),
		b64(header) + "." + b64(payload) + ".", b64(`{"alg":"none"}`) + "." + b64(payload) + ".AA", b64(strings.Repeat("[", 500)) + "." + b64("{}") + ".AA",
		forged(f, "new", of, header, `{}`), forged(f, "new", of, header, strings.Repeat("[", 500)), forged(f, "new", of, header, `{"a":1e400,"a":null}`),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, _, err := c.Verify(text)
		if err == nil {
			if text != message {
				// Only whoever knows the key can come here; a fuzzer that does not is a finding.
				h, p := parts(t, text)
				if text != forged(t, "new", of, h, p) {
					t.Fatalf("believed: %q", text)
				}
			}
			return
		}
		refused, ok := errors.AsType[*envelope.RefusedError](err)
		if !ok || strings.Contains(refused.Error(), text) && len(text) > 8 {
			t.Fatalf("%v", err)
		}
	})
}

// Claims of any form, under the right key.
func FuzzEnvelopeClaims(f *testing.F) {
	c := codecOf(f, of, at)
	header, payload := parts(f, signed(f, of, at))
	for _, seed := range []string{payload, "{}", "[]", `{"iss":null}`, payload + payload, strings.Replace(payload, "7", "7e0", 1), strings.Replace(payload, "hello", `\ud800`, 1), "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, claims string) {
		got, r, err := c.Verify(forged(t, "new", of, header, claims))
		if err != nil {
			return
		}
		if r.Issuer != issuer || r.Audience != string(of) || len(r.ID) != 22 || r.Expires-r.IssuedAt > int64(of.Life().Seconds()) || r.Expires <= r.IssuedAt {
			t.Fatalf("believed %q as %+v %+v", claims, r, got)
		}
	})
}

// No header but that of the request's own sender admits it.
func FuzzInnerToken(f *testing.F) {
	i := innerAt(f, envelope.CoreToBridge, "new", at)
	// The same in every process of the fuzzer, which a drawn id would not be.
	good := "Bearer " + forged(f, "new", envelope.CoreToBridge, `{"alg":"HS256","kid":"new","typ":"inner.request.core_to_bridge+jwt"}`,
		`{"iss":"`+origin+`","aud":"inner.request.core_to_bridge","iat":1767225600,"exp":1767225660,"jti":"AAAAAAAAAAAAAAAAAAAAAA","htm":"`+
			method+`","htu":"`+uri+`","bh":"`+hashOf(body)+`"}`)
	f.Add(good, method, uri, body)
	f.Add(good+"=", method, uri, body)
	f.Add("Bearer ", method, uri, body)
	f.Add("Bearer "+vector, "GET", "/inner/api/sso/connections?intent=device_flow", []byte(nil))
	f.Add(good, "GET", uri, body)
	f.Add(good, method, uri+"&y=2", []byte("{}"))
	f.Fuzz(func(t *testing.T, header, m, u string, b []byte) {
		err := i.Admit(t.Context(), once{}, []string{header}, m, u, b)
		if own := header == good && m == method && u == uri && string(b) == string(body); (err == nil) != own {
			t.Fatalf("%q %q %q %q: %v", header, m, u, b, err)
		}
	})
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
