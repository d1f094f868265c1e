// SPDX-License-Identifier: Apache-2.0

package devicegrant_test

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
)

func TestEntries(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	e := devicegrant.NewEntries([]byte(strings.Repeat("k", 32)))
	const code = "ABCD-3456"
	value := e.Prove(code, devicegrant.Typed, now)
	linked := e.Prove(code, devicegrant.Linked, now)
	parts := strings.Split(value, ".")
	at, mac := parts[0], parts[2]
	for _, tc := range []struct {
		name, value, code string
		key               string
		from              devicegrant.Source
		after             time.Duration
		ok                bool
	}{
		{name: "on the browser that typed it", value: value, code: code, ok: true},
		{name: "W-4 brought by a link", value: linked, code: code, from: devicegrant.Linked, ok: true},
		{name: "W-5 brought by a link and passed off as typed", value: strings.Replace(linked, ".linked.", ".typed.", 1), code: code},
		{name: "W-5 without its source", value: at + "." + mac, code: code},
		{name: "as a person types it again", value: value, code: " abcd3456 ", ok: true},
		{name: "until it is as old as a code gets", value: value, code: code, after: devicegrant.EntryLifetime - time.Second, ok: true},
		{name: "not at that age", value: value, code: code, after: devicegrant.EntryLifetime},
		{name: "of another code", value: value, code: "ABCD-3457"},
		{name: "of no code", value: value, code: ""},
		{name: "under another key", value: value, code: code, key: "other"},
		{name: "another time", value: "1" + value, code: code},
		{name: "made younger", value: "9999999999.typed." + mac, code: code},
		{name: "no time", value: ".typed." + mac, code: code},
		{name: "no proof", value: at + ".typed.", code: code},
		{name: "the time alone", value: at, code: code},
		{name: "the proof in another case", value: at + ".typed." + swapCase(mac), code: code},
		{name: "something after it", value: value + ".", code: code},
		{name: "nothing", value: "", code: code},
	} {
		t.Run(tc.name, func(t *testing.T) {
			check := e
			if tc.key != "" {
				check = devicegrant.NewEntries([]byte(tc.key))
			}
			from, got := check.Check(tc.value, tc.code, now.Add(tc.after))
			if got != tc.ok {
				t.Fatalf("fits: %t", got)
			}
			if want := cmp.Or(tc.from, devicegrant.Typed); got && from != want {
				t.Fatalf("it came %s, not %s", from, want)
			}
		})
	}
}

func TestEntriesOfAFormerKey(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	old, fresh := []byte(strings.Repeat("o", 32)), []byte(strings.Repeat("n", 32))
	value := devicegrant.NewEntries(old).Prove("ABCD-3456", devicegrant.Typed, now)
	holds := func(e *devicegrant.Entries, value string) bool {
		_, ok := e.Check(value, "ABCD-3456", now)
		return ok
	}
	t.Run("M-33 hold while it is accepted, and no longer", func(t *testing.T) {
		both := devicegrant.NewEntries(fresh, old)
		if !holds(both, value) || holds(devicegrant.NewEntries(fresh), value) {
			t.Fatal("the former key's proof")
		}
		if holds(devicegrant.NewEntries(old), both.Prove("ABCD-3456", devicegrant.Typed, now)) {
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
	value := e.Prove(code, devicegrant.Typed, now)
	parts := strings.Split(value, ".")
	at, mac := parts[0], parts[2]
	for _, s := range []string{value, "", ".", at, "." + mac, "0" + value, "+" + value, value + "=", at + ".typed." + mac + "\n", at + ".linked." + mac, strings.ToUpper(value)} {
		f.Add(s, code)
	}
	f.Add(value, "abcd 3456")
	f.Add(value, "ABCD-3457")
	f.Fuzz(func(t *testing.T, presented, typed string) {
		_, ok := e.Check(presented, typed, now)
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
