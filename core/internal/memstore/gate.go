// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Gate implements authz.Gate over counters and a cache in this process.
type Gate struct {
	Counters ratelimit.Store
	Bearers  token.Cache
}

var _ authz.Gate = Gate{}

// Enter implements authz.Gate.
func (g Gate) Enter(ctx context.Context, p ratelimit.Policy, d secret.Digest, now time.Time) (ratelimit.Result, token.Remembered, error) {
	r, err := g.Counters.Take(ctx, p, d.Hex(), now)
	if err != nil || !r.Allowed {
		return r, token.Remembered{}, err
	}
	found, err := g.Bearers.Get(ctx, d, now)
	return r, found, err
}
