// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/ratelimit/redislimit"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Gate implements authz.Gate in one trip: the counter and the entry of a token share
// their hash tag. It is safe for concurrent use.
type Gate struct {
	Bearers
	// CallersClock counts by the caller's now, for tests.
	CallersClock bool
}

var _ authz.Gate = Gate{}

// gateScript counts on the first key, and reads the second for a call that may pass.
var gateScript = redisdb.NewScript(redislimit.Take + `
if allowed == 0 then return {` + redislimit.Reply + `} end
local entry = redis.pcall('GET', KEYS[2])
if type(entry) == 'table' then entry = '' end -- another kind of value: none that can be read
return {` + redislimit.Reply + `, entry}
`).Named("gate")

// Enter implements authz.Gate.
func (g Gate) Enter(ctx context.Context, p ratelimit.Policy, d secret.Digest, now time.Time) (ratelimit.Result, token.Remembered, error) {
	if p.Limit <= 0 {
		found, err := g.Get(ctx, d, now)
		return ratelimit.Result{Allowed: true}, found, err
	}
	if !g.CallersClock {
		now = time.Time{}
	}
	v, err := g.DB.Run(ctx, gateScript, []string{redislimit.Key(g.DB, p, d.Hex()), g.key(d)}, redislimit.Args(p, now)...)
	if err != nil {
		return ratelimit.Result{}, token.Remembered{}, err
	}
	reply, _ := v.([]any)
	counted := reply[:min(redislimit.ResultSize, len(reply))]
	r, err := redislimit.Result(p, counted)
	if err != nil || !r.Allowed {
		return r, token.Remembered{}, err
	}
	if len(reply) != redislimit.ResultSize+1 {
		return ratelimit.Result{}, token.Remembered{}, errReply
	}
	text, held := reply[redislimit.ResultSize].(string)
	return r, g.remembered(ctx, text, held), nil
}
