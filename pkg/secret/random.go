// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"crypto/rand"
	"encoding/base64"
)

// Random draws 256 bits and gives them as 43 characters of unpadded base64url.
// crypto/rand ends the process when the system has no randomness, so there is no
// error to handle.
func Random() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
