// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"slices"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/ratelimit"
)

// Name is a policy's stable name, the one that RATE_LIMITS overrides.
type Name string

// Policy adds to the engine's numbers what happens in an outage of the counters. Without
// Local and Fallback an outage refuses, for a path that mints must not run unlimited.
type Policy struct {
	ratelimit.Policy
	// Local: the counters live in this process, always.
	Local bool
	// Fallback: count in this process while the store is down.
	Fallback bool
}

// Of is a policy that lets limit calls of a scope through in a window.
func Of(name Name, limit int, window time.Duration) Policy {
	return Policy{Policy: ratelimit.Policy{Name: string(name), Limit: limit, Window: window}}
}

// Locked is p with a lock of a scope that has used its budget up.
func (p Policy) Locked(d time.Duration) Policy { p.Lock = d; return p }

// InProcess is p with Local.
func (p Policy) InProcess() Policy { p.Local = true; return p }

// OrInProcess is p with Fallback.
func (p Policy) OrInProcess() Policy { p.Fallback = true; return p }

// Policies are all that a service has.
type Policies []Policy

// Names lists the policies in order.
func (p Policies) Names() []string {
	names := make([]string, 0, len(p))
	for _, policy := range p {
		names = append(names, policy.Name)
	}
	slices.Sort(names)
	return names
}

// Override changes a policy's numbers; a limit of 0 turns it off.
type Override struct {
	Limit  int
	Window time.Duration // zero keeps the policy's window
}

// Parse reads overrides as RATE_LIMITS has them, such as "a.name=120/1h,other=0". wrong
// hears of each item that does not hold; the others are returned.
func (p Policies) Parse(text string, wrong func(format string, args ...any)) map[Name]Override {
	overrides, names := map[Name]Override{}, p.Names()
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, value, _ := strings.Cut(item, "=")
		limit, window, err := ratelimit.Parse(value)
		switch {
		case !slices.Contains(names, name):
			wrong("names no limit: %q; the limits are %s", name, strings.Join(names, ", "))
		case err != nil:
			wrong(`%s: a limit reads "120/1h", "60" or "0"`, name)
		default:
			overrides[Name(name)] = Override{Limit: limit, Window: window}
		}
	}
	return overrides
}
