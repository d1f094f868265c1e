// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/limits"
)

func TestOriginsOfOtherPages(t *testing.T) {
	load := func(list string) (*app.Settings, error) {
		return app.Load(app.Sources{Flags: map[string]string{"OPENAPI_CORS_ALLOW_ORIGINS": list}})
	}
	for list, want := range map[string][]string{
		"":                  nil,
		" , ":               nil,
		"https://a.example": {"https://a.example"},
		" https://a.example ,https://b.example:8443,":                {"https://a.example", "https://b.example:8443"},
		"http://localhost:3000,http://127.0.0.1:1,http://[::1]:3000": {"http://localhost:3000", "http://127.0.0.1:1", "http://[::1]:3000"},
		"https://xn--bcher-kva.example":                              {"https://xn--bcher-kva.example"},
	} {
		t.Run("M-5 taken: "+list, func(t *testing.T) {
			s, err := load(list)
			if err != nil || !slices.Equal(s.CORSAllowOrigins, want) || len(s.Warnings) != 0 {
				t.Fatalf("%v, %+v", err, s)
			}
		})
	}
	for _, origin := range []string{
		"*", "null", "a.example", "//a.example", "https://", "https://*.example", "ftp://a.example", "https://a.example/", "https://a.example/x",
		"https://a.example?x", "https://a.example?", "https://a.example#", "https://u@a.example", "https://a.example:443", "http://a.example:80",
		"https://a.example:", "https://A.example", "HTTPS://a.example", "https://bücher.example", "https://a.example:0443", "https://[::1", "https://[0:0::1]",
		"https://a.example:x", "https://a b.example",
	} {
		t.Run("M-5 the start is refused: "+origin, func(t *testing.T) {
			for _, list := range []string{origin, "https://fine.example," + origin} {
				_, err := load(list)
				if got := keysOf(t, err); !slices.Equal(got, []string{"OPENAPI_CORS_ALLOW_ORIGINS"}) || !strings.Contains(err.Error(), fmt.Sprintf("%q", origin)) {
					t.Fatalf("%v: %v", got, err)
				}
			}
		})
	}
	t.Run("M-5 plain http off loopback is warned of", func(t *testing.T) {
		s, err := load("http://intranet.example")
		if err != nil || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "http://intranet.example") {
			t.Fatalf("%v, %+v", err, s)
		}
	})
}

func TestSwitchesAreSaidAtTheStart(t *testing.T) {
	for _, key := range []string{"OPENAPI_ENABLED", "ENABLE_OAUTH_BEARER"} {
		t.Run("M-2 DF-40 "+key, func(t *testing.T) {
			s, err := app.Load(app.Sources{Environ: []string{key + "=false"}})
			if err != nil || len(s.Warnings) != 1 || !strings.HasPrefix(s.Warnings[0], key+"=false") {
				t.Fatalf("%v, %+v", err, s)
			}
			if _, err := app.Load(app.Sources{Environ: []string{key + "=perhaps"}}); !slices.Equal(keysOf(t, err), []string{key}) {
				t.Fatal(err)
			}
		})
	}
}

// Every limit can be changed and switched off by its name.
func TestEveryLimitBySetting(t *testing.T) {
	load := func(value string) (*app.Settings, error) {
		return app.Load(app.Sources{Flags: map[string]string{"RATE_LIMITS": value}})
	}
	for _, name := range limits.Names() {
		t.Run("LIM-5 "+name, func(t *testing.T) {
			for _, value := range []string{"7", "7/3m"} {
				if s, err := load(name + "=" + value); err != nil || len(s.Warnings) != 0 {
					t.Fatalf("%s: %v, %+v", value, err, s)
				}
			}
			s, err := load(name + "=0")
			if err != nil || !slices.Equal(s.Warnings, []string{"the rate limit " + name + " is off"}) {
				t.Fatalf("off: %v, %+v", err, s)
			}
			for _, value := range []string{"", "-1", "1.5", "many", "7/", "7/0s", "7/-1m", "7/3", "/3m"} {
				_, err := load(name + "=" + value)
				if got := keysOf(t, err); !slices.Equal(got, []string{"RATE_LIMITS"}) {
					t.Errorf("%q: %v", value, got)
				}
			}
		})
	}
	t.Run("M-18 LIM-5 an unknown name is refused, with those that exist", func(t *testing.T) {
		for _, name := range []string{"bearer.tokens", "Bearer.Token", "", "bearer.token "} {
			_, err := load("device.code.addr=1," + name + "x=1")
			if got := keysOf(t, err); !slices.Equal(got, []string{"RATE_LIMITS"}) || !strings.Contains(err.Error(), "oauth.introspect.client") {
				t.Errorf("%q: %v", name, err)
			}
		}
	})
	t.Run("LIM-5 a limit with a setting of its own is off by that, too, and RATE_LIMITS wins", func(t *testing.T) {
		s, err := app.Load(app.Sources{Flags: map[string]string{"OPENAPI_RATE_LIMIT_PER_TOKEN": "0"}})
		if err != nil || !slices.Equal(s.Warnings, []string{"the rate limit bearer.token is off"}) {
			t.Fatalf("%v, %+v", err, s)
		}
		s, err = app.Load(app.Sources{Flags: map[string]string{"OPENAPI_RATE_LIMIT_PER_TOKEN": "0", "RATE_LIMITS": "bearer.token=5"}})
		if err != nil || len(s.Warnings) != 0 {
			t.Fatalf("it is on and said to be off: %v, %+v", err, s.Warnings)
		}
	})
	t.Run("M-18 client ids are read as a list", func(t *testing.T) {
		for list, fine := range map[string]bool{"difyctl": true, "a, b.c_d-e ,Z9": true, "": false, " , ": false, "a/b": false, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false} {
			s, err := app.Load(app.Sources{Flags: map[string]string{"OPENAPI_KNOWN_CLIENT_IDS": list}})
			if fine != (err == nil) {
				t.Errorf("%q: %v, %+v", list, err, s)
			}
		}
	})
}
