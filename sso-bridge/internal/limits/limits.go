// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"time"

	engine "github.com/dify-sso/dify-sso/pkg/limits"
)

// The policies of the bridge (docs/specs/v1.0/server/sso.md, Routes of the bridge).
// Each counts one address; where the counters cannot be asked, the request is refused.
const (
	StartAddr    engine.Name = "bridge.start.addr"
	CallbackAddr engine.Name = "bridge.callback.addr"
	MetadataAddr engine.Name = "bridge.metadata.addr"
	ErrorAddr    engine.Name = "bridge.error.addr" // the pages that explain: of a failure, of a test
)

// Policies are the limits with the numbers they have unless RATE_LIMITS says otherwise.
func Policies() engine.Policies {
	return engine.Policies{
		engine.Of(StartAddr, 300, 5*time.Minute),
		engine.Of(CallbackAddr, 120, time.Minute),
		engine.Of(MetadataAddr, 60, time.Minute),
		engine.Of(ErrorAddr, 60, time.Minute),
	}
}

// New makes the table of these policies. It refuses an override of an unknown one.
func New(d engine.Deps) (*engine.Table, error) {
	d.Policies = Policies()
	return engine.New(d)
}
