// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Gate implements authz.Gate in process.
type Gate struct {
	Counters *ratelimit.Memory
	Bearers  *Bearers
}

// Enter implements authz.Gate.
func (g Gate) Enter(ctx context.Context, p ratelimit.Policy, d secret.Digest, now time.Time) (ratelimit.Result, token.Remembered, error) {
	r, err := g.Counters.Take(ctx, p, d.Hex(), now)
	if err != nil || !r.Allowed {
		return r, token.Remembered{}, err
	}
	known, err := g.Bearers.Get(ctx, d, now)
	return r, known, err
}
