// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/keyset"
)

func ksRead(t testing.TB, s *apitest.Server) keyset.File {
	t.Helper()
	content, err := os.ReadFile(s.Keyset)
	if err != nil {
		t.Fatal(err)
	}
	f, err := keyset.Decode(content)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func ksWrite(t testing.TB, s *apitest.Server, f keyset.File, err error) {
	t.Helper()
	if err == nil {
		err = keyset.Replace(s.Keyset, f)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ksFingerprint is what /readyz shows.
func ksFingerprint(t testing.TB, s *apitest.Server) string {
	t.Helper()
	a := htInner(t, s, "/readyz")
	wantAnswer(t, a, http.StatusOK, "")
	m := a.JSON(t)
	if checks, _ := m["checks"].(map[string]any); checks["keyset"] != "ok" {
		t.Fatal(a.Body)
	}
	got, _ := m["keyset_fingerprint"].(string)
	return got
}

func TestRotationOfTheKeySet(t *testing.T) {
	s := klStart(t, apitest.Enterprise(t))
	first := ksFingerprint(t, s)
	if first != s.Keys(t).Fingerprint() {
		t.Fatalf("/readyz shows %q", first)
	}
	signedBefore := s.AsBridge(t, "POST", brRevoke, brOf)
	t.Run("SSO-41 JWS-06 an entry that is added verifies after SIGHUP and not before", func(t *testing.T) {
		f, err := ksRead(t, s).Add("second", s.Clock.Now())
		ksWrite(t, s, f, err)
		if ksFingerprint(t, s) != first {
			t.Error("the file was read before it was asked for")
		}
		s.App.Reload()
		if got := ksFingerprint(t, s); got == first || got != s.Keys(t).Fingerprint() {
			t.Errorf("/readyz shows %q", got)
		}
	})
	t.Run("SSO-41 JWS-06 after the activation both sign what is admitted", func(t *testing.T) {
		now := s.Clock.Now()
		f, err := ksRead(t, s).Activate("second", ksFingerprint(t, s), now.Add(time.Hour), now)
		ksWrite(t, s, f, err)
		s.App.Reload()
		wantAnswer(t, brSend(t, s, brRevoke, brOf, signedBefore), http.StatusOK, "")
		wantAnswer(t, brCall(t, s, brRevoke, brOf), http.StatusOK, "")
	})
	t.Run("SSO-41 INN-06 JWS-06 the former entry is refused from its verify_until on", func(t *testing.T) {
		token := func(after time.Duration) apitest.Answer {
			s.Clock.Advance(after)
			defer s.Clock.Advance(-after)
			b := brGood(s, brOf)
			return brSend(t, s, brRevoke, brOf, b.signWith(t, s, "first"))
		}
		wantAnswer(t, token(59*time.Minute), http.StatusOK, "")
		wantAnswer(t, token(61*time.Minute), http.StatusUnauthorized, "inner_token_invalid")
	})
	t.Run("SSO-42 each set that was taken is on record", func(t *testing.T) {
		awaitEvents(t, s, "sso.keyset_reloaded", 2)
		if f := eventFields(t, s, "sso.keyset_reloaded"); f["active"] != "second" || f["fingerprint"] != ksFingerprint(t, s) {
			t.Errorf("%v", f)
		}
	})
}

func TestARefusedKeySet(t *testing.T) {
	s := klStart(t, apitest.Enterprise(t))
	good, err := os.ReadFile(s.Keyset)
	if err != nil {
		t.Fatal(err)
	}
	secretText := ksRead(t, s).Keys[0].Secret
	before, ring := ksFingerprint(t, s), s.Keys(t)
	put := func(t *testing.T, content string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(s.Keyset, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(s.Keyset, mode); err != nil {
			t.Fatal(err)
		}
	}
	failures := 0
	for _, tc := range []struct {
		name, content string
		mode          os.FileMode
		say           []string
	}{
		{"SSO-42 JWS-06 broken", "{", 0o600, []string{"not the JSON of a key set"}},
		{"SSO-42 duplicate", strings.Replace(string(good), `"version"`, `"version": 1, "version"`, 1), 0o600, []string{"not the JSON of a key set"}},
		{"SSO-42 world-readable", string(good), 0o644, []string{"mode 0644"}},
		{"SSO-42 weak, with every problem", strings.Replace(strings.Replace(string(good), secretText, strings.Repeat("A", 43), 1), `"active": "first"`, `"active": "x"`, 1), 0o600,
			[]string{"too few different bytes", "active names no entry"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			put(t, tc.content, tc.mode)
			s.App.Reload()
			failures++
			for _, say := range tc.say {
				if !strings.Contains(s.Log.String(), say) {
					t.Errorf("the log lacks %q", say)
				}
			}
			if got := ksFingerprint(t, s); got != before || ring.Fingerprint() != before {
				t.Errorf("the set in force is %q", got)
			}
			if a := htInner(t, s, "/metrics"); !strings.Contains(a.Body, "\nkeyset_reload_failures_total "+htItoa(failures)+"\n") {
				t.Error("the metric does not count it")
			}
		})
	}
	t.Run("SSO-42 the old set serves, and nothing is on record as reloaded", func(t *testing.T) {
		put(t, string(good), 0o600)
		wantAnswer(t, brCall(t, s, brRevoke, brOf), http.StatusOK, "")
		if n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'sso.keyset_reloaded'`); n != 0 {
			t.Errorf("%d on record", n)
		}
	})
}

func TestTheBridgeIsDown(t *testing.T) {
	t.Run("SSO-06 core starts without it, is ready, and serves what the other edition does", func(t *testing.T) {
		s := apitest.Start(t, unlimited(), apitest.Enterprise(t))
		wantAnswer(t, htInner(t, s, "/readyz"), http.StatusOK, "")
		token, _ := s.SignInDevice(t, s.SignedIn(t), "box")
		wantAnswer(t, s.Bearer(t, token, http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
	})
	t.Run("the Community Edition shows no fingerprint", func(t *testing.T) {
		a := htInner(t, apitest.Start(t, unlimited()), "/readyz")
		if m := a.JSON(t); m["keyset_fingerprint"] != nil || m["checks"].(map[string]any)["keyset"] != nil {
			t.Error(a.Body)
		}
	})
}
