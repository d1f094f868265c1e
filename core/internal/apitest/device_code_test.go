// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

const (
	codePath  = "/openapi/v1/oauth/device/code"
	tokenPath = "/openapi/v1/oauth/device/token"
	lookPath  = "/openapi/v1/oauth/device/lookup"
	grantType = "urn:ietf:params:oauth:grant-type:device_code"
)

func TestDeviceAuthorizationRequest(t *testing.T) {
	spy := &grantSpy{}
	s := apitest.Start(t, unlimited(), apitest.Wrap(spy.wrap))

	t.Run("DF-1 the answer's shapes", func(t *testing.T) {
		a := s.Post(t, codePath, map[string]string{"client_id": "difyctl", "device_label": "difyctl on host"})
		wantAnswer(t, a, http.StatusOK, "")
		body := a.JSON(t)
		for name, shape := range map[string]string{
			"device_code": `^dc_[A-Za-z0-9_-]{43}$`, "user_code": `^[A-HJ-NP-Y3-9]{4}-[A-HJ-NP-Y3-9]{4}$`,
			"verification_uri": "^" + regexp.QuoteMeta(s.URL) + "/device$",
		} {
			if got, _ := body[name].(string); !regexp.MustCompile(shape).MatchString(got) {
				t.Errorf("%s is %q, not %s", name, got, shape)
			}
		}
		if body["expires_in"] != 900.0 || body["interval"] != 5.0 || len(body) != 5 {
			t.Errorf("members: %s", a.Body)
		}
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("headers: %v", a.Header)
		}
	})

	long := strings.Repeat("ä", 255)
	labels := []struct {
		name, label, stored string
		status              int
	}{
		{"DF-3 255 characters", long, long, http.StatusOK},
		{"DF-3 256 characters", long + "x", "", http.StatusBadRequest},
		{"DF-3 blank", " \t ", "", http.StatusBadRequest},
		{"DF-3 empty", "", "", http.StatusBadRequest},
		{"DF-3 control character", "a\x00b", "", http.StatusBadRequest},
		{"DF-3 line separator", "a\u2028b", "", http.StatusBadRequest},
		{"DF-3 bidi override", "a\u202eb", "", http.StatusBadRequest},
		{"DF-3 a zero-width space alone", "\u200b", "", http.StatusBadRequest},
		{"DF-3 decomposed is stored composed", "cafe\u0301", "café", http.StatusOK},
		{"DF-3 trimmed", "  lap top  ", "lap top", http.StatusOK},
	}
	for _, tc := range labels {
		t.Run(tc.name, func(t *testing.T) {
			before, _, _ := spy.asked()
			a := s.Post(t, codePath, map[string]string{"client_id": "difyctl", "device_label": tc.label})
			wantAnswer(t, a, tc.status, "")
			if tc.status == http.StatusOK {
				if got := spy.lastCreated().Label; got != tc.stored {
					t.Fatalf("stored %q", got)
				}
				return
			}
			wantAnswer(t, a, tc.status, "bad_request")
			if got := a.JSON(t)["error"]; got != "invalid_request" {
				t.Fatalf("error member: %v", got)
			}
			if after, _, _ := spy.asked(); after != before {
				t.Fatal("a refused label reached the store")
			}
			if tc.label != "" && strings.Contains(a.Body, strings.TrimSpace(tc.label)) && strings.TrimSpace(tc.label) != "" {
				t.Fatalf("the refused value is in the body: %s", a.Body)
			}
		})
	}
	t.Run("DF-4 a form without a label gets the default one", func(t *testing.T) {
		wantAnswer(t, s.Form(t, codePath, url.Values{"client_id": {"difyctl"}}), http.StatusOK, "")
		if got := spy.lastCreated().Label; got != "difyctl on 127.0.0.1" {
			t.Fatalf("stored %q", got)
		}
	})
	t.Run("DF-4 JSON without a label is refused", func(t *testing.T) {
		wantAnswer(t, s.Post(t, codePath, map[string]string{"client_id": "difyctl"}), http.StatusBadRequest, "bad_request")
	})

	const xml, multi = "<client_id>difyctl</client_id>", "--b\r\nContent-Disposition: form-data; name=\"client_id\"\r\n\r\ndifyctl\r\n--b--\r\n"
	const body = `{"client_id":"difyctl","device_label":"x"}`
	types := []struct {
		name, media, body string
		status            int
	}{
		{"DEV-28 JSON with its charset", "application/json; charset=utf-8", body, http.StatusOK},
		{"DEV-28 no content type", "", body, http.StatusUnsupportedMediaType},
		{"DEV-28 JSON as text/plain", "text/plain", body, http.StatusUnsupportedMediaType},
		{"DEV-28 XML", "application/xml", xml, http.StatusUnsupportedMediaType},
		{"DEV-28 multipart", "multipart/form-data; boundary=b", multi, http.StatusUnsupportedMediaType},
		{"DEV-28 JSON said to be a form", "application/x-www-form-urlencoded", body, http.StatusBadRequest},
		{"DEV-28 a form said to be JSON", "application/json", "client_id=difyctl&device_label=x", http.StatusBadRequest},
		{"DEV-28 a repeated form field", "application/x-www-form-urlencoded", "client_id=difyctl&client_id=difyauth", http.StatusBadRequest},
		{"DEV-28 a doubled member", "application/json", `{"client_id":"difyctl","client_id":"difyauth","device_label":"x"}`, http.StatusBadRequest},
		{"DEV-28 a member in another case", "application/json", `{"CLIENT_ID":"difyctl","device_label":"x"}`, http.StatusBadRequest},
		{"DEV-28 trailing data", "application/json", body + `{}`, http.StatusBadRequest},
		{"DEV-28 no UTF-8", "application/json", "{\"client_id\":\"difyctl\",\"device_label\":\"\xff\"}", http.StatusBadRequest},
		{"DEV-28 unknown members are ignored", "application/json", `{"client_id":"difyctl","device_label":"x","scope":"all","x":[1]}`, http.StatusOK},
	}
	for _, tc := range types {
		t.Run(tc.name, func(t *testing.T) {
			var headers []string
			if tc.media != "" {
				headers = []string{"Content-Type", tc.media}
			}
			for _, path := range []string{codePath, tokenPath} {
				a := s.Call(t, http.MethodPost, path, tc.body, headers...)
				if path == codePath && a.Status != tc.status || path == tokenPath && tc.status != http.StatusOK && a.Status != tc.status {
					t.Errorf("%s: %d %s", path, a.Status, a.Body)
				}
			}
		})
	}
	t.Run("DEV-28 a query never fills a form", func(t *testing.T) {
		a := s.Call(t, http.MethodPost, codePath+"?client_id=difyctl", "scope=x", "Content-Type", "application/x-www-form-urlencoded")
		wantAnswer(t, a, http.StatusBadRequest, "bad_request")
	})
}

func TestDeviceAuthorizationLimits(t *testing.T) {
	start := map[string]string{"client_id": "difyctl", "device_label": "x"}
	t.Run("DF-2 an unknown client is refused and has spent budget", func(t *testing.T) {
		s := apitest.Start(t, apitest.Set("RATE_LIMITS", "device.code.addr=2/1h"))
		a := s.Post(t, codePath, map[string]string{"client_id": "stranger", "device_label": "x"})
		wantAnswer(t, a, http.StatusBadRequest, "unsupported_client")
		if a.Body != `{"error":"unsupported_client"}` {
			t.Fatal(a.Body)
		}
		wantAnswer(t, s.Post(t, codePath, start), http.StatusOK, "")
		wantAnswer(t, s.Post(t, codePath, start), http.StatusTooManyRequests, "too_many_requests")
	})
	t.Run("DF-5 the 61st code of a burst waits as long as it is told", func(t *testing.T) {
		s := apitest.Start(t)
		for range 60 {
			wantAnswer(t, s.Post(t, codePath, start), http.StatusOK, "")
		}
		a := s.Post(t, codePath, start)
		wantAnswer(t, a, http.StatusTooManyRequests, "too_many_requests")
		if a.JSON(t)["error"] != "slow_down" {
			t.Errorf("error member: %s", a.Body)
		}
		retry, err := strconv.Atoi(a.Header.Get("Retry-After"))
		if err != nil || retry < 30 || retry > 60 {
			t.Fatalf("Retry-After %q", a.Header.Get("Retry-After"))
		}
		wantAnswer(t, s.Call(t, http.MethodGet, lookPath+"?user_code=BCDF-GHJK", ""), http.StatusOK, "")
		s.Clock.Advance(time.Duration(retry-5) * time.Second)
		wantAnswer(t, s.Post(t, codePath, start), http.StatusTooManyRequests, "too_many_requests")
		s.Clock.Advance(5 * time.Second)
		wantAnswer(t, s.Post(t, codePath, start), http.StatusOK, "")
	})
	t.Run("DF-39 DEV-27 a full store takes no more and frees what is over", func(t *testing.T) {
		aboutEmbedded(t) // a full Redis is in core/internal/redisstore
		s := apitest.Start(t, unlimited(), apitest.Set("DEVICE_MAX_GRANTS", "3"))
		var codes []apitest.Codes
		for range 3 {
			codes = append(codes, s.Code(t, "x"))
		}
		a := s.Post(t, codePath, start)
		wantAnswer(t, a, http.StatusServiceUnavailable, "service_unavailable")
		if a.Header.Get("Retry-After") == "" || a.JSON(t)["error"] != "temporarily_unavailable" {
			t.Fatalf("%v %s", a.Header, a.Body)
		}
		wantAnswer(t, s.Poll(t, codes[0]), http.StatusBadRequest, "authorization_pending")
		s.Clock.Advance(16 * time.Minute)
		wantAnswer(t, s.Post(t, codePath, start), http.StatusOK, "")
	})
	t.Run("DEV-27 the installation has a budget of its own", func(t *testing.T) {
		s := apitest.Start(t, apitest.Set("RATE_LIMITS", "device.code.addr=0,device.code.all=3/1h"), apitest.Set("TRUSTED_PROXIES", "127.0.0.1/32"))
		var got []int
		for i := range 4 {
			a := s.Post(t, codePath, start, "X-Forwarded-For", "198.51.100."+strconv.Itoa(i+1))
			got = append(got, a.Status)
		}
		if !slices.Equal(got, []int{200, 200, 200, 429}) {
			t.Fatal(got)
		}
	})
}
