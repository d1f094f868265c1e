// SPDX-License-Identifier: Apache-2.0

package app

import (
	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// minInnerKey keeps a key of the second listener beyond guessing.
const minInnerKey = 32 // bytes

// innerKeySetting is one key of the second listener and the setting that holds it.
type innerKeySetting struct {
	name string
	key  secret.Text
	// former is set while the key is being changed: it opens what key opens.
	former secret.Text
}

// innerKeys are the keys of the second listener, one per purpose.
func (c Config) innerKeys() []innerKeySetting {
	return []innerKeySetting{{"FORWARD_AUTH_KEY", c.ForwardAuthKey, c.ForwardAuthKeyPrevious}, {"OPERATOR_API_KEY", c.OperatorKey, c.OperatorKeyPrevious}}
}

// judgeInnerKeys refuses a key that can be guessed, and one that serves two purposes:
// whoever holds it for one would hold the other.
func judgeInnerKeys(keys []innerKeySetting, problems *config.Problems) {
	for i, k := range keys {
		if k.key.IsZero() {
			if !k.former.IsZero() {
				problems.Add(k.name+"_PREVIOUS", "needs %s beside it", k.name)
			}
			continue
		}
		if !k.former.IsZero() && len(k.former.Reveal()) < minInnerKey {
			problems.Add(k.name+"_PREVIOUS", "must have at least %d bytes", minInnerKey)
		}
		if len(k.key.Reveal()) < minInnerKey {
			problems.Add(k.name, "must have at least %d bytes", minInnerKey)
		}
		for _, other := range keys[:i] {
			if k.key.Equal(other.key) {
				problems.Add(k.name, "must differ from %s", other.name)
			}
			for _, pair := range [][2]secret.Text{{k.former, other.key}, {k.key, other.former}, {k.former, other.former}} {
				if !pair[0].IsZero() && pair[0].Equal(pair[1]) {
					problems.Add(k.name, "and %s must differ, with their former keys too", other.name)
				}
			}
		}
	}
}
