// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

const formType = "application/x-www-form-urlencoded"

func TestCallbacks(t *testing.T) {
	for _, tc := range []struct {
		name, method, target, body, media string
		handle, code, err, iss, malformed string
		path                              string
	}{
		{name: "a code", method: "GET", target: "/sso/oidc/callback/corp?state=h&code=c&iss=https%3A%2F%2Fidp.example", handle: "h", code: "c", iss: "https://idp.example", path: "corp"},
		{name: "a refusal at the shared address", method: "GET", target: "/sso/oidc/callback?state=h&error=access_denied&error_description=no", handle: "h", err: "access_denied"},
		{name: "OIDC-19 form_post", method: "POST", target: "/sso/oidc/callback/corp", body: "state=h&code=c", media: formType, handle: "h", code: "c", path: "corp"},
		{name: "OIDC-19 a POST never takes from the query", method: "POST", target: "/sso/oidc/callback?state=q&code=q", body: "state=h&code=c", media: formType + "; charset=utf-8", handle: "h", code: "c"},
		{name: "OIDC-19 a POST with everything in the query", method: "POST", target: "/sso/oidc/callback?state=q&code=q", media: formType, malformed: "code"},
		{name: "OIDC-19 code twice", method: "GET", target: "/sso/oidc/callback?state=h&code=a&code=b", handle: "h", malformed: "code"},
		{name: "OIDC-19 state twice", method: "GET", target: "/sso/oidc/callback?state=h&state=i&code=a", code: "a", malformed: "state"},
		{name: "OIDC-19 iss twice", method: "GET", target: "/sso/oidc/callback?state=h&code=a&iss=x&iss=x", handle: "h", code: "a", malformed: "iss"},
		{name: "OIDC-19 error with code", method: "GET", target: "/sso/oidc/callback?state=h&code=a&error=b", handle: "h", code: "a", err: "b", malformed: "code"},
		{name: "OIDC-19 neither", method: "GET", target: "/sso/oidc/callback?state=h", handle: "h", malformed: "code"},
		{name: "OIDC-19 a code of 9 KB", method: "GET", target: "/sso/oidc/callback?state=h&code=" + strings.Repeat("a", 9<<10), handle: "h", malformed: "code"},
		{name: "OIDC-19 a handle that is too long", method: "GET", target: "/sso/oidc/callback?code=a&state=" + strings.Repeat("h", 44), code: "a", malformed: "state"},
		{name: "OIDC-19 an escape that is none", method: "GET", target: "/sso/oidc/callback?state=h&code=%zz", handle: "h", malformed: "encoding"},
		{name: "OIDC-19 bytes that are no text", method: "GET", target: "/sso/oidc/callback?state=h&code=%ff", handle: "h", malformed: "code"},
		{name: "OAuth 2.0 knows no iss", method: "GET", target: "/sso/oauth2/callback/gh?state=h&code=c&iss=x&iss=y", handle: "h", code: "c", path: "gh"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := &logins{}
			got := ask(t, listener(t, l, public, nil), tc.method, tc.target, tc.body, "Content-Type", tc.media, "Cookie", "__Host-sso_test="+cookie)
			if got.status != 303 || got.header.Get("Location") != after || len(l.arrivals) != 1 {
				t.Fatalf("%d to %s, %d arrivals", got.status, got.header.Get("Location"), len(l.arrivals))
			}
			a := l.arrivals[0]
			if a.Malformed != tc.malformed || a.Handle != tc.handle || a.Error != tc.err || a.Issuer != tc.iss || a.Path != tc.path || tc.malformed != "code" && tc.malformed != "encoding" && a.Code.Reveal() != tc.code {
				t.Errorf("%+v", a)
			}
		})
	}
}

func TestCallbacksThatCannotBeRead(t *testing.T) {
	for _, tc := range []struct {
		name   string
		method string
		target string
		body   string
		header []string
		status int
		noted  failure.Code
	}{
		{"another content type", "POST", "/sso/oidc/callback", "{}", []string{"Content-Type", "application/json"}, 415, failure.UnsupportedMedia},
		{"no content type", "POST", "/sso/oidc/callback", "state=h", nil, 415, failure.UnsupportedMedia},
		{"Content-Encoding", "POST", "/sso/oidc/callback", "state=h", []string{"Content-Type", formType, "Content-Encoding", "gzip"}, 415, failure.ContentEncoding},
		{"a body above the cap", "POST", "/sso/oidc/callback/corp", strings.Repeat("a", maxAnswer+1), []string{"Content-Type", formType}, 413, failure.BodyTooLarge},
		{"OIDC-19 a query above the cap", "GET", "/sso/oidc/callback?state=h&code=" + strings.Repeat("a", maxAnswer), "", nil, 413, failure.BodyTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := &logins{}
			got := ask(t, listener(t, l, public, nil), tc.method, tc.target, tc.body, tc.header...)
			if got.status != tc.status || !strings.Contains(got.body, reference) || len(l.refused) != 1 || l.refused[0] != tc.noted || len(l.arrivals) != 0 {
				t.Errorf("%d, noted %v, %d arrivals", got.status, l.refused, len(l.arrivals))
			}
		})
	}
	for _, target := range []string{"/sso/oauth2/callback", "/sso/oauth2/callback/gh"} {
		t.Run("OIDC-19 POST "+target, func(t *testing.T) {
			if got := ask(t, listener(t, &logins{}, public, nil), "POST", target, "state=h&code=c", "Content-Type", formType); got.status != 405 {
				t.Errorf("%d", got.status)
			}
		})
	}
	t.Run("OIDC-19 other methods", func(t *testing.T) {
		for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS"} {
			if got := ask(t, listener(t, &logins{}, public, nil), method, "/sso/oidc/callback", ""); got.status != 405 {
				t.Errorf("%s: %d", method, got.status)
			}
		}
	})
}
