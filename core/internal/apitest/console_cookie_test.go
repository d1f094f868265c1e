// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// tkCookies gives the Set-Cookie lines of an answer by name: the value and the
// attributes in lower case and in order, as text.
func tkCookies(t testing.TB, a apitest.Answer) (values, attributes map[string]string) {
	t.Helper()
	values, attributes = map[string]string{}, map[string]string{}
	for _, line := range a.Header.Values("Set-Cookie") {
		parts := strings.Split(line, "; ")
		name, value, _ := strings.Cut(parts[0], "=")
		if _, twice := values[name]; twice {
			t.Errorf("%s is set twice", name)
		}
		list := parts[1:]
		for i, p := range list {
			list[i] = strings.ToLower(p)
		}
		slices.Sort(list)
		values[name], attributes[name] = value, strings.Join(list, "; ")
	}
	return values, attributes
}

func TestCookieAttributes(t *testing.T) {
	const public = "https://sso.example.test"
	value := regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	for _, tc := range []struct {
		name, prefix, secure string
		options              []apitest.Option
	}{
		{name: "W-13 https", prefix: "__Host-", secure: "; secure", options: []apitest.Option{apitest.Set("CONSOLE_API_URL", public)}},
		{name: "W-13 loopback http"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := apitest.Start(t, append(tc.options, unlimited())...)
			origin := s.URL
			if tc.prefix != "" {
				origin = public
			}
			check := func(t *testing.T, a apitest.Answer, want map[string]string) (values map[string]string) {
				t.Helper()
				values, got := tkCookies(t, a)
				for name, attributes := range want {
					full := tc.prefix + name
					parts := strings.Split(attributes+tc.secure, "; ")
					slices.Sort(parts)
					if got[full] != strings.Join(parts, "; ") {
						t.Errorf("%s has %q, want %q", full, got[full], parts)
					}
					if cleared := strings.Contains(attributes, "expires="); cleared != (values[full] == "") {
						t.Errorf("%s has the value %q", full, values[full])
					}
				}
				if len(got) != len(want) {
					t.Errorf("cookies %v, want %v", got, want)
				}
				return values
			}
			const hidden, cleared = "httponly; path=/; samesite=lax", "expires=thu, 01 jan 1970 00:00:00 gmt; "
			login := func(remember bool) apitest.Answer {
				return s.Call(t, http.MethodPost, loginPath, tkLoginBody(apitest.OwnerEmail, tkEncoded(apitest.OwnerPassword), remember), "Content-Type", "application/json", "Origin", origin)
			}
			values := check(t, login(false), map[string]string{
				"console_session": hidden, "csrf_token": "path=/; samesite=lax", "presession": cleared + hidden,
			})
			for _, name := range []string{"console_session", "csrf_token"} {
				if !value.MatchString(values[tc.prefix+name]) {
					t.Errorf("%s is %q, not base64url of 32 bytes", name, values[tc.prefix+name])
				}
			}
			check(t, login(true), map[string]string{
				"console_session": hidden + "; max-age=2592000", "csrf_token": "path=/; samesite=lax; max-age=2592000", "presession": cleared + hidden,
			})
			before := check(t, s.Call(t, http.MethodGet, "/signin", "", "Host", strings.TrimPrefix(origin, "https://")), map[string]string{"presession": hidden + "; max-age=3600"})
			if !value.MatchString(before[tc.prefix+"presession"]) {
				t.Error("the pre-session is not base64url of 32 bytes")
			}

			session := tc.prefix + "console_session=" + values[tc.prefix+"console_session"]
			page := s.Call(t, http.MethodGet, "/device", "", "Cookie", session)
			token := tkFormToken.FindStringSubmatch(page.Body)
			if token == nil {
				t.Fatalf("%d %s", page.Status, page.Body)
			}
			typed := s.Form(t, "/device", url.Values{"csrf_token": {token[1]}, "user_code": {s.Code(t, "x").User}}, "Cookie", session, "Origin", origin)
			check(t, typed, map[string]string{"device_entry": hidden + "; max-age=900"})
			check(t, s.Call(t, http.MethodPost, "/console/api/logout", "", "Cookie", session, "Origin", origin, "X-CSRF-Token", token[1]),
				map[string]string{"console_session": cleared + hidden, "csrf_token": cleared + "path=/; samesite=lax"})
		})
	}
}

func TestCookieTricks(t *testing.T) {
	const public = "https://sso.example.test"
	s := apitest.Start(t, unlimited(), apitest.Set("CONSOLE_API_URL", public))
	mine := tkSignIn(t, s, false)
	other := tkSignIn(t, s, false)
	status := func(t *testing.T, cookies ...string) int {
		t.Helper()
		var headers []string
		for _, c := range cookies {
			headers = append(headers, "Cookie", c)
		}
		return s.Call(t, http.MethodGet, profilePath, "", headers...).Status
	}
	for _, tc := range []struct {
		name    string
		cookies []string
		want    int
	}{
		{name: "DEV-20 the name with its prefix", cookies: []string{"__Host-console_session=" + mine}, want: http.StatusOK},
		{name: "DEV-20 the plain name, which a sub-domain could set", cookies: []string{"console_session=" + mine}, want: http.StatusUnauthorized},
		{name: "DEV-20 a weaker prefix", cookies: []string{"__Secure-console_session=" + mine}, want: http.StatusUnauthorized},
		{name: "DEV-20 another letter case", cookies: []string{"__host-console_session=" + mine}, want: http.StatusUnauthorized},
		{name: "DEV-20 the plain name beside the right one", cookies: []string{"console_session=" + other + "; __Host-console_session=" + mine}, want: http.StatusOK},
		{name: "DEV-20 one name twice", cookies: []string{"__Host-console_session=" + mine + "; __Host-console_session=" + other}, want: http.StatusUnauthorized},
		{name: "DEV-20 one name twice, same value", cookies: []string{"__Host-console_session=" + mine + "; __Host-console_session=" + mine}, want: http.StatusUnauthorized},
		{name: "DEV-20 one name twice, one empty", cookies: []string{"__Host-console_session=; __Host-console_session=" + mine}, want: http.StatusUnauthorized},
		{name: "DEV-20 one name in two headers", cookies: []string{"__Host-console_session=" + mine, "__Host-console_session=" + other}, want: http.StatusUnauthorized},
		{name: "DEV-20 a path as part of the header", cookies: []string{"__Host-console_session=" + mine + "; $Path=/openapi"}, want: http.StatusOK},
		{name: "DEV-20 a value of another length", cookies: []string{"__Host-console_session=" + mine + "A"}, want: http.StatusUnauthorized},
		{name: "DEV-20 unknown value", cookies: []string{"__Host-console_session=" + secret.Random()}, want: http.StatusUnauthorized},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := status(t, tc.cookies...); got != tc.want {
				t.Fatalf("%d, want %d", got, tc.want)
			}
		})
	}
	t.Run("DEV-20 a doubled or plain device_entry has not typed the code", func(t *testing.T) {
		session := "__Host-console_session=" + mine
		page := s.Call(t, http.MethodGet, "/device", "", "Cookie", session)
		c := s.Code(t, "x")
		typed := s.Form(t, "/device", url.Values{"csrf_token": {tkFormToken.FindStringSubmatch(page.Body)[1]}, "user_code": {c.User}}, "Cookie", session, "Origin", public)
		values, _ := tkCookies(t, typed)
		entry := values["__Host-device_entry"]
		shown := func(cookie string) bool {
			a := s.Call(t, http.MethodGet, "/device?user_code="+c.User, "", "Cookie", session+"; "+cookie)
			return strings.Contains(a.Body, `action="/device/authorize"`)
		}
		if !shown("__Host-device_entry=" + entry) {
			t.Fatal("the entry itself does not work")
		}
		for _, cookie := range []string{"device_entry=" + entry, fmt.Sprintf("__Host-device_entry=%s; __Host-device_entry=%s", entry, entry), "__Host-device_entry=" + entry + "x"} {
			if shown(cookie) {
				t.Errorf("%s was accepted", cookie)
			}
		}
	})
}
