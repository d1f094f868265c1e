// SPDX-License-Identifier: Apache-2.0

package attacktest

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// A fuzzer's coordinator makes the messages, its workers hold them against their own
// certificates: with keys of each process nothing but refused signatures would be fuzzed.
func TestKeysAreOneInEveryProcess(t *testing.T) {
	for _, c := range []struct {
		key  func() Key
		want string
	}{
		{Provider, "7bce9d0669069c3ecb32ab31096deed62faa692c4d90adffedd5cd37d4c0884f"},
		{P256, "accbbe961b03839b58ac613627d8bf354a54470d324a81627e71b2c087ce7487"},
	} {
		sum := sha256.Sum256(c.key().Certificate.RawSubjectPublicKeyInfo)
		if got := hex.EncodeToString(sum[:]); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
