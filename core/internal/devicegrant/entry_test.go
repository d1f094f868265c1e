// SPDX-License-Identifier: Apache-2.0

package devicegrant_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
)

func TestEntries(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	e := devicegrant.NewEntries([]byte(strings.Repeat("k", 32)))
	const code = "ABCD-3456"
	value := e.Prove(code, now)
	at, mac, _ := strings.Cut(value, ".")
	for _, tc := range []struct {
		name, value, code string
		key               string
		after             time.Duration
		ok                bool
	}{
		{name: "on the browser that typed it", value: value, code: code, ok: true},
		{name: "as a person types it again", value: value, code: " abcd3456 ", ok: true},
		{name: "until it is as old as a code gets", value: value, code: code, after: devicegrant.EntryLifetime - time.Second, ok: true},
		{name: "not at that age", value: value, code: code, after: devicegrant.EntryLifetime},
		{name: "of another code", value: value, code: "ABCD-3457"},
		{name: "of no code", value: value, code: ""},
		{name: "under another key", value: value, code: code, key: "other"},
		{name: "another time", value: "1" + value, code: code},
		{name: "made younger", value: "9999999999." + mac, code: code},
		{name: "no time", value: "." + mac, code: code},
		{name: "no proof", value: at + ".", code: code},
		{name: "the time alone", value: at, code: code},
		{name: "the proof in another case", value: at + "." + swapCase(mac), code: code},
		{name: "something after it", value: value + ".", code: code},
		{name: "nothing", value: "", code: code},
	} {
		t.Run(tc.name, func(t *testing.T) {
			check := e
			if tc.key != "" {
				check = devicegrant.NewEntries([]byte(tc.key))
			}
			if got := check.Check(tc.value, tc.code, now.Add(tc.after)); got != tc.ok {
				t.Fatalf("fits: %t", got)
			}
		})
	}
}

func TestEntriesOfAFormerKey(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	old, fresh := []byte(strings.Repeat("o", 32)), []byte(strings.Repeat("n", 32))
	value := devicegrant.NewEntries(old).Prove("ABCD-3456", now)
	t.Run("M-33 hold while it is accepted, and no longer", func(t *testing.T) {
		both := devicegrant.NewEntries(fresh, old)
		if !both.Check(value, "ABCD-3456", now) || devicegrant.NewEntries(fresh).Check(value, "ABCD-3456", now) {
			t.Fatal("the former key's proof")
		}
		if devicegrant.NewEntries(old).Check(both.Prove("ABCD-3456", now), "ABCD-3456", now) {
			t.Fatal("a proof is made under the former key")
		}
	})
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 32
		case r >= 'A' && r <= 'Z':
			return r + 32
		}
		return r
	}, s)
}

// FuzzCookie: of all values of the entry cookie only the one that was made fits, and
// only with its code.
func FuzzCookie(f *testing.F) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	e := devicegrant.NewEntries([]byte(strings.Repeat("k", 32)))
	const code = "ABCD-3456"
	value := e.Prove(code, now)
	at, mac, _ := strings.Cut(value, ".")
	for _, s := range []string{value, "", ".", at, "." + mac, "0" + value, "+" + value, value + "=", at + "." + mac + "\n", strings.ToUpper(value)} {
		f.Add(s, code)
	}
	f.Add(value, "abcd 3456")
	f.Add(value, "ABCD-3457")
	f.Fuzz(func(t *testing.T, presented, typed string) {
		ok := e.Check(presented, typed, now)
		same := strings.Map(func(r rune) rune {
			if r == ' ' || r == '-' {
				return -1
			}
			return r
		}, strings.ToUpper(strings.TrimSpace(typed))) == "ABCD3456"
		if ok && (presented != value || !same) {
			t.Fatalf("%q fits %q", presented, typed)
		}
	})
}
