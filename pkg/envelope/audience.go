// SPDX-License-Identifier: Apache-2.0

package envelope

import "time"

// Audience says what a message is for. It is the aud claim, the info of the key's
// derivation, and the beginning of the typ header.
type Audience string

// The audiences.
const (
	// StateEnvelope carries a login through an identity provider; the bridge's alone.
	StateEnvelope Audience = "api.sso.state_envelope"
	// ApprovalGrant lets an external subject decide about one device; core's alone.
	ApprovalGrant Audience = "api.device_flow.approval_grant"
	// ExternalSubject says who came back from an identity provider, for a device.
	ExternalSubject Audience = "api.device_flow.external_subject_assertion"
	// ConsoleLogin says the same for a console session.
	ConsoleLogin Audience = "api.console.login_assertion"
	// CoreToBridge and BridgeToCore are inner requests, one direction each.
	CoreToBridge Audience = "inner.request.core_to_bridge"
	BridgeToCore Audience = "inner.request.bridge_to_core"
)

// traits are what an audience fixes.
type traits struct {
	life      time.Duration // the cap of exp - iat
	ownerOnly bool          // the key is salted with the owner's SECRET_KEY
}

func (a Audience) traits() (traits, bool) {
	switch a {
	case StateEnvelope:
		return traits{life: 15 * time.Minute, ownerOnly: true}, true
	case ApprovalGrant:
		return traits{life: 5 * time.Minute, ownerOnly: true}, true
	case ExternalSubject:
		return traits{life: 5 * time.Minute}, true
	case ConsoleLogin, CoreToBridge, BridgeToCore:
		return traits{life: time.Minute}, true
	}
	return traits{}, false
}

// Life is the longest life of a message, and the one that Sign gives.
func (a Audience) Life() time.Duration { t, _ := a.traits(); return t.life }

// typ is the header by which a message is told from one for another audience
// (RFC 8725 section 3.11).
func (a Audience) typ() string { return string(a) + "+jwt" }

// Leeway forgives clocks that differ, in both directions.
const Leeway = 30 * time.Second
