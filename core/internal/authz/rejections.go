// SPDX-License-Identifier: Apache-2.0

package authz

import (
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
)

const (
	// rejectionWindow is how often one address and cause makes an event at most.
	rejectionWindow = time.Minute
	// maxRejections bounds what is remembered; beyond it the memory starts anew.
	maxRejections = 50_000
)

// rejections thins the events about refused bearers: one per address, cause and
// minute, each with the number since the last.
type rejections struct {
	mu   sync.Mutex
	seen map[rejectionKey]*rejection
}

type rejectionKey struct {
	address string
	cause   token.Cause
}

type rejection struct {
	since time.Time
	count int
}

func newRejections() *rejections { return &rejections{seen: map[rejectionKey]*rejection{}} }

// count adds one refusal and says whether an event is due, and for how many.
func (r *rejections) count(address string, cause token.Cause, now time.Time) (n int, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := rejectionKey{address, cause}
	seen, ok := r.seen[key]
	if !ok {
		if len(r.seen) >= maxRejections {
			r.seen = map[rejectionKey]*rejection{}
		}
		r.seen[key] = &rejection{since: now}
		return 1, true
	}
	seen.count++
	if now.Sub(seen.since) < rejectionWindow {
		return 0, false
	}
	n, seen.since, seen.count = seen.count, now, 0
	return n, true
}

// bearerRejected is oauth.bearer_rejected.
type bearerRejected struct {
	Cause string `json:"cause"`
	Count int    `json:"count"`
}

// EventName implements audit.Details.
func (bearerRejected) EventName() string { return "oauth.bearer_rejected" }

// AuditKinds are the events of this package, for the reference.
func AuditKinds() []audit.Kind {
	return []audit.Kind{{Of: bearerRejected{}, When: "a bearer was refused, at most once per address and minute, with a count"}}
}
