// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"errors"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/seal"
)

func TestACanaryTellsWhoseKeysAreThere(t *testing.T) {
	first, second := seal.NewKeyFile("k1"), seal.NewKeyFile("k2")
	made := seal.Canary{Keys: keys(t, first), Place: "t/1/canary", Key: []byte("one")}.Make()
	for name, tc := range map[string]struct {
		canary   seal.Canary
		previous bool
		want     error
	}{
		"the same keys":             {seal.Canary{Keys: keys(t, first), Place: "t/1/canary", Key: []byte("one")}, false, nil},
		"a newer sealing key":       {seal.Canary{Keys: keys(t, second, first), Place: "t/1/canary", Key: []byte("one")}, false, nil},
		"the former key":            {seal.Canary{Keys: keys(t, first), Place: "t/1/canary", Key: []byte("two"), Previous: []byte("one")}, true, nil},
		"another key":               {seal.Canary{Keys: keys(t, first), Place: "t/1/canary", Key: []byte("two")}, false, seal.ErrCanary},
		"another key and former":    {seal.Canary{Keys: keys(t, first), Place: "t/1/canary", Key: []byte("two"), Previous: []byte("three")}, false, seal.ErrCanary},
		"another sealing key":       {seal.Canary{Keys: keys(t, second), Place: "t/1/canary", Key: []byte("one")}, false, seal.ErrOpen},
		"the canary of another row": {seal.Canary{Keys: keys(t, first), Place: "t/2/canary", Key: []byte("one")}, false, seal.ErrOpen},
	} {
		t.Run(name, func(t *testing.T) {
			previous, err := tc.canary.Fits(made)
			if previous != tc.previous || !errors.Is(err, tc.want) {
				t.Fatalf("%t %v, want %t %v", previous, err, tc.previous, tc.want)
			}
		})
	}
}
