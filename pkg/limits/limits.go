// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
)

// ErrTooMany is every refusal by a limit; it carries the time after which one call
// passes.
var ErrTooMany = fault.New(fault.TooMany, "too_many_requests", "Too many requests. Wait, then try again.")

// Deps is what a Table needs. Policies, Store, Recorder and Now are required.
type Deps struct {
	Policies  Policies
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
	policies map[Name]Policy
	inside   *ratelimit.Memory

	mu       sync.Mutex
	reported map[string]time.Time // refusals on record, until their window is over
}

// insideKeys bounds what the counters in this process hold.
const insideKeys = 200_000

// New refuses an override of an unknown policy.
func New(d Deps) (*Table, error) {
	if len(d.Policies) == 0 || d.Store == nil || d.Recorder == nil || d.Now == nil {
		return nil, errors.New("limits: policies, store, recorder and clock are required")
	}
	t := &Table{Deps: d, policies: make(map[Name]Policy, len(d.Policies)), inside: ratelimit.NewMemory(insideKeys), reported: map[string]time.Time{}}
	for _, p := range d.Policies {
		t.policies[Name(p.Name)] = p
	}
	for name, o := range d.Overrides {
		p, ok := t.policies[name]
		if !ok {
			return nil, fmt.Errorf("limits: no policy is named %q; the policies are %s", name, strings.Join(d.Policies.Names(), ", "))
		}
		p.Limit = o.Limit
		if o.Window > 0 {
			p.Window = o.Window
		}
		t.policies[name] = p
	}
	return t, nil
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
	if err != nil && p.Fallback && ctx.Err() == nil {
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
	if !ok || !p.Local {
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

func (t *Table) store(p Policy) ratelimit.Store {
	if p.Local {
		return t.inside
	}
	return t.Store
}

// maxReported bounds how many refusals are remembered for their window.
const maxReported = 100_000

// refused writes the first refusal of a key and window to the audit stream.
func (t *Table) refused(ctx context.Context, p Policy, scope string, now time.Time) {
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
