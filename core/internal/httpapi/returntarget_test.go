// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/url"
	"strings"
	"testing"
)

func TestReturnTarget(t *testing.T) {
	for _, c := range []struct{ name, given, want string }{
		{name: "W-3 another host", given: "//h", want: "/"},
		{name: "W-3 another host by a backslash", given: `/\h`, want: "/"},
		{name: "W-3 backslashes alone", given: `\\h`, want: "/"},
		{name: "W-3 an empty host", given: "///account/sessions", want: "/"},
		{name: "W-3 a backslash in the query", given: `/account/sessions?x=\h`, want: "/"},
		{name: "W-3 an escape that is none", given: "/account/%zz", want: "/"},
		{name: "W-3 an escaped letter", given: "/account/%41", want: "/"},
		{name: "W-3 an empty step", given: "/account//h", want: "/"},
		{name: "W-3 another scheme", given: "https://h/account/sessions", want: "/"},
		{name: "W-3 a scheme alone", given: "https:", want: "/"},
		{name: "W-3 a script", given: "javascript:alert(1)", want: "/"},
		{name: "W-3 encoded slashes", given: "%2f%2fh", want: "/"},
		{name: "W-3 encoded slashes after a slash", given: "/%2f%2fh", want: "/"},
		{name: "W-3 an encoded slash inside", given: "/account/%2f%2fh", want: "/"},
		{name: "W-3 CR LF", given: "/account/sessions\r\nSet-Cookie: a=b", want: "/"},
		{name: "W-3 a tab, which browsers drop", given: "/\t/h", want: "/"},
		{name: "W-3 another parameter of the device page", given: "/device?x=1", want: "/"},
		{name: "W-3 a second parameter", given: "/device?user_code=ABCD-EFGH&x=1", want: "/"},
		{name: "W-3 a repeated parameter", given: "/device?user_code=A&user_code=B", want: "/"},
		{name: "W-3 an outcome that did not happen", given: "/device?outcome=approved", want: "/"},
		{name: "W-3 upwards", given: "/account/../console/api/logout", want: "/"},
		{name: "W-3 a page that is not on the list", given: "/signin", want: "/"},
		{name: "W-3 a path that only begins like one", given: "/accounts", want: "/"},
		{name: "W-3 relative", given: "account/sessions", want: "/"},
		{name: "W-3 a fragment", given: "/account/sessions#x", want: "/"},
		{name: "W-3 too long", given: "/account/" + strings.Repeat("a", 512), want: "/"},
		{name: "W-3 nothing", given: "", want: "/"},
		{name: "the device page", given: "/device", want: "/device"},
		{name: "the device page with a code", given: "/device?user_code=ABCD-EFGH", want: "/device?user_code=ABCD-EFGH"},
		{name: "a page of the account", given: "/account/sessions?outcome=ended", want: "/account/sessions?outcome=ended"},
		{name: "a page of the workspace", given: "/workspace/members", want: "/workspace/members"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := returnTarget(c.given); got != c.want {
				t.Errorf("%q leads to %q, want %q", c.given, got, c.want)
			}
		})
	}
}

func TestWhatFitsAHeader(t *testing.T) {
	for text, want := range map[string]bool{"": true, "ada": true, "a b": true, "ä": true, " a": false, "a ": false, "a\u00a0": false, "a\r\nb": false, "a\x7f": false} {
		if got := fitsHeader(text); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

// FuzzReturnTo looks for an address that leaves the origin or the list.
func FuzzReturnTo(f *testing.F) {
	for _, seed := range []string{"/", "//h", `/\h`, "https:", "%2f%2f", "/account/sessions", "/device?user_code=A", "/device?user_code=%0d%0a", "/account/\r\n", "/account/?//h", "/workspace/;//h", "/account/@h"} {
		f.Add(seed)
	}
	origin := &url.URL{Scheme: "https", Host: "sso.example.com", Path: "/signin"}
	f.Fuzz(func(t *testing.T, given string) {
		got := returnTarget(given)
		if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
			t.Fatalf("%q gave %q, which a header or a browser reads otherwise", given, got)
		}
		u, err := origin.Parse(got)
		if err != nil {
			t.Fatalf("%q gave %q: %v", given, got, err)
		}
		if u.Scheme != origin.Scheme || u.Host != origin.Host || u.User != nil || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") {
			t.Fatalf("%q leads to %s", given, u)
		}
		if u.Path != "/" && u.Path != "/device" && !strings.HasPrefix(u.Path, "/account/") && !strings.HasPrefix(u.Path, "/workspace/") {
			t.Fatalf("%q leads to %s, which is not on the list", given, u.Path)
		}
		if again := returnTarget(got); again != got {
			t.Fatalf("%q gave %q, and that gave %q", given, got, again)
		}
	})
}
