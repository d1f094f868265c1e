// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/prune"

	"github.com/dify-sso/dify-sso/pkg/faulttest"
)

// FaultyPruner wraps what deletes rows that are over; the methods are "Prune.Tokens"
// and so on.
func FaultyPruner(s prune.Store, f *Faults) prune.Store { return faultyPruner{s, f} }

type faultyPruner struct {
	s prune.Store
	f *Faults
}

func (w faultyPruner) Tokens(ctx context.Context, before time.Time, limit int) (int64, error) {
	return faulttest.Get(ctx, w.f, "Prune.Tokens", func() (int64, error) { return w.s.Tokens(ctx, before, limit) })
}

func (w faultyPruner) Fences(ctx context.Context, before time.Time, limit int) (int64, error) {
	return faulttest.Get(ctx, w.f, "Prune.Fences", func() (int64, error) { return w.s.Fences(ctx, before, limit) })
}

func (w faultyPruner) Sessions(ctx context.Context, before time.Time, limit int) (int64, error) {
	return faulttest.Get(ctx, w.f, "Prune.Sessions", func() (int64, error) { return w.s.Sessions(ctx, before, limit) })
}

func (w faultyPruner) Runs(ctx context.Context, before time.Time, limit int) (int64, error) {
	return faulttest.Get(ctx, w.f, "Prune.Runs", func() (int64, error) { return w.s.Runs(ctx, before, limit) })
}
