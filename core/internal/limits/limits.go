// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"time"

	engine "github.com/dify-sso/dify-sso/pkg/limits"
)

// What callers speak of is the engine's own.
type (
	// Name is a policy's stable name, the one that RATE_LIMITS overrides.
	Name = engine.Name
	// Override changes a policy's numbers; a limit of 0 turns it off.
	Override = engine.Override
	// Deps is what New needs; the policies it fills in.
	Deps = engine.Deps
	// Table asks the policies.
	Table = engine.Table
)

// ErrTooMany is every refusal by a limit; it carries the time after which one call
// passes.
var ErrTooMany = engine.ErrTooMany

// The policies of core (docs/specs/v1.0/server/middleware.md, Rate limits).
const (
	DeviceCodeAddr      Name = "device.code.addr"
	DeviceCodeAll       Name = "device.code.all"
	DeviceLookupAddr    Name = "device.lookup.addr"
	DeviceWrongAll      Name = "device.wrong.all"
	DeviceWrongAccount  Name = "device.wrong.account"
	DevicePollAddr      Name = "device.poll.addr"
	DeviceDecideAccount Name = "device.decide.account"
	BearerToken         Name = "bearer.token"
	BearerFailedAddr    Name = "bearer.failed.addr"
	AccountRead         Name = "account.read"
	RevokeAddr          Name = "oauth.revoke.addr"
	IntrospectClient    Name = "oauth.introspect.client"
	ConsoleLoginAddr    Name = "console.login.addr"
	ConsoleLoginPair    Name = "console.login.pair"
	ConsoleLoginEmail   Name = "console.login.email"
	ConsoleSetupAddr    Name = "console.setup.addr"
	InviteAcceptAddr    Name = "invite.accept.addr"
	InviteAccount       Name = "invite.account"
	SSOInitiateAddr     Name = "sso.initiate.addr"
	SSOInitiateBrowser  Name = "sso.initiate.browser"
	SSOCompleteAddr     Name = "sso.complete.addr"
	SSOContextAddr      Name = "sso.context.addr"
	SSODecideSubject    Name = "sso.decide.subject"
)

// Policies are the limits of core with the numbers they have unless RATE_LIMITS says
// otherwise.
func Policies() engine.Policies {
	return engine.Policies{
		engine.Of(DeviceCodeAddr, 60, time.Hour),
		engine.Of(DeviceCodeAll, 500, time.Second),
		engine.Of(DeviceLookupAddr, 60, 5*time.Minute),
		engine.Of(DeviceWrongAll, 20, time.Second),
		engine.Of(DeviceWrongAccount, 5, 15*time.Minute).Locked(15 * time.Minute),
		engine.Of(DevicePollAddr, 600, time.Minute).InProcess(),
		engine.Of(DeviceDecideAccount, 10, time.Hour),
		engine.Of(BearerToken, 60, time.Minute).OrInProcess(),
		engine.Of(BearerFailedAddr, 300, time.Minute).InProcess(),
		engine.Of(AccountRead, 60, time.Minute).OrInProcess(),
		engine.Of(RevokeAddr, 60, time.Minute).OrInProcess(),
		engine.Of(IntrospectClient, 6000, time.Minute).OrInProcess(),
		engine.Of(ConsoleLoginAddr, 30, 5*time.Minute),
		engine.Of(ConsoleLoginPair, 5, 15*time.Minute),
		engine.Of(ConsoleLoginEmail, 100, time.Hour),
		engine.Of(ConsoleSetupAddr, 10, time.Hour),
		engine.Of(InviteAcceptAddr, 20, time.Hour),
		engine.Of(InviteAccount, 30, time.Hour),
		engine.Of(SSOInitiateAddr, 600, time.Hour),
		engine.Of(SSOInitiateBrowser, 30, time.Hour),
		engine.Of(SSOCompleteAddr, 600, time.Hour),
		engine.Of(SSOContextAddr, 60, 5*time.Minute),
		engine.Of(SSODecideSubject, 10, time.Hour),
	}
}

// New makes the table of core's policies. It refuses an override of an unknown one.
func New(d Deps) (*Table, error) {
	d.Policies = Policies()
	return engine.New(d)
}

// Names lists the policies in order.
func Names() []string { return Policies().Names() }
