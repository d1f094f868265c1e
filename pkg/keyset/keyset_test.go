// SPDX-License-Identifier: Apache-2.0

package keyset_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// random gives n bytes of high variety that differ by seed.
func random(seed byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = seed + byte(7*i)
	}
	return b
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func entry(kid string, seed byte) keyset.Entry {
	return keyset.Entry{KID: kid, Secret: b64(random(seed, 32)), CreatedAt: "2026-11-01T00:00:00Z"}
}

func until(e keyset.Entry, text string) keyset.Entry { e.VerifyUntil = &text; return e }

func file(t *testing.T, active string, keys ...keyset.Entry) []byte {
	t.Helper()
	content, err := keyset.File{Version: 1, Active: active, Keys: keys}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func with(e keyset.Entry, change func(*keyset.Entry)) keyset.Entry { change(&e); return e }

func TestParse(t *testing.T) {
	a, b := entry("a", 1), entry("b", 2)
	var nine []keyset.Entry
	for i := range 9 {
		nine = append(nine, entry(fmt.Sprintf("k%d", i), byte(i)))
	}
	raw := func(text string) []byte { return []byte(text) }
	good := string(file(t, "a", a))
	for _, tc := range []struct {
		name    string
		content []byte
		want    []string // what each problem has; none: it holds
	}{
		{name: "one entry", content: file(t, "a", a)},
		{name: "two entries", content: file(t, "a", a, until(b, "2026-11-01T00:00:00Z"))},
		{name: "a secret of 64 bytes", content: file(t, "a", with(a, func(e *keyset.Entry) { e.Secret = b64(random(3, 64)) }))},
		{name: "an active entry with an end to come", content: file(t, "a", until(a, "2026-11-20T12:00:01Z"))},
		{name: "JWS-14 secret short", content: file(t, "a", with(a, func(e *keyset.Entry) { e.Secret = b64(random(1, 31)) })), want: []string{"entry 1: secret must be 32 to 64 bytes"}},
		{name: "JWS-14 secret long", content: file(t, "a", with(a, func(e *keyset.Entry) { e.Secret = b64(random(1, 65)) })), want: []string{"entry 1: secret must be"}},
		{name: "JWS-14 secret padded", content: file(t, "a", with(a, func(e *keyset.Entry) { e.Secret += "=" })), want: []string{"entry 1: secret must be"}},
		{name: "JWS-14 secret in another spelling of the same bytes", content: file(t, "a", with(a, func(e *keyset.Entry) { e.Secret = e.Secret[:42] + "_" })), want: []string{"entry 1: secret must be"}},
		{name: "JWS-14 secret of low variety", content: file(t, "a", with(a, func(e *keyset.Entry) { e.Secret = b64([]byte(strings.Repeat("abcdefgh", 4))) })), want: []string{"too few different bytes"}},
		{name: "JWS-14 secret published", content: file(t, "a", with(a, func(e *keyset.Entry) { e.Secret = "pLh0c3VQm2c5Xy7Tn1b9kD4wRrJf8sGzEaHqUiOoN6M" })), want: []string{"public documents"}},
		{name: "JWS-14 secret twice", content: file(t, "a", a, with(b, func(e *keyset.Entry) { e.Secret = a.Secret })), want: []string{"entry 2: has the secret of entry 1"}},
		{name: "a kid twice", content: file(t, "a", a, with(b, func(e *keyset.Entry) { e.KID = "a" })), want: []string{"entry 2: repeats a kid"}},
		{name: "JWS-05 a kid like a path", content: file(t, "../a", with(a, func(e *keyset.Entry) { e.KID = "../a" })), want: []string{"entry 1: kid must be"}},
		{name: "JWS-05 an empty kid", content: file(t, "", with(a, func(e *keyset.Entry) { e.KID = "" })), want: []string{"entry 1: kid must be"}},
		{name: "a kid of 33", content: file(t, strings.Repeat("k", 33), with(a, func(e *keyset.Entry) { e.KID = strings.Repeat("k", 33) })), want: []string{"entry 1: kid must be"}},
		{name: "JWS-06 the active entry is over", content: file(t, "a", until(a, "2026-11-20T12:00:00Z")), want: []string{"active names an entry past"}},
		{name: "active names nothing", content: file(t, "c", a), want: []string{"active names no entry"}},
		{name: "no entry", content: file(t, "a"), want: []string{"1 to 8 entries", "active names no entry"}},
		{name: "nine entries", content: file(t, "k0", nine...), want: []string{"1 to 8 entries"}},
		{name: "times that are none", content: file(t, "a", with(until(a, "tomorrow"), func(e *keyset.Entry) { e.CreatedAt = "today" })), want: []string{"created_at", "verify_until"}},
		{name: "every problem at once", content: file(t, "c", with(a, func(e *keyset.Entry) { e.KID, e.Secret = "A", "x" })), want: []string{"kid must", "secret must", "active names no entry"}},
		{name: "another version", content: raw(strings.Replace(good, `"version": 1`, `"version": 2`, 1)), want: []string{"version must be 1"}},
		{name: "an unknown member", content: raw(strings.Replace(good, `"version"`, `"comment": "x", "version"`, 1)), want: []string{"not the JSON of a key set"}},
		{name: "a member twice", content: raw(strings.Replace(good, `"version"`, `"version": 1, "version"`, 1)), want: []string{"not the JSON of a key set"}},
		{name: "no JSON", content: raw("kid: a"), want: []string{"not the JSON of a key set"}},
		{name: "above 16 KiB", content: raw(good + strings.Repeat(" ", keyset.MaxFile)), want: []string{"larger than 16384 bytes"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := keyset.Parse(tc.content, noon)
			if err == nil {
				if len(tc.want) > 0 {
					t.Fatal("it was taken")
				}
				return
			}
			problems := keyset.Problems(err)
			found := len(problems) == len(tc.want) || strings.HasPrefix(tc.name, "every")
			for _, want := range tc.want {
				found = found && strings.Contains(err.Error(), want)
			}
			if !found || len(tc.want) == 0 {
				t.Fatalf("problems %q, want %q", problems, tc.want)
			}
			if strings.Contains(err.Error(), a.Secret) {
				t.Error("a problem repeats a secret")
			}
		})
	}
}

func TestReadRefusesWhatOthersMayRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyset.json")
	if err := os.WriteFile(path, file(t, "a", entry("a", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, taken := range map[os.FileMode]bool{0o600: true, 0o640: true, 0o400: true, 0o440: true, 0o644: false, 0o660: false, 0o604: false, 0o650: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := keyset.Load(path, noon); (err == nil) != taken {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
}

func TestOneLookUpAndNoFallback(t *testing.T) {
	set, err := keyset.Parse(file(t, "b", until(entry("a", 1), "2026-11-20T12:00:00Z"), entry("b", 2)), noon.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, kid string
		at        time.Time
		want      error
	}{
		{"JWS-05 the active kid", "b", noon, nil},
		{"JWS-05 an unknown kid", "c", noon, keyset.ErrUnknownKey},
		{"JWS-05 an empty kid", "", noon, keyset.ErrUnknownKey},
		{"JWS-05 a kid like a path", "../b", noon, keyset.ErrUnknownKey},
		{"JWS-05 a kid in another case", "B", noon, keyset.ErrUnknownKey},
		{"JWS-06 a former kid before its verify_until", "a", noon.Add(-time.Nanosecond), nil},
		{"JWS-06 a former kid at its verify_until", "a", noon, keyset.ErrUnknownKey},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := set.Verify(tc.kid, "x", secret.Text{}, tc.at); !errors.Is(err, tc.want) {
				t.Fatalf("err = %v, want %v", err, tc.want)
			}
		})
	}
}

func TestDerivation(t *testing.T) {
	raw, err := base64.RawURLEncoding.DecodeString("pLh0c3VQm2c5Xy7Tn1b9kD4wRrJf8sGzEaHqUiOoN6M")
	if err != nil {
		t.Fatal(err)
	}
	set := keyset.Fixed("2026-11-a", map[string][]byte{"2026-11-a": raw})
	t.Run("SSO-102 the vector of the specification", func(t *testing.T) {
		_, key, err := set.Sign("inner.request.core_to_bridge", secret.Text{})
		if err != nil || hex.EncodeToString(key) != "35092bc7164afa986dc192237b90f26c14b8428cb5d6b0b27bd09b2ef71e953a" {
			t.Fatalf("%x %v", key, err)
		}
	})
	t.Run("JWS-04 an owner's salt makes another key, each owner's its own", func(t *testing.T) {
		seen := map[string]bool{}
		for _, salt := range []string{"", strings.Repeat("c", 32), strings.Repeat("d", 32)} {
			_, key, err := set.Sign("api.device_flow.approval_grant", secret.New(salt))
			if err != nil || seen[string(key)] {
				t.Fatalf("salt %q: %v", salt, err)
			}
			seen[string(key)] = true
		}
	})
}

func TestFingerprint(t *testing.T) {
	of := func(active string, keys ...keyset.Entry) string {
		set, err := keyset.Parse(file(t, active, keys...), noon)
		if err != nil {
			t.Fatal(err)
		}
		return set.Fingerprint()
	}
	a, b := entry("a", 1), entry("b", 2)
	first := of("a", a, b)
	if len(first) != 8 || of("a", b, a) != first {
		t.Errorf("the order of entries shows: %s", first)
	}
	for name, other := range map[string]string{"fewer entries": of("a", a), "another active entry": of("b", a, b), "another secret": of("a", entry("a", 9), b)} {
		if other == first {
			t.Errorf("%s shows in no fingerprint", name)
		}
	}
}

func TestHoldsAndPublished(t *testing.T) {
	a := entry("a", 1)
	set, err := keyset.Parse(file(t, "a", a), noon)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{a.Secret: true, a.Secret + "=": true, string(random(1, 32)): true, entry("b", 2).Secret: false, "": false} {
		if got := set.Holds(secret.New(text)); got != want {
			t.Errorf("JWS-14 holds %q: %v", text, got)
		}
	}
	if !keyset.Published(secret.New("W9dTz0YfK3vQ7mXhB1nLr5uPgC8sJaE2oIiRkVtNx4U")) || keyset.Published(secret.New(a.Secret)) {
		t.Error("JWS-14 what is published is not told from what is not")
	}
}

// A key set never says a secret, whatever is done to its file.
func FuzzParse(f *testing.F) {
	good, err := json.Marshal(keyset.File{Version: 1, Active: "a", Keys: []keyset.Entry{entry("a", 1)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":1,"active":"a","keys":[{}]}`))
	f.Add([]byte(`{"version":1,"version":1}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		set, err := keyset.Parse(content, noon)
		if (set == nil) == (err == nil) {
			t.Fatalf("SSO-99 %v, %v", set, err)
		}
		if err == nil {
			if _, _, err := set.Sign("x", secret.Text{}); err != nil || set.Fingerprint() == "" {
				t.Fatalf("SSO-99 a set that was taken does not sign: %v", err)
			}
		}
	})
}
