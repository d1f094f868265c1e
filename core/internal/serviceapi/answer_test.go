// SPDX-License-Identifier: Apache-2.0

package serviceapi

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestWhatTells(t *testing.T) {
	for _, tc := range []struct {
		url, text string
		want      bool
	}{
		{"http://dify.example:5001", "asked DIFY.example", true},
		{"http://api:5001/v1", "an api parameter", false},
		{"http://api:5001/v1", "http://api:5001/v1/chat-messages", true},
		{"http://api", "http://api/v1", true},
		{"http://[fd00::5]:80", "fd00::5", true},
		{"http://dify.example", "a key is the-key", true},
		{"http://dify.example", "nothing of that kind", false},
		{"", "see https://docs.example", false},
	} {
		if got := tells(tc.text, run.Target{URL: tc.url, Key: secret.New("the-key")}); got != tc.want {
			t.Errorf("%s, %q: %v", tc.url, tc.text, got)
		}
	}
	if tells("anything", run.Target{}) {
		t.Error("an app without key and address is told by everything")
	}
}

// A code is for the log, where it must not look like anything else.
func TestCodesForTheLog(t *testing.T) {
	for code, want := range map[string]string{
		"app_unavailable": "app_unavailable", "": "without a code", "a b": "without a code", "a\nb": "without a code", "É": "without a code",
		strings.Repeat("a", 64): strings.Repeat("a", 64), strings.Repeat("a", 65): "without a code",
	} {
		if got := (refusal{code: code}).word(); got != want {
			t.Errorf("%q: %q", code, got)
		}
	}
}

func TestCausesAreScrubbed(t *testing.T) {
	at := run.Target{Key: secret.New(`a"b\c`)}
	for text, shown := range map[string]bool{"refused": true, `malformed "a\"b\\c"`: false, `a"b\c`: false} {
		if got := scrubbed(at, errors.New(text)).Error(); (got == text) != shown {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func FuzzErrorBody(f *testing.F) {
	for _, body := range []string{
		`{"code":"app_unavailable","message":"App unavailable","status":400}`, `{"code":"invalid_param","message":{"a":"b"}}`, `{"code":1,"message":null}`, `null`, `[]`, ``, `<html>`,
		`{"code":"not_found","message":"Conversation Not Exists."}`, `{"message":"a\u202eb\u0000c\ud800"}`, "{\"message\":\"\xff\"}", `{"message":"the-\u200bkey the-key"}`,
		`{"message":"` + strings.Repeat("é", 600) + `"}`, `{"code":"conversation_completed","code":"x"}`,
	} {
		for _, status := range []int{400, 403, 404, 412, 429, 500} {
			f.Add(status, "7", []byte(body))
		}
	}
	now := time.Now()
	c := &Client{Deps{Now: func() time.Time { return now }}}
	at := run.Target{URL: "http://dify.example:5001/v1", Key: secret.New("the-key")}
	known := map[string]bool{"runtime_unavailable": true, "runtime_key_rejected": true, "rate_limit_error": true, "bad_request": true, "conversation_not_found": true,
		"workflow_run_not_found": true, "form_not_found": true, "human_input_form_submitted": true, "human_input_form_expired": true, "file_too_large": true, "unsupported_file_type": true}
	for code := range refusals {
		known[code] = true
	}
	f.Fuzz(func(t *testing.T, status int, retry string, body []byte) {
		for _, absent := range []*fault.Error{nil, run.ErrFormNotFound} {
			err := c.refused(at, status, http.Header{"Retry-After": {retry}}, body, absent)
			e, ok := errors.AsType[*fault.Error](err)
			if !ok || !known[e.Code()] {
				t.Fatalf("%v", err)
			}
			text := e.Text()
			if text == "" || !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxMessage || tells(text, at) || strings.ContainsFunc(text, unicode.IsControl) {
				t.Fatalf("said %q", text)
			}
			if strings.Contains(err.Error(), "the-key") || strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Fatalf("logged %q", err)
			}
			if e.Retry() < 0 || e.Retry() > maxRetry || e.Retry() > 0 && e.Code() != "rate_limit_error" {
				t.Fatalf("after %v", e.Retry())
			}
		}
	})
}
