// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
)

// Name is a policy's stable name, the one that RATE_LIMITS overrides.
type Name string

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
)

// policy adds to the engine's numbers what happens in an outage of the counters.
type policy struct {
	ratelimit.Policy
	// local: the counters live in this process, always.
	local bool
	// fallback: count in this process while the store is down. Without it an outage
	// refuses, for a path that mints must not run unlimited.
	fallback bool
}

func defaults() map[Name]policy {
	p := func(name Name, limit int, window time.Duration) policy {
		return policy{Policy: ratelimit.Policy{Name: string(name), Limit: limit, Window: window}}
	}
	list := []policy{
		p(DeviceCodeAddr, 60, time.Hour),
		p(DeviceCodeAll, 500, time.Second),
		p(DeviceLookupAddr, 60, 5*time.Minute),
		p(DeviceWrongAll, 20, time.Second),
		locked(p(DeviceWrongAccount, 5, 15*time.Minute), 15*time.Minute),
		local(p(DevicePollAddr, 600, time.Minute)),
		p(DeviceDecideAccount, 10, time.Hour),
		fallback(p(BearerToken, 60, time.Minute)),
		local(p(BearerFailedAddr, 300, time.Minute)),
		fallback(p(AccountRead, 60, time.Minute)),
		fallback(p(RevokeAddr, 60, time.Minute)),
		fallback(p(IntrospectClient, 6000, time.Minute)),
		p(ConsoleLoginAddr, 30, 5*time.Minute),
		p(ConsoleLoginPair, 5, 15*time.Minute),
		p(ConsoleLoginEmail, 100, time.Hour),
		p(ConsoleSetupAddr, 10, time.Hour),
		p(InviteAcceptAddr, 20, time.Hour),
		p(InviteAccount, 30, time.Hour),
	}
	byName := make(map[Name]policy, len(list))
	for _, entry := range list {
		byName[Name(entry.Name)] = entry
	}
	return byName
}

func locked(p policy, d time.Duration) policy { p.Lock = d; return p }
func local(p policy) policy                   { p.local = true; return p }
func fallback(p policy) policy                { p.fallback = true; return p }

// Override changes a policy's numbers; a limit of 0 turns it off.
type Override struct {
	Limit  int
	Window time.Duration // zero keeps the policy's window
}

// ErrTooMany is every refusal by a limit; it carries the time after which one call
// passes.
var ErrTooMany = fault.New(fault.TooMany, "too_many_requests", "Too many requests. Wait, then try again.")

// Deps is what a Table needs. Store, Recorder and Now are required.
type Deps struct {
	Store     ratelimit.Store
	Recorder  *audit.Recorder
	Now       func() time.Time
	Overrides map[Name]Override
	// Refused counts refusals by policy; nil counts nothing.
	Refused func(policy string)
}

// Table asks the policies. It is safe for concurrent use.
type Table struct {
	Deps
	policies map[Name]policy
	inside   *ratelimit.Memory

	mu       sync.Mutex
	reported map[string]time.Time // refusals on record, until their window is over
}

// insideKeys bounds what the counters in this process hold.
const insideKeys = 200_000

// New refuses an override of an unknown policy.
func New(d Deps) (*Table, error) {
	if d.Store == nil || d.Recorder == nil || d.Now == nil {
		return nil, errors.New("limits: store, recorder and clock are required")
	}
	t := &Table{Deps: d, policies: defaults(), inside: ratelimit.NewMemory(insideKeys), reported: map[string]time.Time{}}
	for name, o := range d.Overrides {
		p, ok := t.policies[name]
		if !ok {
			return nil, fmt.Errorf("limits: no policy is named %q; the policies are %s", name, strings.Join(Names(), ", "))
		}
		p.Limit = o.Limit
		if o.Window > 0 {
			p.Window = o.Window
		}
		t.policies[name] = p
	}
	return t, nil
}

// Names lists the policies in order.
func Names() []string {
	var names []string
	for n := range defaults() {
		names = append(names, string(n))
	}
	sort.Strings(names)
	return names
}

// Take asks a policy for one call of a scope: an address, a subject key, an account
// id or a digest, never an e-mail in clear. It returns ErrTooMany for a refusal,
// and a 503 when the counters of a path that mints cannot be asked. The result is
// for the RateLimit headers.
func (t *Table) Take(ctx context.Context, name Name, scope string) (ratelimit.Result, error) {
	p, ok := t.policies[name]
	if !ok { // a limit that nobody defined must not read as one that is off
		return ratelimit.Result{}, undefined(name)
	}
	if p.Limit == 0 {
		return ratelimit.Result{Allowed: true}, nil
	}
	result, err := t.store(p).Take(ctx, p.Policy, scope, t.Now())
	return t.Judge(ctx, name, scope, result, err)
}

func undefined(name Name) error {
	return fault.ErrInternal.Because(fmt.Errorf("limits: no policy is named %q", name))
}

// Policy gives a policy's numbers to a store that counts it together with something
// else; Judge then answers for what that store said.
func (t *Table) Policy(name Name) (ratelimit.Policy, error) {
	p, ok := t.policies[name]
	if !ok {
		return ratelimit.Policy{}, undefined(name)
	}
	return p.Policy, nil
}

// Judge answers, as Take does, for a call that was counted elsewhere: result and err
// are what the store said.
func (t *Table) Judge(ctx context.Context, name Name, scope string, result ratelimit.Result, err error) (ratelimit.Result, error) {
	p, ok := t.policies[name]
	if !ok {
		return ratelimit.Result{}, undefined(name)
	}
	if p.Limit == 0 {
		return ratelimit.Result{Allowed: true}, nil
	}
	now := t.Now()
	if err != nil && p.fallback && ctx.Err() == nil {
		result, err = t.inside.Take(ctx, p.Policy, scope, now)
	}
	if err != nil {
		return ratelimit.Result{}, fault.Store(err)
	}
	if !result.Allowed {
		t.refused(ctx, p, scope, now)
		return result, ErrTooMany.RetryAfter(result.RetryAfter)
	}
	return result, nil
}

// Spent answers for a policy whose counters live in this process whether its budget is
// used up, without counting: ErrTooMany when it is.
func (t *Table) Spent(name Name, scope string) (ratelimit.Result, error) {
	p, ok := t.policies[name]
	if !ok || !p.local {
		return ratelimit.Result{}, undefined(name)
	}
	if p.Limit == 0 {
		return ratelimit.Result{Allowed: true}, nil
	}
	result := t.inside.Peek(p.Policy, scope, t.Now())
	if !result.Allowed {
		return result, ErrTooMany.RetryAfter(result.RetryAfter)
	}
	return result, nil
}

// Settle ends a permit of a budget of failures: a success gives it back. A failure
// to ask the counters is not the caller's: the permit stays spent.
func (t *Table) Settle(ctx context.Context, name Name, scope string, failed bool) {
	p := t.policies[name]
	if p.Limit == 0 {
		return
	}
	_, _ = t.store(p).Settle(context.WithoutCancel(ctx), p.Policy, scope, failed, t.Now())
}

// Sweep forgets what the counters in this process no longer need.
func (t *Table) Sweep(now time.Time) {
	t.inside.Sweep(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, until := range t.reported {
		if !until.After(now) {
			delete(t.reported, key)
		}
	}
}

func (t *Table) store(p policy) ratelimit.Store {
	if p.local {
		return t.inside
	}
	return t.Store
}

// maxReported bounds how many refusals are remembered for their window.
const maxReported = 100_000

// refused writes the first refusal of a key and window to the audit stream.
func (t *Table) refused(ctx context.Context, p policy, scope string, now time.Time) {
	if t.Refused != nil {
		t.Refused(p.Name)
	}
	key := ratelimit.Key(p.Name, scope)
	t.mu.Lock()
	until, known := t.reported[key]
	fresh := !known || !until.After(now)
	if fresh && len(t.reported) < maxReported {
		t.reported[key] = now.Add(p.Window)
	}
	t.mu.Unlock()
	if fresh {
		t.Recorder.Later(audit.New(ctx, now, audit.Anonymous, rateLimited{Policy: p.Name}))
	}
}

// rateLimited is oauth.rate_limited.
type rateLimited struct {
	Policy string `json:"policy"`
}

// EventName implements audit.Details.
func (rateLimited) EventName() string { return "oauth.rate_limited" }

// AuditKinds are the events of this package, for the reference.
func AuditKinds() []audit.Kind {
	return []audit.Kind{{Of: rateLimited{}, When: "a limit refused somebody for the first time in its window"}}
}
