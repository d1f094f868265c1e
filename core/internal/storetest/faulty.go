// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// FaultyGrants wraps a store of grants.
func FaultyGrants(s devicegrant.Store, f *Faults) devicegrant.Store { return faultyGrants{s, f} }

type faultyGrants struct {
	s devicegrant.Store
	f *Faults
}

func (w faultyGrants) Create(ctx context.Context, g devicegrant.Grant) error {
	return w.f.Do(ctx, "Create", func() error { return w.s.Create(ctx, g) })
}

func (w faultyGrants) Poll(ctx context.Context, p devicegrant.Poll) (devicegrant.PollResult, devicegrant.Grant, error) {
	type result struct {
		r devicegrant.PollResult
		g devicegrant.Grant
	}
	v, err := faulttest.Get(ctx, w.f, "Poll", func() (v result, err error) { v.r, v.g, err = w.s.Poll(ctx, p); return v, err })
	return v.r, v.g, err
}

func (w faultyGrants) ForgetPoll(ctx context.Context, ref secret.Digest) error {
	return w.f.Do(ctx, "ForgetPoll", func() error { return w.s.ForgetPoll(ctx, ref) })
}

func (w faultyGrants) Find(ctx context.Context, userMAC secret.Digest, now time.Time) (devicegrant.Grant, error) {
	return faulttest.Get(ctx, w.f, "Find", func() (devicegrant.Grant, error) { return w.s.Find(ctx, userMAC, now) })
}

func (w faultyGrants) Decide(ctx context.Context, d devicegrant.Decision) error {
	return w.f.Do(ctx, "Decide", func() error { return w.s.Decide(ctx, d) })
}

func (w faultyGrants) Release(ctx context.Context, ref secret.Digest, owner string) error {
	return w.f.Do(ctx, "Release", func() error { return w.s.Release(ctx, ref, owner) })
}

func (w faultyGrants) Delete(ctx context.Context, ref secret.Digest, owner string) error {
	return w.f.Do(ctx, "Delete", func() error { return w.s.Delete(ctx, ref, owner) })
}

func (w faultyGrants) Ping(ctx context.Context) error {
	return w.f.Do(ctx, "Ping", func() error { return w.s.Ping(ctx) })
}

// FaultyConsole wraps a store of console sessions.
func FaultyConsole(s console.Store, f *Faults) console.Store { return faultyConsole{s, f} }

type faultyConsole struct {
	s console.Store
	f *Faults
}

func (w faultyConsole) Begin(ctx context.Context, session console.Session, replaces secret.Digest, events ...audit.Event) error {
	return w.f.Do(ctx, "Begin", func() error { return w.s.Begin(ctx, session, replaces, events...) })
}

func (w faultyConsole) ByDigest(ctx context.Context, d secret.Digest) (console.Signed, error) {
	return faulttest.Get(ctx, w.f, "ByDigest", func() (console.Signed, error) { return w.s.ByDigest(ctx, d) })
}

func (w faultyConsole) Touch(ctx context.Context, id string, now time.Time) error {
	return w.f.Do(ctx, "Touch", func() error { return w.s.Touch(ctx, id, now) })
}

func (w faultyConsole) List(ctx context.Context, accountID string) ([]console.Session, error) {
	return faulttest.Get(ctx, w.f, "List", func() ([]console.Session, error) { return w.s.List(ctx, accountID) })
}

func (w faultyConsole) End(ctx context.Context, accountID, id, bump string, now time.Time, events ...audit.Event) error {
	return w.f.Do(ctx, "End", func() error { return w.s.End(ctx, accountID, id, bump, now, events...) })
}

func (w faultyConsole) EndOthers(ctx context.Context, accountID, but, bump string, now time.Time, events ...audit.Event) (int, error) {
	return faulttest.Get(ctx, w.f, "EndOthers", func() (int, error) { return w.s.EndOthers(ctx, accountID, but, bump, now, events...) })
}

// FaultyAccounts wraps a store of accounts.
func FaultyAccounts(s account.Store, f *Faults) account.Store { return faultyAccounts{s, f} }

type faultyAccounts struct {
	s account.Store
	f *Faults
}

func (w faultyAccounts) ByID(ctx context.Context, id string) (account.Account, error) {
	return faulttest.Get(ctx, w.f, "ByID", func() (account.Account, error) { return w.s.ByID(ctx, id) })
}

func (w faultyAccounts) ByEmail(ctx context.Context, email string) (account.Account, error) {
	return faulttest.Get(ctx, w.f, "ByEmail", func() (account.Account, error) { return w.s.ByEmail(ctx, email) })
}

func (w faultyAccounts) SetPasswordHash(ctx context.Context, id, old, hash string, now time.Time) error {
	return w.f.Do(ctx, "SetPasswordHash", func() error { return w.s.SetPasswordHash(ctx, id, old, hash, now) })
}

// FaultyWorkspaces wraps a store of memberships.
func FaultyWorkspaces(s workspace.Store, f *Faults) workspace.Store { return faultyWorkspaces{s, f} }

type faultyWorkspaces struct {
	s workspace.Store
	f *Faults
}

func (w faultyWorkspaces) MembershipsOf(ctx context.Context, accountID string) ([]workspace.Membership, error) {
	return faulttest.Get(ctx, w.f, "MembershipsOf", func() ([]workspace.Membership, error) { return w.s.MembershipsOf(ctx, accountID) })
}

func (w faultyWorkspaces) Place(ctx context.Context, workspaceID, accountID string) (workspace.Membership, error) {
	return faulttest.Get(ctx, w.f, "Place", func() (workspace.Membership, error) { return w.s.Place(ctx, workspaceID, accountID) })
}

// FaultyInstallation wraps the store of the installation's row.
func FaultyInstallation(s installation.Store, f *Faults) installation.Store {
	return faultyInstallation{s, f}
}

type faultyInstallation struct {
	s installation.Store
	f *Faults
}

func (w faultyInstallation) Read(ctx context.Context) (installation.State, error) {
	return faulttest.Get(ctx, w.f, "Read", func() (installation.State, error) { return w.s.Read(ctx) })
}

func (w faultyInstallation) Init(ctx context.Context, canary string) error {
	return w.f.Do(ctx, "Init", func() error { return w.s.Init(ctx, canary) })
}

func (w faultyInstallation) SetCodeHash(ctx context.Context, d secret.Digest) error {
	return w.f.Do(ctx, "SetCodeHash", func() error { return w.s.SetCodeHash(ctx, d) })
}

func (w faultyInstallation) SwapCanary(ctx context.Context, from, to string, events ...audit.Event) (bool, error) {
	return faulttest.Get(ctx, w.f, "SwapCanary", func() (bool, error) { return w.s.SwapCanary(ctx, from, to, events...) })
}

func (w faultyInstallation) Reseal(ctx context.Context, again func(sealed, place string) (string, error)) ([]installation.Resealed, error) {
	return faulttest.Get(ctx, w.f, "Reseal", func() ([]installation.Resealed, error) { return w.s.Reseal(ctx, again) })
}

func (w faultyInstallation) SetUp(ctx context.Context, a account.Account, ws workspace.Workspace, now time.Time, events ...audit.Event) error {
	return w.f.Do(ctx, "SetUp", func() error { return w.s.SetUp(ctx, a, ws, now, events...) })
}

// FaultyAudit wraps the sink of audit events.
func FaultyAudit(s audit.Sink, f *Faults) audit.Sink { return faultyAudit{s, f} }

type faultyAudit struct {
	s audit.Sink
	f *Faults
}

func (w faultyAudit) Append(ctx context.Context, events ...audit.Event) error {
	return w.f.Do(ctx, "Append", func() error { return w.s.Append(ctx, events...) })
}
