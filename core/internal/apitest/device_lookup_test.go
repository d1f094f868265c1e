// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

func lookUp(t testing.TB, s *apitest.Server, typed string) apitest.Answer {
	t.Helper()
	return s.Call(t, http.MethodGet, lookPath+"?user_code="+url.QueryEscape(typed), "")
}

func TestDeviceLookup(t *testing.T) {
	spy := &grantSpy{}
	s := apitest.Start(t, unlimited(), apitest.Wrap(spy.wrap))
	b := s.SignedIn(t)

	expired := s.Code(t, "c")
	s.Clock.Advance(16 * time.Minute)
	approved, denied, redeemed := s.Code(t, "a"), s.Code(t, "b"), s.Code(t, "d")
	allow(t, b, approved)
	allow(t, b, redeemed)
	wantAnswer(t, s.Poll(t, redeemed), http.StatusOK, "")
	wantAnswer(t, b.Decide("deny", denied.User), http.StatusOK, "")
	pending := s.Code(t, "pending")

	const invalid = `{"valid":false,"expires_in_remaining":0,"client_id":null}`
	full := strings.Map(func(r rune) rune {
		if r == '-' {
			return r
		}
		return r - '!' + '！'
	}, pending.User)
	zeroForO := strings.NewReplacer("Q", "0", "A", "1").Replace(pending.User)
	if zeroForO == pending.User {
		zeroForO = "0" + pending.User[1:]
	}
	codes := []struct {
		name, typed string
		valid       bool
		store       bool
	}{
		{"DF-8 pending", pending.User, true, true},
		{"DF-8 DEV-23 approved", approved.User, false, true},
		{"DF-8 DEV-23 denied", denied.User, false, true},
		{"DF-8 DEV-23 redeemed", redeemed.User, false, true},
		{"DF-8 DEV-23 expired", expired.User, false, true},
		{"DF-8 DEV-23 unknown", "BCDF-GHJK", false, true},
		{"DF-8 DEV-23 malformed", "x", false, false},
		{"DF-8 DEV-29 full width", full, false, false},
		{"DF-10 DEV-29 lower case", strings.ToLower(pending.User), true, true},
		{"DF-10 DEV-29 no hyphen", strings.Replace(pending.User, "-", "", 1), true, true},
		{"DF-10 DEV-29 spaces", " " + strings.Join(strings.Split(pending.User, ""), " ") + " ", true, true},
		{"DF-10 DEV-29 hyphens elsewhere", "-" + strings.Join(strings.Split(strings.Replace(pending.User, "-", "", 1), ""), "-") + "-", true, true},
		{"DEV-29 look-alike digits are not mapped", zeroForO, false, false},
		{"DEV-29 NUL inside", pending.User[:4] + "\x00" + pending.User[5:], false, false},
		{"DEV-29 NUL at the end", pending.User + "\x00", false, false},
		{"DEV-29 one symbol more", pending.User + "A", false, false},
		{"DEV-29 one symbol less", pending.User[:8], false, false},
		{"DEV-29 Cyrillic", "А" + pending.User[1:], false, false},
	}
	for _, tc := range codes {
		t.Run(tc.name, func(t *testing.T) {
			_, _, before := spy.asked()
			a := lookUp(t, s, tc.typed)
			wantAnswer(t, a, http.StatusOK, "")
			if tc.valid != (a.JSON(t)["valid"] == true) || !tc.valid && a.Body != invalid {
				t.Fatal(a.Body)
			}
			if tc.valid && a.JSON(t)["client_id"] != "difyctl" {
				t.Fatal(a.Body)
			}
			if _, _, after := spy.asked(); (after != before) != tc.store {
				t.Fatalf("the store was asked %d times", after-before)
			}
		})
	}
	for name, query := range map[string]string{
		"DF-8 without a parameter": "", "DF-8 empty": "?user_code=", "DF-8 repeated": "?user_code=BCDF-GHJK&user_code=BCDF-GHJK",
	} {
		t.Run(name, func(t *testing.T) {
			wantAnswer(t, s.Call(t, http.MethodGet, lookPath+query, ""), http.StatusBadRequest, "bad_request")
		})
	}
	t.Run("DF-9 what is left is counted down", func(t *testing.T) {
		c := s.Code(t, "x")
		s.Clock.Advance(100 * time.Second)
		left, _ := lookUp(t, s, c.User).JSON(t)["expires_in_remaining"].(float64)
		if left < 799 || left > 801 || left != float64(int(left)) {
			t.Fatalf("%v seconds left", left)
		}
	})
	t.Run("DF-30 DEV-26 expiry between lookup and approval", func(t *testing.T) {
		c := s.Code(t, "x")
		s.Clock.Advance(15*time.Minute - 2*time.Second)
		if lookUp(t, s, c.User).JSON(t)["valid"] != true {
			t.Fatal("not pending in its last seconds")
		}
		s.Clock.Advance(2 * time.Second)
		wantAnswer(t, b.Decide("approve", c.User), http.StatusNotFound, "expired_or_unknown")
		wantAnswer(t, b.Decide("deny", c.User), http.StatusNotFound, "expired_or_unknown")
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
	})
}

func TestWrongUserCodesAreBounded(t *testing.T) {
	t.Run("DEV-01 by address", func(t *testing.T) {
		s := apitest.Start(t, apitest.Set("TRUSTED_PROXIES", "127.0.0.1/32"), unlimited("device.lookup.addr=3/1h"))
		from := func(ip string) int {
			return s.Call(t, http.MethodGet, lookPath+"?user_code=BCDF-GHJK", "", "X-Forwarded-For", ip).Status
		}
		for range 3 {
			if got := from("198.51.100.1"); got != http.StatusOK {
				t.Fatal(got)
			}
		}
		if a, b := from("198.51.100.1"), from("198.51.100.2"); a != http.StatusTooManyRequests || b != http.StatusOK {
			t.Fatal(a, b)
		}
	})
	t.Run("DEV-01 by installation, and a signed-in person still decides", func(t *testing.T) {
		s := apitest.Start(t, unlimited("device.wrong.all=5/1h", "device.wrong.account=5/15m"))
		b, c := s.SignedIn(t), s.Code(t, "x")
		for range 5 {
			wantAnswer(t, lookUp(t, s, "BCDF-GHJK"), http.StatusOK, "")
		}
		wantAnswer(t, lookUp(t, s, "BCDF-GHJK"), http.StatusTooManyRequests, "too_many_requests")
		wantAnswer(t, lookUp(t, s, c.User), http.StatusTooManyRequests, "too_many_requests")
		allow(t, b, c)
	})
	t.Run("DEV-01 a right code costs nothing", func(t *testing.T) {
		s := apitest.Start(t, unlimited("device.wrong.all=2/1h"))
		c := s.Code(t, "x")
		for range 6 {
			wantAnswer(t, lookUp(t, s, c.User), http.StatusOK, "")
		}
	})
	t.Run("DEV-01 by account, over sessions", func(t *testing.T) {
		s := apitest.Start(t, unlimited("device.wrong.account=5/15m"))
		addAccount(t, s, "bob@example.com")
		one, two, bob, c := s.SignedIn(t), s.SignedIn(t), signedInAs(t, s, "bob@example.com"), s.Code(t, "x")
		for range 5 {
			wantAnswer(t, one.Decide("approve", "BCDF-GHJK"), http.StatusNotFound, "expired_or_unknown")
		}
		wantAnswer(t, two.Decide("approve", c.User), http.StatusTooManyRequests, "too_many_requests")
		wantAnswer(t, two.Decide("deny", c.User), http.StatusTooManyRequests, "too_many_requests")
		wantAnswer(t, bob.Decide("deny", c.User), http.StatusOK, "")
		s.Clock.Advance(14 * time.Minute)
		wantAnswer(t, one.Decide("approve", s.Code(t, "y").User), http.StatusTooManyRequests, "too_many_requests")
		s.Clock.Advance(2 * time.Minute)
		allow(t, one, s.Code(t, "z"))
	})
}
