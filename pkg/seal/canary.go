// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"crypto/subtle"
	"errors"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

// ErrCanary is returned for a canary that opens and was made under another key.
var ErrCanary = errors.New("seal: the canary is another key's")

// Canary watches over the keys of an installation: a value that only its sealing keys
// open, of a MAC that only its own key makes.
type Canary struct {
	Keys  *Keys
	Place string
	// Key is the present one, Previous the one before it or empty.
	Key, Previous []byte
}

// Make gives the canary of the present keys.
func (c Canary) Make() string {
	mac := secret.MACOf(c.Key, "canary")
	return c.Keys.Seal(mac[:], c.Place)
}

// Fits reports whether it is the previous key that a canary was made under. It returns
// ErrOpen when no sealing key fits, and ErrCanary when neither key does.
func (c Canary) Fits(sealed string) (previous bool, err error) {
	got, err := c.Keys.Open(sealed, c.Place)
	if err != nil {
		return false, err
	}
	is := func(key []byte) bool {
		want := secret.MACOf(key, "canary")
		return subtle.ConstantTimeCompare(got, want[:]) == 1
	}
	switch {
	case is(c.Key):
		return false, nil
	case len(c.Previous) > 0 && is(c.Previous):
		return true, nil
	}
	return false, ErrCanary
}

// Resealed counts the values of one column.
type Resealed struct {
	Column string `json:"column"` // table.column
	Values int    `json:"values"`
	Sealed int    `json:"sealed"` // of these, anew
}
