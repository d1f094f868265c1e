// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// FaultyRecords wraps a store of records. Its methods are planned as "Put", "Read" and
// "Take" with the shelf behind a dot, such as "Take.h", and by their names.
func FaultyRecords(s login.Records, f *faulttest.Faults) login.Records { return faultyRecords{s, f} }

type faultyRecords struct {
	s login.Records
	f *faulttest.Faults
}

func (w faultyRecords) Put(ctx context.Context, on login.Shelf, d secret.Digest, sealed []byte, life time.Duration) error {
	return w.f.Do(ctx, "Put."+string(on), func() error { return w.s.Put(ctx, on, d, sealed, life) })
}

func (w faultyRecords) Read(ctx context.Context, on login.Shelf, d secret.Digest) ([]byte, error) {
	return faulttest.Get(ctx, w.f, "Read."+string(on), func() ([]byte, error) { return w.s.Read(ctx, on, d) })
}

func (w faultyRecords) Take(ctx context.Context, on login.Shelf, d secret.Digest) ([]byte, error) {
	return faulttest.Get(ctx, w.f, "Take."+string(on), func() ([]byte, error) { return w.s.Take(ctx, on, d) })
}

// FaultyAttempts wraps a store of attempts. Its moves are planned as "Move" with the
// state to which they lead, such as "Move.started", and the others by their names.
func FaultyAttempts(s login.Attempts, f *faulttest.Faults) login.Attempts {
	return faultyAttempts{s, f}
}

type faultyAttempts struct {
	s login.Attempts
	f *faulttest.Faults
}

func (w faultyAttempts) Create(ctx context.Context, a login.Attempt, events ...audit.Event) error {
	return w.f.Do(ctx, "Create", func() error { return w.s.Create(ctx, a, events...) })
}

func (w faultyAttempts) Move(ctx context.Context, from login.State, to login.Attempt, events ...audit.Event) error {
	return w.f.Do(ctx, "Move."+string(to.State), func() error { return w.s.Move(ctx, from, to, events...) })
}

func (w faultyAttempts) ByReference(ctx context.Context, reference string) (login.Attempt, error) {
	return faulttest.Get(ctx, w.f, "ByReference", func() (login.Attempt, error) { return w.s.ByReference(ctx, reference) })
}

func (w faultyAttempts) ByHandle(ctx context.Context, handle secret.Digest) (login.Attempt, error) {
	return faulttest.Get(ctx, w.f, "ByHandle", func() (login.Attempt, error) { return w.s.ByHandle(ctx, handle) })
}

func (w faultyAttempts) LastGood(ctx context.Context, connectionID string) (login.Attempt, error) {
	return faulttest.Get(ctx, w.f, "LastGood", func() (login.Attempt, error) { return w.s.LastGood(ctx, connectionID) })
}

func (w faultyAttempts) List(ctx context.Context, f login.Filter, limit int) ([]login.Attempt, error) {
	return faulttest.Get(ctx, w.f, "List", func() ([]login.Attempt, error) { return w.s.List(ctx, f, limit) })
}
