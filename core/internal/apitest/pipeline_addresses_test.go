// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// htFrom asks for a code as if through the proxies that X-Forwarded-For names.
func htFrom(t testing.TB, s *apitest.Server, forwarded string, more ...string) int {
	t.Helper()
	headers := more
	if forwarded != "" {
		headers = append(headers, "X-Forwarded-For", forwarded)
	}
	return s.Post(t, codePath, map[string]string{"client_id": "difyctl", "device_label": "x"}, headers...).Status
}

func htWantStatus(t testing.TB, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: status %d instead of %d", what, got, want)
	}
}

func TestForgedAddresses(t *testing.T) {
	t.Run("LIM-3 RL-01 HTTP-06 a stranger's headers open no second budget", func(t *testing.T) {
		s := apitest.Start(t, unlimited("device.code.addr=2/1h"))
		htWantStatus(t, "first", htFrom(t, s, "203.0.113.1"), 200)
		htWantStatus(t, "second", htFrom(t, s, "203.0.113.2"), 200)
		for _, header := range []string{"X-Forwarded-For", "CF-Connecting-IP", "X-Real-IP", "True-Client-IP", "Forwarded", "X-Client-IP", "X-Forwarded"} {
			htWantStatus(t, header, htFrom(t, s, "", header, "203.0.113.3"), 429)
		}
	})
	t.Run("LIM-3 RL-01 two trusted hops leave the address in front of them", func(t *testing.T) {
		spy := &grantSpy{}
		s := apitest.Start(t, unlimited("device.code.addr=1/1h"), apitest.Wrap(spy.wrap), apitest.Set("TRUSTED_PROXIES", "127.0.0.1/32,10.0.0.0/8"))
		for _, tc := range []struct{ forwarded, want string }{
			{"198.51.100.7, 10.1.1.1", "198.51.100.7"},
			{"203.0.113.9, 198.51.100.8, 10.1.1.1", "198.51.100.8"}, // the first entry is the client's own invention
			{"10.2.2.2, 198.51.100.9, 10.1.1.1, 10.3.3.3", "198.51.100.9"},
			{"198.51.100.10, not-an-address, 10.1.1.1", "10.1.1.1"}, // the last good one
			{"", "127.0.0.1"},
		} {
			htWantStatus(t, tc.forwarded, htFrom(t, s, tc.forwarded, "X-Real-IP", "203.0.113.77", "CF-Connecting-IP", "203.0.113.78"), 200)
			if got := spy.lastCreated().CreatedIP; got != tc.want {
				t.Fatalf("%q is counted as %s instead of %s", tc.forwarded, got, tc.want)
			}
			htWantStatus(t, tc.forwarded+" again", htFrom(t, s, tc.forwarded), 429)
		}
		htWantStatus(t, "an invented entry in front", htFrom(t, s, "203.0.113.10, 198.51.100.8, 10.1.1.1"), 429)
	})
	t.Run("LIM-3 several lines are one list", func(t *testing.T) {
		s := apitest.Start(t, unlimited("device.code.addr=1/1h"), apitest.Set("TRUSTED_PROXIES", "127.0.0.1/32"))
		htWantStatus(t, "first", htFrom(t, s, "203.0.113.1", "X-Forwarded-For", "198.51.100.1"), 200)
		htWantStatus(t, "the last line decides", htFrom(t, s, "203.0.113.1", "X-Forwarded-For", "198.51.100.2"), 429)
	})
}

func TestOneBudgetForANetwork(t *testing.T) {
	s := apitest.Start(t, unlimited("device.code.addr=5/1h"), apitest.Set("TRUSTED_PROXIES", "127.0.0.1/32"))
	t.Run("LIM-6 RL-01 1000 hosts of one IPv6 /64 share a budget", func(t *testing.T) {
		passed := 0
		for i := range 1000 {
			if htFrom(t, s, fmt.Sprintf("2001:db8:1:2:%x:%x:%x:1", i, i*31, i*7)) == http.StatusOK {
				passed++
			}
		}
		if passed != 5 {
			t.Fatalf("%d of 1000 pass a budget of 5", passed)
		}
		htWantStatus(t, "another /64", htFrom(t, s, "2001:db8:1:3::1"), 200)
	})
	t.Run("LIM-6 RL-01 an IPv4-mapped address is the IPv4 address", func(t *testing.T) {
		for range 3 {
			htWantStatus(t, "plain", htFrom(t, s, "198.51.100.1"), 200)
		}
		for range 2 {
			htWantStatus(t, "mapped", htFrom(t, s, "::ffff:198.51.100.1"), 200)
		}
		htWantStatus(t, "mapped", htFrom(t, s, "::ffff:198.51.100.1"), 429)
		htWantStatus(t, "mapped in hexadecimal", htFrom(t, s, "::ffff:c633:6401"), 429)
		htWantStatus(t, "plain", htFrom(t, s, "198.51.100.1"), 429)
		htWantStatus(t, "its neighbour", htFrom(t, s, "198.51.100.2"), 200)
	})
	t.Run("RL-01 people behind one address keep a budget of their own", func(t *testing.T) {
		s := apitest.Start(t, unlimited("device.wrong.all=2/1h", "device.wrong.account=5/15m"))
		b, c := s.SignedIn(t), s.Code(t, "box")
		for range 3 { // strangers of the same address use up what strangers have
			s.Call(t, http.MethodGet, lookPath+"?user_code=BCDF-GHJK", "")
		}
		wantAnswer(t, s.Call(t, http.MethodGet, lookPath+"?user_code="+c.User, ""), http.StatusTooManyRequests, "too_many_requests")
		allow(t, b, c)
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
	})
}
