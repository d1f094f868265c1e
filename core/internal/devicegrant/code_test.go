// SPDX-License-Identifier: Apache-2.0

package devicegrant_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestUserCodes(t *testing.T) {
	t.Run("DF-7 DEV-03 a million codes hold the alphabet alone and are flat at every place", func(t *testing.T) {
		const codes, symbols = 1_000_000, len(canon.UserCodeAlphabet)
		// The χ² of 29 degrees of freedom is above 95 once in 10⁸ times. Taking bytes
		// modulo 30 without throwing any away would give about 3 400.
		const most = 95
		var count [canon.UserCodeSymbols][256]int
		seen, again := make(map[string]bool, codes), 0
		for range codes {
			code := devicegrant.NewUserCode()
			if len(code) != canon.UserCodeSymbols+1 || code[canon.UserCodeSymbols/2] != '-' {
				t.Fatalf("%q is not shaped like a user code", code)
			}
			for i, c := range []byte(code[:4] + code[5:]) {
				count[i][c]++
			}
			if seen[code] {
				again++
			}
			seen[code] = true
		}
		for place, symbolsAt := range count {
			total, chi := 0, 0.0
			const expected = float64(codes) / float64(symbols)
			for _, s := range []byte(canon.UserCodeAlphabet) {
				total += symbolsAt[s]
				d := float64(symbolsAt[s]) - expected
				chi += d * d / expected
			}
			if total != codes {
				t.Errorf("place %d: %d symbols outside of the alphabet", place, codes-total)
			}
			if chi > most {
				t.Errorf("place %d: χ² is %.1f", place, chi)
			}
		}
		if again > 15 { // one is expected among 30⁸
			t.Errorf("%d codes were drawn twice", again)
		}
	})

	t.Run("the canonical form of a drawn code is itself", func(t *testing.T) {
		code := devicegrant.NewUserCode()
		if got, ok := canon.UserCode(code); !ok || got != code {
			t.Errorf("%q became %q", code, got)
		}
	})
}

func TestDeviceCodeShape(t *testing.T) {
	good := "dc_" + strings.Repeat("A", 43)
	for _, tc := range []struct {
		name, code string
		ok         bool
	}{
		{"as drawn", good, true},
		{"every symbol", "dc_abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123-_9", true},
		{"empty", "", false},
		{"one character less", good[:len(good)-1], false},
		{"one character more", good + "A", false},
		{"another prefix", "dd_" + good[3:], false},
		{"upper case prefix", "DC_" + good[3:], false},
		{"a line break at its end", good + "\n", false},
		{"a line break inside", good[:20] + "\n" + good[21:], false},
		{"a blank before", " " + good, false},
		{"standard base64", good[:20] + "+" + good[21:], false},
		{"padding", good[:45] + "=", false},
		{"NUL", good[:45] + "\x00", false},
		{"a letter of two bytes", good[:44] + "ä", false},
		{"a token", "dfoa_" + good[3:], false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := devicegrant.ValidDeviceCode(secret.New(tc.code)); got != tc.ok {
				t.Fatalf("valid: %t", got)
			}
		})
	}
}

func TestClientIDShape(t *testing.T) {
	for _, tc := range []struct {
		name, id string
		ok       bool
	}{
		{"ours", "difyctl", true},
		{"every kind", "A.b_c-9", true},
		{"64 characters", strings.Repeat("x", 64), true},
		{"65 characters", strings.Repeat("x", 65), false},
		{"empty", "", false},
		{"a blank", "dify ctl", false},
		{"a line break at its end", "difyctl\n", false},
		{"a colon", "a:b", false},
		{"another script", "dіfyctl", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := devicegrant.ValidClientID(tc.id); got != tc.ok {
				t.Fatalf("valid: %t", got)
			}
		})
	}
}

func FuzzDeviceCode(f *testing.F) {
	for _, s := range []string{"dc_" + strings.Repeat("A", 43), "dc_", "", "dc_" + strings.Repeat("A", 42) + "\n", "DC_" + strings.Repeat("-", 43)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ok := devicegrant.ValidDeviceCode(secret.New(s))
		_, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(s, "dc_"))
		want := len(s) == 46 && strings.HasPrefix(s, "dc_") && err == nil && !strings.ContainsAny(s, "\r\n")
		if ok != want {
			t.Fatalf("%q: valid %t, want %t", s, ok, want)
		}
	})
}
