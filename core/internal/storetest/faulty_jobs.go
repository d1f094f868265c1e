// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/prune"
	"github.com/dify-sso/dify-sso/pkg/jobs"
)

// FaultyLeases wraps leases. Under LoseReply of "Take" the lease was given and nobody
// hears of it.
func FaultyLeases(s jobs.Leases, f *Faults) jobs.Leases { return faultyLeases{s, f} }

type faultyLeases struct {
	s jobs.Leases
	f *Faults
}

func (w faultyLeases) Take(ctx context.Context, name, owner string, now time.Time, life time.Duration) (int64, bool, error) {
	ok := false
	fence, err := get(ctx, w.f, "Take", func() (fence int64, err error) {
		fence, ok, err = w.s.Take(ctx, name, owner, now, life)
		return fence, err
	})
	return fence, ok && err == nil, err
}

func (w faultyLeases) Release(ctx context.Context, name, owner string, now time.Time) error {
	return w.f.do(ctx, "Release", func() error { return w.s.Release(ctx, name, owner, now) })
}

// FaultyPruner wraps what deletes rows that are over; the methods are "Prune.Tokens"
// and so on.
func FaultyPruner(s prune.Store, f *Faults) prune.Store { return faultyPruner{s, f} }

type faultyPruner struct {
	s prune.Store
	f *Faults
}

func (w faultyPruner) Tokens(ctx context.Context, before time.Time, limit int) (int64, error) {
	return get(ctx, w.f, "Prune.Tokens", func() (int64, error) { return w.s.Tokens(ctx, before, limit) })
}

func (w faultyPruner) Fences(ctx context.Context, before time.Time, limit int) (int64, error) {
	return get(ctx, w.f, "Prune.Fences", func() (int64, error) { return w.s.Fences(ctx, before, limit) })
}

func (w faultyPruner) Sessions(ctx context.Context, before time.Time, limit int) (int64, error) {
	return get(ctx, w.f, "Prune.Sessions", func() (int64, error) { return w.s.Sessions(ctx, before, limit) })
}
