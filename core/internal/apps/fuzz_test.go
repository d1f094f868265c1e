// SPDX-License-Identifier: Apache-2.0

package apps

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// What is kept of a configuration is one object, the same whenever it is read again, and
// text that every database takes.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{`{}`, ` {"b":[1e400,null],"a":"\u0000<"} `, `{"a":1}{}`, `[]`, `{"\ud800":1}`, "{\"\xff\":1}", strings.Repeat(`{"a":`, 100), `{"a":1,"a":2}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		kept, err := config(text)
		if err != nil || kept == "" {
			return
		}
		var object map[string]any
		if again, err := config(kept); err != nil || again != kept || json.Unmarshal([]byte(kept), &object) != nil && !strings.Contains(kept, "e") && !strings.Contains(kept, "E") {
			t.Errorf("%q is kept as %q, then as %q, %v", text, kept, again, err)
		}
		if !utf8.ValidString(kept) || strings.ContainsRune(kept, 0) || len(kept) > MaxConfig {
			t.Errorf("%q is kept as %q", text, kept)
		}
	})
}

// An address that is kept has a host and no part in which something could hide.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"https://dify.example.com/v1/", "http://a@b", "https://x?#", "https://[::1%25eth0]/", "http://a/v1/v1", "HTTPS://A", "http://\\\\a", "http://a/..%2f"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		kept := address(text)
		if wellFormed(kept) != nil {
			return
		}
		u, err := url.Parse(kept)
		if err != nil || address(kept) != kept || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(kept, " ?#\r\n\x00") || strings.HasSuffix(kept, "/") {
			t.Errorf("%q is kept as %q", text, kept)
		}
	})
}
