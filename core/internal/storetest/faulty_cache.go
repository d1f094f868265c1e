// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// FaultyCache wraps the bearer cache. Its methods are named "Cache.Get" and so on.
func FaultyCache(c token.Cache, f *Faults) token.Cache { return faultyCache{c, f} }

type faultyCache struct {
	c token.Cache
	f *Faults
}

func (w faultyCache) Get(ctx context.Context, d secret.Digest, now time.Time) (token.Remembered, error) {
	return faulttest.Get(ctx, w.f, "Cache.Get", func() (token.Remembered, error) { return w.c.Get(ctx, d, now) })
}

func (w faultyCache) Remember(ctx context.Context, d secret.Digest, c token.Context, now time.Time, life time.Duration) error {
	return w.f.Do(ctx, "Cache.Remember", func() error { return w.c.Remember(ctx, d, c, now, life) })
}

func (w faultyCache) RememberUnknown(ctx context.Context, d secret.Digest, now time.Time) error {
	return w.f.Do(ctx, "Cache.RememberUnknown", func() error { return w.c.RememberUnknown(ctx, d, now) })
}

func (w faultyCache) Bury(ctx context.Context, now time.Time, digests ...secret.Digest) error {
	return w.f.Do(ctx, "Cache.Bury", func() error { return w.c.Bury(ctx, now, digests...) })
}

func (w faultyCache) Forget(ctx context.Context, d secret.Digest) error {
	return w.f.Do(ctx, "Cache.Forget", func() error { return w.c.Forget(ctx, d) })
}

// FaultyGate wraps the bearer gate. Its method is "Gate.Enter".
func FaultyGate(g authz.Gate, f *Faults) authz.Gate { return faultyGate{g, f} }

type faultyGate struct {
	g authz.Gate
	f *Faults
}

func (w faultyGate) Enter(ctx context.Context, p ratelimit.Policy, d secret.Digest, now time.Time) (r ratelimit.Result, known token.Remembered, err error) {
	r, err = faulttest.Get(ctx, w.f, "Gate.Enter", func() (r ratelimit.Result, err error) {
		r, known, err = w.g.Enter(ctx, p, d, now)
		return r, err
	})
	if err != nil {
		known = token.Remembered{}
	}
	return r, known, err
}
