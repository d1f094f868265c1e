// SPDX-License-Identifier: Apache-2.0

package console_test

import (
	"errors"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestCSRFToken(t *testing.T) {
	r := newRoom(t)
	mine, other := secret.DigestOf("mine"), secret.DigestOf("other")
	good := r.CSRFToken(mine)
	if good != r.CSRFToken(mine) || len(good) != 43 {
		t.Fatalf("token %q", good)
	}
	for _, tc := range []struct {
		name, presented string
		session         secret.Digest
		ok              bool
	}{
		{"W-14 of this session", good, mine, true},
		{"W-14 of another session", good, other, false},
		{"W-14 of no session", good, secret.Digest{}, false},
		{"W-14 missing", "", mine, false},
		{"W-14 cut", good[:42], mine, false},
		{"W-14 lengthened", good + "A", mine, false},
		{"W-14 the session's own digest", mine.Hex(), mine, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := r.CheckCSRF(tc.session, tc.presented); (err == nil) != tc.ok || err != nil && !errors.Is(err, console.ErrCSRFMismatch) {
				t.Fatal(err)
			}
		})
	}
}

func TestProvenance(t *testing.T) {
	const public = "https://sso.example.com"
	for _, tc := range []struct {
		name string
		p    console.Provenance
		ok   bool // where one of the headers has to be there
		sent bool // where only what is sent counts
	}{
		{name: "W-14 nothing is sent", sent: true},
		{name: "W-14 the token in a header proves it", p: console.Provenance{TokenInHeader: true}, ok: true, sent: true},
		{name: "W-14 our own page", p: console.Provenance{FetchSite: "same-origin", Origin: public}, ok: true, sent: true},
		{name: "W-14 our own page, by fetch metadata alone", p: console.Provenance{FetchSite: "same-origin"}, ok: true, sent: true},
		{name: "W-14 our own page, by Origin alone", p: console.Provenance{Origin: public}, ok: true, sent: true},
		{name: "W-14 our own page, by Referer alone", p: console.Provenance{Referer: public + "/device?x=1"}, ok: true, sent: true},
		{name: "W-14 another site", p: console.Provenance{FetchSite: "cross-site"}},
		{name: "W-14 a sibling domain", p: console.Provenance{FetchSite: "same-site"}},
		{name: "M-29 a listed page of the same site", p: console.Provenance{Embedder: true, FetchSite: "same-site", Origin: "https://console.example.com"}, ok: true, sent: true},
		{name: "M-29 a listed page of another site", p: console.Provenance{Embedder: true, FetchSite: "cross-site", Origin: "https://console.example.com"}},
		{name: "M-29 a listed page whose browser does not say", p: console.Provenance{Embedder: true, Origin: "https://console.example.com", TokenInHeader: true}},
		{name: "W-14 typed or bookmarked", p: console.Provenance{FetchSite: "none"}},
		{name: "W-14 fetch metadata in another case", p: console.Provenance{FetchSite: "Same-Origin"}},
		{name: "W-14 a foreign Origin", p: console.Provenance{Origin: "https://evil.example.com"}},
		{name: "W-14 a foreign Origin outweighs the token's header", p: console.Provenance{Origin: "https://evil.example.com", TokenInHeader: true}},
		{name: "W-14 a foreign Origin outweighs our Referer", p: console.Provenance{Origin: "https://evil.example.com", Referer: public + "/"}},
		{name: "W-14 another site outweighs our Origin", p: console.Provenance{FetchSite: "cross-site", Origin: public}},
		{name: "W-14 an opaque Origin", p: console.Provenance{Origin: "null"}},
		{name: "W-14 another scheme", p: console.Provenance{Origin: "http://sso.example.com"}},
		{name: "W-14 another port", p: console.Provenance{Origin: public + ":8443"}},
		{name: "W-14 a longer host", p: console.Provenance{Origin: public + ".evil.com"}},
		{name: "W-14 a path in the Origin", p: console.Provenance{Origin: public + "/"}},
		{name: "W-14 a foreign Referer alone", p: console.Provenance{Referer: "https://evil.example.com/" + public}, sent: true},
		{name: "W-14 a longer host in the Referer", p: console.Provenance{Referer: public + ".evil.com/"}, sent: true},
		{name: "W-14 our host as its user", p: console.Provenance{Referer: "https://sso.example.com@evil.com/"}, sent: true},
		{name: "W-14 no Referer's shape", p: console.Provenance{Referer: "%zz"}, sent: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for onlyWhatIsSent, want := range map[bool]bool{false: tc.ok, true: tc.sent} {
				err := console.CheckProvenance(tc.p, public, onlyWhatIsSent)
				if (err == nil) != want || err != nil && !errors.Is(err, console.ErrOriginNotAllowed) {
					t.Errorf("only what is sent %t: %v", onlyWhatIsSent, err)
				}
			}
		})
	}
}
