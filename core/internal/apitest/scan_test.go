// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// The scanner is only worth its silence if it speaks up for each form.
func TestScannerFindsEachForm(t *testing.T) {
	value := func(prefix string) string { return prefix + secret.Random() }
	planted := map[string]string{
		"password": "correct höööorse battery", "cookie": value(""), "key": string([]byte{0, 1, 2, 250, 251, 252, 253, 254, 255, 9}), "user code": "BCDF-GHJK",
	}
	shapes := []string{value("dfoa_"), value("dfoe_"), value("dc_"), "app-" + strings.Repeat("a1B", 8)}
	forms := map[string]func(v string) string{
		"plain":      func(v string) string { return v },
		"base64":     func(v string) string { return base64.StdEncoding.EncodeToString([]byte(v)) },
		"base64 raw": func(v string) string { return base64.RawStdEncoding.EncodeToString([]byte(v)) },
		"base64 url": func(v string) string { return base64.URLEncoding.EncodeToString([]byte(v)) },
		"hex":        func(v string) string { return hex.EncodeToString([]byte(v)) },
		"hex upper":  func(v string) string { return strings.ToUpper(hex.EncodeToString([]byte(v))) },
		"percent": func(v string) string {
			var out strings.Builder
			for _, b := range []byte(v) {
				fmt.Fprintf(&out, "%%%02X", b)
			}
			return out.String()
		},
	}
	places := []string{`{"x":"%s"}`, "ab%s", "A%s", "0f3%sZ", "\x00\x01%s\xff", "id=%s&y=1"}
	for form, encode := range forms {
		t.Run(form, func(t *testing.T) {
			word, _, _ := strings.Cut(form, " ")
			for _, place := range places {
				for name, v := range planted {
					s := &apitest.Scanner{}
					s.Add(name, v)
					text := strings.Replace(place, "%s", encode(v), 1)
					if got := s.Find([]byte(text)); !slices.Contains(got, name+" ("+word+")") {
						t.Errorf("%s in %q: found %q", name, text, got)
					}
				}
				for _, v := range shapes {
					text := strings.Replace(place, "%s", encode(v), 1)
					if got := (&apitest.Scanner{}).Find([]byte(text)); !slices.Contains(got, "shape of a token ("+word+")") {
						t.Errorf("shape in %q: found %q", text, got)
					}
				}
			}
		})
	}
	t.Run("inside something larger that is encoded as a whole", func(t *testing.T) {
		s := &apitest.Scanner{}
		s.Add("cookie", planted["cookie"])
		for pad := range 7 {
			whole := []byte(strings.Repeat("x", pad) + planted["cookie"] + "; Path=/")
			for _, text := range []string{base64.StdEncoding.EncodeToString(whole), hex.EncodeToString(whole), url.QueryEscape(string(whole))} {
				if len(s.Find([]byte(text))) == 0 {
					t.Errorf("not found in %s", text)
				}
			}
		}
	})
	t.Run("user codes in every spelling", func(t *testing.T) {
		s := &apitest.Scanner{}
		s.AddUserCode("BCDF-GHJK")
		for _, text := range []string{"BCDF-GHJK", "BCDFGHJK", "bcdf-ghjk", "x=bcdfghjk;"} {
			if len(s.Find([]byte(text))) == 0 {
				t.Errorf("%s not found", text)
			}
		}
	})
	t.Run("nothing where there is nothing", func(t *testing.T) {
		s := &apitest.Scanner{}
		s.Add("cookie", planted["cookie"])
		digest := secret.DigestOf(shapes[0])
		if got := s.Find([]byte(`{"event":"oauth.token_minted","hash":"` + digest.Hex() + `","id":"0199-aa","note":"dfoa_ and %41 and dc_short"}`)); len(got) > 0 {
			t.Errorf("found %q", got)
		}
		if got := s.Without("cookie").Find([]byte(planted["cookie"])); len(got) > 0 {
			t.Errorf("found %q", got)
		}
	})
	t.Run("a secret too short to look for is refused", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("accepted")
			}
		}()
		(&apitest.Scanner{}).Add("empty", "")
	})
}
