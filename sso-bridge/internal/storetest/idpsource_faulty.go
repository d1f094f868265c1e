// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
)

// FaultyIdPSource wraps a store of metadata. Find is planned with the state behind a dot,
// such as "Find.current", and every other method by its name.
func FaultyIdPSource(s idpsource.Store, f *faulttest.Faults) idpsource.Store {
	return faultyIdPSource{s, f}
}

type faultyIdPSource struct {
	s idpsource.Store
	f *faulttest.Faults
}

func (w faultyIdPSource) Find(ctx context.Context, connectionID, source string, s idpsource.State) (idpsource.Version, error) {
	return faulttest.Get(ctx, w.f, "Find."+string(s), func() (idpsource.Version, error) { return w.s.Find(ctx, connectionID, source, s) })
}

func (w faultyIdPSource) All(ctx context.Context, connectionID string, limit int) ([]idpsource.Version, error) {
	return faulttest.Get(ctx, w.f, "All", func() ([]idpsource.Version, error) { return w.s.All(ctx, connectionID, limit) })
}

func (w faultyIdPSource) Refused(ctx context.Context, connectionID, source, digest string) (bool, error) {
	return faulttest.Get(ctx, w.f, "Refused", func() (bool, error) { return w.s.Refused(ctx, connectionID, source, digest) })
}

func (w faultyIdPSource) Begin(ctx context.Context, v idpsource.Version, events ...audit.Event) error {
	return w.f.Do(ctx, "Begin", func() error { return w.s.Begin(ctx, v, events...) })
}

func (w faultyIdPSource) Apply(ctx context.Context, from string, v idpsource.Version, events ...audit.Event) error {
	return w.f.Do(ctx, "Apply", func() error { return w.s.Apply(ctx, from, v, events...) })
}

func (w faultyIdPSource) Hold(ctx context.Context, against string, v idpsource.Version, events ...audit.Event) error {
	return w.f.Do(ctx, "Hold", func() error { return w.s.Hold(ctx, against, v, events...) })
}

func (w faultyIdPSource) Withdraw(ctx context.Context, id string, events ...audit.Event) error {
	return w.f.Do(ctx, "Withdraw", func() error { return w.s.Withdraw(ctx, id, events...) })
}

func (w faultyIdPSource) Decide(ctx context.Context, id string, accept bool, by string, now time.Time, events ...audit.Event) error {
	return w.f.Do(ctx, "Decide", func() error { return w.s.Decide(ctx, id, accept, by, now, events...) })
}

func (w faultyIdPSource) Checked(ctx context.Context, v idpsource.Version) error {
	return w.f.Do(ctx, "Checked", func() error { return w.s.Checked(ctx, v) })
}

func (w faultyIdPSource) Due(ctx context.Context, now time.Time, limit int) ([]idpsource.Version, error) {
	return faulttest.Get(ctx, w.f, "Due", func() ([]idpsource.Version, error) { return w.s.Due(ctx, now, limit) })
}

func (w faultyIdPSource) Waiting(ctx context.Context) ([]idpsource.Version, error) {
	return faulttest.Get(ctx, w.f, "Waiting", func() ([]idpsource.Version, error) { return w.s.Waiting(ctx) })
}
