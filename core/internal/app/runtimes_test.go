// SPDX-License-Identifier: Apache-2.0

package app

import (
	"slices"
	"testing"
)

func TestAddressesOfThisService(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:5001": "127.0.0.1:5001", "[::1]:5001": "[::1]:5001", "0.0.0.0:5001": "0.0.0.0:5001", ":5001": ":5001",
		// Whatever the name means, it means this machine.
		"core.internal:5001": ":5001", "localhost:5001": ":5001",
	} {
		t.Run("API-32 "+listen, func(t *testing.T) {
			s, err := Load(Sources{Environ: []string{"LISTEN=" + listen, "INNER_LISTEN=127.0.0.1:7", "CONSOLE_API_URL=https://core.example.com"}})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.own(); !slices.Equal(got, []string{want, "127.0.0.1:7", "core.example.com:443"}) {
				t.Errorf("%q", got)
			}
		})
	}
}
