// SPDX-License-Identifier: Apache-2.0

package redislimit

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
)

// Store implements ratelimit.Store, one trip per call. It is safe for concurrent use.
type Store struct {
	DB *redisdb.DB
	// CallersClock counts by the caller's now, for tests. Otherwise the server's clock
	// counts: those of the callers differ.
	CallersClock bool
}

var _ ratelimit.Store = Store{}

var (
	takeScript   = redisdb.NewScript(Take + `return {` + Reply + `}`).Named("limit")
	settleScript = redisdb.NewScript(settle + `return {` + Reply + `}`).Named("settle")
)

// Take implements ratelimit.Store.
func (s Store) Take(ctx context.Context, p ratelimit.Policy, scope string, now time.Time) (ratelimit.Result, error) {
	return s.run(ctx, takeScript, p, scope, Args(p, s.clock(now)))
}

// Settle implements ratelimit.Store.
func (s Store) Settle(ctx context.Context, p ratelimit.Policy, scope string, failed bool, now time.Time) (ratelimit.Result, error) {
	how := "0"
	if failed {
		how = "1"
	}
	return s.run(ctx, settleScript, p, scope, append(Args(p, s.clock(now)), how))
}

func (s Store) run(ctx context.Context, script *redisdb.Script, p ratelimit.Policy, scope string, args []any) (ratelimit.Result, error) {
	if err := ctx.Err(); err != nil {
		return ratelimit.Result{}, err
	}
	if p.Limit <= 0 {
		return ratelimit.Result{Allowed: true}, nil
	}
	reply, err := s.DB.Run(ctx, script, []string{Key(s.DB, p, scope)}, args...)
	if err != nil {
		return ratelimit.Result{}, err
	}
	list, _ := reply.([]any)
	return Result(p, list)
}

func (s Store) clock(now time.Time) time.Time {
	if s.CallersClock {
		return now
	}
	return time.Time{}
}

// Key is where a scope of a policy is counted: ratelimit.Key behind the prefix, its
// scope as the hash tag.
func Key(db *redisdb.DB, p ratelimit.Policy, scope string) string {
	return db.Key("rl:"+p.Name, scope)
}
