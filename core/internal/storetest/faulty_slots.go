// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
)

// FaultySlots wraps the slots of runs. Its methods are named "Slots.Take" and so on.
func FaultySlots(s run.Slots, f *Faults) run.Slots { return faultySlots{s, f} }

type faultySlots struct {
	s run.Slots
	f *Faults
}

func (w faultySlots) Take(ctx context.Context, appID, holder string, limit int, now time.Time) (bool, error) {
	return faulttest.Get(ctx, w.f, "Slots.Take", func() (bool, error) { return w.s.Take(ctx, appID, holder, limit, now) })
}

func (w faultySlots) Renew(ctx context.Context, appID, holder string, now time.Time) error {
	return w.f.Do(ctx, "Slots.Renew", func() error { return w.s.Renew(ctx, appID, holder, now) })
}

func (w faultySlots) Free(ctx context.Context, appID, holder string) error {
	return w.f.Do(ctx, "Slots.Free", func() error { return w.s.Free(ctx, appID, holder) })
}
