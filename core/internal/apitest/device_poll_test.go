// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

func pollAs(t testing.TB, s *apitest.Server, client, code string, headers ...string) apitest.Answer {
	t.Helper()
	return s.Post(t, tokenPath, map[string]string{"client_id": client, "device_code": code}, headers...)
}

func TestPollingInterval(t *testing.T) {
	spy := &grantSpy{}
	s := apitest.Start(t, unlimited(), apitest.Wrap(spy.wrap))
	b := s.SignedIn(t)

	t.Run("DF-11 at once and then every five seconds is never too fast", func(t *testing.T) {
		c := s.Code(t, "x")
		for range 20 {
			wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
			s.Clock.Advance(5 * time.Second)
		}
	})
	t.Run("DF-11 a timer that fires a little early is forgiven", func(t *testing.T) {
		c := s.Code(t, "x")
		for range 3 {
			wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
			s.Clock.Advance(4600 * time.Millisecond)
		}
	})
	t.Run("DF-12 DEV-05 too fast makes the interval grow by five seconds up to sixty", func(t *testing.T) {
		c := s.Code(t, "x")
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
		want := 5 * time.Second
		for range 14 {
			s.Clock.Advance(2 * time.Second)
			a := s.Poll(t, c)
			wantAnswer(t, a, http.StatusBadRequest, "slow_down")
			if a.Body != `{"error":"slow_down"}` {
				t.Fatal(a.Body)
			}
			if want = min(want+5*time.Second, time.Minute); spy.interval() != want {
				t.Fatalf("stored interval %s instead of %s", spy.interval(), want)
			}
		}
		s.Clock.Advance(time.Minute)
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
		if spy.interval() != time.Minute {
			t.Fatalf("an obedient client sees %s", spy.interval())
		}
	})
	t.Run("DF-12 an early poll counts as the last one", func(t *testing.T) {
		c := s.Code(t, "x")
		s.Poll(t, c)
		s.Clock.Advance(3 * time.Second)
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "slow_down")
		s.Clock.Advance(8 * time.Second) // more than 10 after the first, less than 10 after the second
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "slow_down")
	})
	t.Run("DF-14 DEV-05 another client consumes nothing and leaves the interval alone", func(t *testing.T) {
		c := s.Code(t, "x")
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
		for range 5 {
			a := pollAs(t, s, "difyauth", c.Device)
			wantAnswer(t, a, http.StatusBadRequest, "invalid_grant")
			if a.Body != `{"error":"invalid_grant"}` {
				t.Fatal(a.Body)
			}
		}
		s.Clock.Advance(5 * time.Second)
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
		if spy.interval() != 5*time.Second {
			t.Fatalf("interval %s", spy.interval())
		}
		allow(t, b, c)
		wantAnswer(t, pollAs(t, s, "difyauth", c.Device), http.StatusBadRequest, "invalid_grant")
		s.Clock.Advance(5 * time.Second)
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
	})
	t.Run("DF-16 Basic is refused before a poll is counted", func(t *testing.T) {
		c := s.Code(t, "x")
		_, before, _ := spy.asked()
		for range 3 {
			a := s.Form(t, tokenPath, url.Values{"grant_type": {grantType}, "device_code": {c.Device}}, "Authorization", "Basic ZGlmeWN0bDo=")
			wantAnswer(t, a, http.StatusUnauthorized, "invalid_client")
			if a.Body != `{"error":"invalid_client"}` || a.Header.Get("WWW-Authenticate") != `Basic realm="oauth"` {
				t.Fatalf("%v %s", a.Header, a.Body)
			}
		}
		// It is judged before the body: a probe learns it whatever it sent.
		a := s.Call(t, http.MethodPost, tokenPath, "<x/>", "Content-Type", "text/xml", "Authorization", "Basic ZGlmeWN0bDo=")
		wantAnswer(t, a, http.StatusUnauthorized, "invalid_client")
		if _, after, _ := spy.asked(); after != before {
			t.Fatal("a Basic probe reached the store")
		}
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
	})
}

func TestDeviceCodesThatAreNone(t *testing.T) {
	spy := &grantSpy{}
	s := apitest.Start(t, unlimited(), apitest.Wrap(spy.wrap))
	b := s.SignedIn(t)
	expired, approved := s.Code(t, "x"), s.Code(t, "y")
	allow(t, b, approved)
	wantAnswer(t, s.Poll(t, approved), http.StatusOK, "")
	s.Clock.Advance(15 * time.Minute)
	codes := []struct {
		name, code string
		store      bool
	}{
		{"DF-13 DEV-02 unknown", unknownCode.Device, true},
		{"DF-13 DEV-02 expired", expired.Device, true},
		{"DF-13 DEV-02 redeemed", approved.Device, true},
		{"DF-13 DEV-02 no prefix", strings.Repeat("A", 46), false},
		{"DF-13 DEV-02 one character less", unknownCode.Device[:45], false},
		{"DF-13 DEV-02 one character more", unknownCode.Device + "A", false},
		{"DF-13 DEV-02 a line break at the end", unknownCode.Device + "\n", false},
		{"DF-13 DEV-02 other characters", "dc_" + strings.Repeat("ä", 43), false},
		{"DF-13 DEV-02 a token", "dfoa_" + strings.Repeat("A", 43), false},
	}
	for _, tc := range codes {
		t.Run(tc.name, func(t *testing.T) {
			made, before, _ := spy.asked()
			a := pollAs(t, s, "difyctl", tc.code)
			wantAnswer(t, a, http.StatusBadRequest, "expired_token")
			if a.Body != `{"error":"expired_token"}` {
				t.Fatal(a.Body)
			}
			after, polls, _ := spy.asked()
			if (polls != before) != tc.store || after != made {
				t.Fatalf("the store saw %d polls and %d grants", polls-before, after-made)
			}
		})
	}
	t.Run("DF-13 an unknown code writes nothing, however often", func(t *testing.T) {
		live := s.LiveGrants(t)
		for range 50 {
			wantAnswer(t, pollAs(t, s, "difyctl", unknownCode.Device), http.StatusBadRequest, "expired_token")
		}
		if after := s.LiveGrants(t); after != live {
			t.Fatalf("%d grants instead of %d", after, live)
		}
	})
	t.Run("DF-13 a megabyte", func(t *testing.T) {
		// The server does not read on: a client that goes on sending may see a reset
		// in place of the answer, so this one stops after the first 8 KiB.
		conn, begin := htDial(t, s.URL), `{"client_id":"difyctl","device_code":"dc_`
		conn.send("POST " + tokenPath + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(begin)+1<<20+2) + "\r\n\r\n" +
			begin + strings.Repeat("A", 8<<10))
		a := conn.read(http.MethodPost)
		wantAnswer(t, a, http.StatusRequestEntityTooLarge, "request_entity_too_large")
	})

	pending := s.Code(t, "z")
	full := url.Values{"grant_type": {grantType}, "device_code": {pending.Device}, "client_id": {"difyctl"}}
	with := func(name string, values ...string) url.Values {
		v := url.Values{}
		for key, old := range full {
			v[key] = old
		}
		if v[name] = values; len(values) == 0 {
			delete(v, name)
		}
		return v
	}
	forms := []struct {
		name string
		form url.Values
		word string
	}{
		{"DF-15 grant type missing", with("grant_type"), "invalid_request"},
		{"DF-15 grant type empty", with("grant_type", ""), "invalid_request"},
		{"DF-15 grant type repeated", with("grant_type", grantType, grantType), "invalid_request"},
		{"DF-15 another grant type", with("grant_type", "authorization_code"), "unsupported_grant_type"},
		{"DF-15 device code missing", with("device_code"), "invalid_request"},
		{"DF-15 device code repeated", with("device_code", pending.Device, pending.Device), "invalid_request"},
		{"DF-15 client missing", with("client_id"), "invalid_request"},
		{"DF-15 client repeated", with("client_id", "difyctl", "difyctl"), "invalid_request"},
		{"DF-15 client of no valid shape", with("client_id", "a b"), "invalid_request"},
		{"DF-15 the whole form", full, "authorization_pending"},
	}
	for _, tc := range forms {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Form(t, tokenPath, tc.form)
			wantAnswer(t, a, http.StatusBadRequest, "")
			if a.JSON(t)["error"] != tc.word {
				t.Fatal(a.Body)
			}
		})
	}
	t.Run("DF-15 JSON may leave the grant type out but not lie", func(t *testing.T) {
		a := s.Post(t, tokenPath, map[string]string{"client_id": "difyctl", "device_code": pending.Device, "grant_type": "password"})
		wantAnswer(t, a, http.StatusBadRequest, "unsupported_grant_type")
	})
}

func TestPollLimitOfAnAddress(t *testing.T) {
	t.Run("DF-17 DEV-05 the 601st poll is told to slow down", func(t *testing.T) {
		s := apitest.Start(t, unlimited("device.poll.addr=600/24h")) // the window alone is longer: the test takes a while
		c := s.Code(t, "x")
		for range 600 {
			wantAnswer(t, pollAs(t, s, "difyctl", unknownCode.Device), http.StatusBadRequest, "expired_token")
		}
		a := s.Poll(t, c)
		wantAnswer(t, a, http.StatusBadRequest, "slow_down")
		if a.Body != `{"error":"slow_down"}` || a.Header.Get("Retry-After") == "" {
			t.Fatalf("%v %s", a.Header, a.Body)
		}
		s.Clock.Advance(24 * time.Hour / 600)
		wantAnswer(t, pollAs(t, s, "difyctl", unknownCode.Device), http.StatusBadRequest, "expired_token")
	})
}

func TestTokenAnswer(t *testing.T) {
	slow(t)
	s := apitest.Start(t, unlimited(), apitest.Set("TRUSTED_PROXIES", "127.0.0.1/32"))
	b := s.SignedIn(t)

	t.Run("DF-31 the members of a success", func(t *testing.T) {
		c := s.Code(t, "x")
		allow(t, b, c)
		a := s.Poll(t, c)
		wantAnswer(t, a, http.StatusOK, "")
		var last int
		for _, name := range []string{"token", "access_token", "token_type", "expires_in", "expires_at", "scope", "subject_type", "account", "workspaces", "default_workspace_id", "token_id"} {
			at := strings.Index(a.Body, `"`+name+`":`)
			if at < last {
				t.Fatalf("%s is missing or out of order: %s", name, a.Body)
			}
			last = at
		}
		body := a.JSON(t)
		if len(body) != 11 || strings.Contains(a.Body, "null") || body["error"] != nil {
			t.Fatal(a.Body)
		}
		if body["token"] != body["access_token"] || body["token_type"] != "Bearer" || body["scope"] != "full" || body["subject_type"] != "account" {
			t.Fatal(a.Body)
		}
		if !strings.Contains(a.Body, `"expires_in":1209600,`) {
			t.Fatal(a.Body)
		}
		at, err := time.Parse("2006-01-02T15:04:05Z", a.Text(t, "expires_at"))
		if left := at.Sub(s.Clock.Now()); err != nil || left > 14*24*time.Hour || left < 14*24*time.Hour-time.Minute {
			t.Fatalf("%v: %s", err, a.Body)
		}
		who := body["account"].(map[string]any)
		if who["id"] != ownerID(t, s) || who["email"] != apitest.OwnerEmail || who["name"] != apitest.OwnerName || len(who) != 3 {
			t.Fatal(a.Body)
		}
		list := body["workspaces"].([]any)
		w := list[0].(map[string]any)
		if len(list) != 1 || w["name"] != apitest.Workspace || w["role"] != "owner" || w["id"] != body["default_workspace_id"] || len(w) != 3 {
			t.Fatal(a.Body)
		}
		if !canon.IsID(a.Text(t, "token_id")) || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
			t.Fatalf("%v %s", a.Header, a.Body)
		}
	})
	t.Run("DF-31 a person without workspaces gets an empty list", func(t *testing.T) {
		addAccount(t, s, "bob@example.com")
		c := s.Code(t, "x")
		allow(t, signedInAs(t, s, "bob@example.com"), c)
		a := s.Poll(t, c)
		wantAnswer(t, a, http.StatusOK, "")
		if !strings.Contains(a.Body, `"workspaces":[]`) || !strings.Contains(a.Body, `"default_workspace_id":null`) {
			t.Fatal(a.Body)
		}
	})
	t.Run("DF-36 DEV-25 a poll from another address is served and audited", func(t *testing.T) {
		a := s.Post(t, codePath, map[string]string{"client_id": "difyctl", "device_label": "moved"}, "X-Forwarded-For", "198.51.100.7")
		c := apitest.Codes{Device: a.Text(t, "device_code"), User: a.Text(t, "user_code")}
		allow(t, b, c)
		won := pollAs(t, s, "difyctl", c.Device, "X-Forwarded-For", "203.0.113.9")
		wantAnswer(t, won, http.StatusOK, "")
		awaitEvents(t, s, "oauth.device_code_cross_ip_poll", 1)
		f := eventFields(t, s, "oauth.device_code_cross_ip_poll")
		if f["creation_ip"] != "198.51.100.7" || f["poll_ip"] != "203.0.113.9" || f["token_id"] != won.Text(t, "token_id") || f["subject"] != ownerID(t, s) {
			t.Fatal(f)
		}
	})
	t.Run("DF-36 from the same address nothing is said", func(t *testing.T) {
		s.SignInDevice(t, b, "stayed")
		awaitEvents(t, s, "oauth.token_delivered", 4)
		awaitEvents(t, s, "oauth.device_code_cross_ip_poll", 1)
	})
}
