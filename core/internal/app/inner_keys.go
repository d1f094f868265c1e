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
}

// innerKeys are the keys of the second listener, one per purpose.
func (c Config) innerKeys() []innerKeySetting {
	return []innerKeySetting{{"FORWARD_AUTH_KEY", c.ForwardAuthKey}, {"OPERATOR_API_KEY", c.OperatorKey}}
}

// judgeInnerKeys refuses a key that can be guessed, and one that serves two purposes:
// whoever holds it for one would hold the other.
func judgeInnerKeys(keys []innerKeySetting, problems *config.Problems) {
	for i, k := range keys {
		if k.key.IsZero() {
			continue
		}
		if len(k.key.Reveal()) < minInnerKey {
			problems.Add(k.name, "must have at least %d bytes", minInnerKey)
		}
		for _, other := range keys[:i] {
			if k.key.Equal(other.key) {
				problems.Add(k.name, "must differ from %s", other.name)
			}
		}
	}
}
