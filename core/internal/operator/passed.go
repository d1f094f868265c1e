// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"encoding/json"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Passed is a secret on its way between a command and the service. Like secret.Text it
// prints as a redaction mark; unlike it, it encodes as JSON, because the way is a socket
// that its owner alone can open, or the standard output of whoever asked.
type Passed struct{ secret.Text }

// Pass makes a secret ready for its way.
func Pass(t secret.Text) Passed { return Passed{Text: t} }

// MarshalJSON gives the secret in clear.
func (p Passed) MarshalJSON() ([]byte, error) { return json.Marshal(p.Reveal()) }
