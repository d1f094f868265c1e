// SPDX-License-Identifier: Apache-2.0

package underload

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

// patience bounds how long a client goes on with one operation.
const patience = 2 * time.Minute

// pause is what a client waits for that is told nothing.
const pause = time.Second

// attempts does the operations of one client and repeats what the standards let it:
//
//   - what says Retry-After with 503 or 429 (RFC 9110, section 10.2.3);
//   - what never left, since the connection was refused;
//   - GET and DELETE, which are idempotent (RFC 9110, section 9.2.2);
//   - a poll (RFC 8628, section 3.5).
type attempts struct {
	record *record
	down   map[string]time.Time // since when an operation fails for this client
}

func newAttempts(r *record) *attempts {
	return &attempts{record: r, down: map[string]time.Time{}}
}

// do gives whether the operation succeeded in the end; a refusal that want takes for an
// answer is a success. No failure ends the client: it goes on with its next operation.
func (a *attempts) do(op string, want func(error) bool, call func(ctx context.Context) error) bool {
	began := time.Now()
	for {
		err := call(context.Background())
		if err == nil || (want != nil && want(err)) {
			var down time.Duration
			if since, ok := a.down[op]; ok {
				down = time.Since(since)
				delete(a.down, op)
			}
			a.record.ok(op, down)
			return true
		}
		if _, ok := a.down[op]; !ok {
			a.down[op] = began
		}
		status := statusOf(err)
		wait, again := repeatable(op, err)
		again = again && time.Since(began) < patience
		a.record.tried(op, status, again)
		if !again {
			a.record.failed(op, time.Now().UTC().Format("15:04:05.000")+" "+err.Error())
			return false
		}
		time.Sleep(wait)
	}
}

// statusOf is zero for what got no answer.
func statusOf(err error) int {
	if refused, ok := errors.AsType[*visitor.Refusal](err); ok {
		return refused.Status
	}
	return 0
}

// repeatable says whether a client may repeat what failed so, and when.
func repeatable(op string, err error) (time.Duration, bool) {
	refused, answered := errors.AsType[*visitor.Refusal](err)
	if answered && (refused.Status == http.StatusServiceUnavailable || refused.Status == http.StatusTooManyRequests) && refused.RetryAfter != "" {
		seconds, _ := strconv.Atoi(refused.RetryAfter)
		return max(pause, time.Duration(seconds)*time.Second), true
	}
	if answered && refused.Status < http.StatusInternalServerError {
		return 0, false
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return pause, true
	}
	if op == "poll" {
		return 2 * pause, true
	}
	if answered {
		return pause, strings.HasPrefix(refused.Step, "GET ") || refused.Step == "csrf" || refused.Step == "logout"
	}
	lost, ok := errors.AsType[*url.Error](err)
	return pause, ok && (lost.Op == "Get" || lost.Op == "Delete")
}

// refusedWith is a want of do: an answer of this status.
func refusedWith(status int) func(error) bool {
	return func(err error) bool { return statusOf(err) == status }
}
