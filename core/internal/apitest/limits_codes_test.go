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
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
)

func TestWrongCodesOfStrangers(t *testing.T) {
	frozen := &tkFrozen{}
	s := apitest.Start(t, tkProxied, apitest.Wrap(frozen.wrap))
	c := s.Code(t, "x")
	from := func(i int, code string) int { // addresses of their own: device.lookup.addr is another matter
		return s.Call(t, http.MethodGet, lookPath+"?user_code="+code, "", "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i)).Status
	}
	exhaust := func(t *testing.T, times int) {
		t.Helper()
		statuses := tkAtOnce(times, func(i int) int { return from(i, "BCDF-GHJK") })
		if tkCount(statuses, http.StatusOK) != 20 || tkCount(statuses, http.StatusTooManyRequests) != times-20 {
			t.Fatalf("of %d wrong codes at once: %v", times, statuses)
		}
	}
	typed := func(b *apitest.Browser, code string) apitest.Answer {
		b.Get("/device")
		return b.SubmitOnly("/device", url.Values{"user_code": {code}})
	}
	t.Run("LIM-8 the twenty-first wrong code at once, then right and wrong alike", func(t *testing.T) {
		b := s.SignedIn(t)
		exhaust(t, 21)
		if right, wrong := from(50, c.User), from(51, "BCDF-GHJK"); right != http.StatusTooManyRequests || wrong != http.StatusTooManyRequests {
			t.Fatalf("right %d, wrong %d", right, wrong)
		}
		tkRefusedBy(t, s.Call(t, http.MethodGet, lookPath+"?user_code="+c.User, "", "X-Forwarded-For", "203.0.113.52"), "20")
		for _, code := range []string{c.User, "BCDF-GHJK"} {
			if a := typed(s.Browser(t), code); a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "1" || len(a.Header.Values("Set-Cookie")) != 0 {
				t.Fatalf("the page: %d %v", a.Status, a.Header)
			}
		}
		if a := typed(b, c.User); a.Status != http.StatusSeeOther {
			t.Fatalf("typed by the signed-in: %d", a.Status)
		}
		allow(t, b, c)
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
	})
	t.Run("LIM-8 it recovers within a second", func(t *testing.T) {
		c := s.Code(t, "y")
		frozen.advance(49 * time.Millisecond)
		if got := from(60, c.User); got != http.StatusTooManyRequests {
			t.Fatal(got)
		}
		frozen.advance(time.Millisecond)
		for range 5 { // a right one gives its permit back
			if got := from(61, c.User); got != http.StatusOK {
				t.Fatal(got)
			}
		}
		frozen.advance(time.Second)
		exhaust(t, 30)
	})
	t.Run("RL-04 who typed a pending code on this browser spends no budget of wrong codes", func(t *testing.T) {
		frozen.advance(time.Second)
		b, c := s.Browser(t), s.Code(t, "z")
		if a := typed(b, c.User); a.Status != http.StatusSeeOther {
			t.Fatal(a.Status)
		}
		exhaust(t, 21)
		if a := b.Call(http.MethodGet, "/device?user_code="+c.User, ""); a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/signin") {
			t.Fatalf("while strangers have used the budget up: %d", a.Status)
		}
		frozen.advance(time.Second)
		over := s.Code(t, "over")
		s.Clock.Advance(5 * time.Minute)
		if a := typed(b, over.User); a.Status != http.StatusSeeOther {
			t.Fatal(a.Status)
		}
		s.Clock.Advance(10 * time.Minute)
		for range 25 { // its code is gone, and it is looked at again and again
			if a := b.Call(http.MethodGet, "/device?user_code="+over.User, ""); a.Status != http.StatusNotFound {
				t.Fatal(a.Status)
			}
		}
		exhaust(t, 21)
	})
}

func TestWrongCodesOfAnAccount(t *testing.T) {
	slow(t)
	t.Run("LIM-11 five over two sessions and a new sign-in lock the account for a quarter of an hour", func(t *testing.T) {
		frozen := &tkFrozen{}
		s := apitest.Start(t, unlimited("device.wrong.account=5/15m"), apitest.Wrap(frozen.wrap))
		addAccount(t, s, "bob@example.com")
		one, two, bob := s.SignedIn(t), s.SignedIn(t), signedInAs(t, s, "bob@example.com")
		for i, b := range []*apitest.Browser{one, two, one, two, two} {
			act := []string{"approve", "deny"}[i%2]
			wantAnswer(t, b.Decide(act, "BCDF-GHJK"), http.StatusNotFound, "expired_or_unknown")
		}
		locked := func(want string) {
			t.Helper()
			c := s.Code(t, "x")
			for _, b := range []*apitest.Browser{one, two, s.SignedIn(t)} {
				for _, act := range []string{"approve", "deny"} {
					a := b.Decide(act, c.User)
					wantAnswer(t, a, http.StatusTooManyRequests, "too_many_requests")
					tkRefusedBy(t, a, "5")
					if got := a.Header.Get("Retry-After"); got != want {
						t.Fatalf("Retry-After %q, want %q", got, want)
					}
				}
				b.Get("/device")
				if a := b.SubmitOnly("/device", url.Values{"user_code": {c.User}}); a.Status != http.StatusTooManyRequests {
					t.Fatalf("the page: %d", a.Status)
				}
			}
			allow(t, bob, c)
		}
		locked("900")
		frozen.advance(15*time.Minute - time.Second)
		locked("1")
		frozen.advance(time.Second)
		allow(t, one, s.Code(t, "y"))
	})
	t.Run("LIM-15 a hundred wrong codes at once against a budget of five", func(t *testing.T) {
		spy := &grantSpy{}
		s := apitest.Start(t, unlimited("device.wrong.account=5/15m"), apitest.Wrap(func(st *app.Stores) { spy.wrap(st); (&tkFrozen{}).wrap(st) }))
		b := s.SignedIn(t)
		csrf := b.CSRF()
		statuses := tkAtOnce(100, func(int) int {
			return b.Call(http.MethodPost, "/openapi/v1/oauth/device/approve", `{"user_code":"BCDF-GHJK"}`, "Content-Type", "application/json", "X-CSRF-Token", csrf).Status
		})
		if _, _, finds := spy.asked(); tkCount(statuses, http.StatusNotFound) != 5 || tkCount(statuses, http.StatusTooManyRequests) != 95 || finds != 5 {
			t.Fatalf("%d checked, %v", finds, statuses)
		}
	})
	t.Run("LIM-15 a hundred right codes in a row are never refused by it", func(t *testing.T) {
		s := apitest.Start(t, unlimited("device.wrong.account=5/15m", "device.wrong.all=5/1h"), apitest.Wrap((&tkFrozen{}).wrap))
		b := s.SignedIn(t)
		for range 100 {
			c := s.Code(t, "x")
			if lookUp(t, s, c.User).JSON(t)["valid"] != true {
				t.Fatal("not valid")
			}
			allow(t, b, c)
		}
	})
	t.Run("RL-04 deciding on the page about a code that is over spends none of the account's five", func(t *testing.T) {
		s := apitest.Start(t, unlimited("device.wrong.account=5/15m"), apitest.Wrap((&tkFrozen{}).wrap))
		b, c := s.SignedIn(t), s.Code(t, "x")
		s.Clock.Advance(10 * time.Minute)
		b.Get("/device")
		b.Submit("/device", url.Values{"user_code": {c.User}})
		fields := b.Hidden("/device/authorize")
		fields.Set("decision", "allow")
		s.Clock.Advance(5 * time.Minute) // the code is gone, the proof that it was typed here holds
		for range 8 {
			a := b.Call(http.MethodPost, "/device/authorize", fields.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Origin", s.URL)
			if a.Status != http.StatusNotFound {
				t.Fatal(a.Status)
			}
		}
		allow(t, b, s.Code(t, "z"))
	})
}

func TestBadBearers(t *testing.T) {
	slow(t)
	t.Run("LIM-12 RL-06 the 301st of an address, another address is free", func(t *testing.T) {
		spy := &tkStore{}
		s := apitest.Start(t, tkProxied, unlimited("bearer.failed.addr=300/24h"), apitest.Wrap(spy.wrap)) // the window alone is longer: the test takes a while
		good, _ := tkLogin(t, s, s.SignedIn(t), "laptop")
		ask := func(ip, bearer string) apitest.Answer {
			return s.Call(t, http.MethodGet, accountPath, "", "Authorization", "Bearer "+bearer, "X-Forwarded-For", ip)
		}
		for i := range 300 {
			bearer := unknownToken
			if i%2 == 0 {
				bearer = "malformed"
			}
			wantAnswer(t, ask("203.0.113.1", bearer), http.StatusUnauthorized, "invalid_token")
		}
		before, _, _ := spy.counts()
		a := ask("203.0.113.1", "malformed")
		wantAnswer(t, a, http.StatusTooManyRequests, "too_many_requests")
		if after, _, _ := spy.counts(); after != before || a.Header.Get("Retry-After") == "" {
			t.Fatal("a malformed bearer reached the store, or nothing says when to come back")
		}
		wantAnswer(t, ask("203.0.113.1", unknownToken), http.StatusTooManyRequests, "too_many_requests")
		wantAnswer(t, ask("203.0.113.2", "malformed"), http.StatusUnauthorized, "invalid_token")
		wantAnswer(t, ask("203.0.113.2", good), http.StatusOK, "")
		awaitEvents(t, s, "oauth.rate_limited", 1)
		if f := eventFields(t, s, "oauth.rate_limited"); f["policy"] != "bearer.failed.addr" {
			t.Fatal(f)
		}
		s.Clock.Advance(24 * time.Hour / 300)
		wantAnswer(t, ask("203.0.113.1", "malformed"), http.StatusUnauthorized, "invalid_token")
	})
	t.Run("RL-06 the shape comes before any counter, and counters know digests alone", func(t *testing.T) {
		frozen := &tkFrozen{}
		s := apitest.Start(t, apitest.Wrap(frozen.wrap))
		asked := func() []string {
			frozen.mu.Lock()
			defer frozen.mu.Unlock()
			return slices.Clone(frozen.scopes)
		}
		for _, malformed := range []string{"x", unknownToken + "A", "dfoe_" + unknownToken[5:], "app-x"} {
			tkAsk(t, s, malformed, http.StatusUnauthorized, "invalid_token")
		}
		if by := asked(); len(by) != 0 {
			t.Fatalf("counted by %q", by)
		}
		tkAsk(t, s, unknownToken, http.StatusUnauthorized, "invalid_token")
		if by := asked(); len(by) != 1 || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(by[0]) {
			t.Fatalf("counted by %q", by)
		}
		if s.Pair != nil {
			s.Clock.Advance(2 * time.Minute) // under a clock of ours a counter stays a minute longer
			if left := sharedCounters(t, s); len(left) != 0 {
				t.Fatalf("left after a minute: %q", left)
			}
			return
		}
		memory := frozen.Store.(*ratelimit.Memory)
		if n := memory.Sweep(frozen.now.Add(time.Minute)); n != 1 {
			t.Fatalf("%d counters left after a minute", n)
		}
	})
}
