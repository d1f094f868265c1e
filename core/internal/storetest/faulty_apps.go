// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
)

// FaultyApps wraps a store of apps. Statements of apps.Tx are "Tx.LockWorkspace" and so on.
func FaultyApps(s apps.RegistryStore, f *Faults) apps.RegistryStore { return faultyApps{s, f} }

type faultyApps struct {
	s apps.RegistryStore
	f *Faults
}

func (w faultyApps) InTx(ctx context.Context, fn func(ctx context.Context, tx apps.Tx) error) error {
	return inTx(ctx, w.f, w.s.InTx, func(tx apps.Tx) apps.Tx { return faultyAppTx{tx, w.f} }, fn)
}

func (w faultyApps) Place(ctx context.Context, appID, accountID string) (*apps.Place, error) {
	return faulttest.Get(ctx, w.f, "Place", func() (*apps.Place, error) { return w.s.Place(ctx, appID, accountID) })
}

// list runs a call that gives a page and a total.
func (w faultyApps) list(ctx context.Context, name string, do func() ([]apps.Summary, int, error)) ([]apps.Summary, int, error) {
	total := 0
	list, err := faulttest.Get(ctx, w.f, name, func() (list []apps.Summary, err error) {
		list, total, err = do()
		return list, err
	})
	if err != nil {
		return nil, 0, err
	}
	return list, total, nil
}

func (w faultyApps) Usable(ctx context.Context, workspaceID, accountID string, q apps.Search) ([]apps.Summary, int, error) {
	return w.list(ctx, "Usable", func() ([]apps.Summary, int, error) { return w.s.Usable(ctx, workspaceID, accountID, q) })
}

func (w faultyApps) Permitted(ctx context.Context, q apps.Search) ([]apps.Summary, int, error) {
	return w.list(ctx, "Permitted", func() ([]apps.Summary, int, error) { return w.s.Permitted(ctx, q) })
}

func (w faultyApps) Kept(ctx context.Context, workspaceID string, offset, limit int) ([]apps.Summary, int, error) {
	return w.list(ctx, "Kept", func() ([]apps.Summary, int, error) { return w.s.Kept(ctx, workspaceID, offset, limit) })
}

func (w faultyApps) Member(ctx context.Context, workspaceID, accountID string) (workspace.Workspace, workspace.Role, error) {
	var role workspace.Role
	ws, err := faulttest.Get(ctx, w.f, "Member", func() (ws workspace.Workspace, err error) {
		ws, role, err = w.s.Member(ctx, workspaceID, accountID)
		return ws, err
	})
	return ws, role, err
}

func (w faultyApps) Entry(ctx context.Context, appID string) (apps.Summary, []apps.Allowed, error) {
	return entry(ctx, w.f, "Entry", w.s.Entry, appID)
}

func (w faultyApps) Insert(ctx context.Context, a apps.App) error {
	return w.f.Do(ctx, "Insert", func() error { return w.s.Insert(ctx, a) })
}

func entry(ctx context.Context, f *Faults, name string, read func(context.Context, string) (apps.Summary, []apps.Allowed, error), appID string) (apps.Summary, []apps.Allowed, error) {
	var allowed []apps.Allowed
	s, err := faulttest.Get(ctx, f, name, func() (s apps.Summary, err error) {
		s, allowed, err = read(ctx, appID)
		return s, err
	})
	if err != nil {
		return apps.Summary{}, nil, err
	}
	return s, allowed, nil
}

type faultyAppTx struct {
	tx apps.Tx
	f  *Faults
}

func (w faultyAppTx) LockWorkspace(ctx context.Context, id string) (workspace.Workspace, error) {
	return faulttest.Get(ctx, w.f, "Tx.LockWorkspace", func() (workspace.Workspace, error) { return w.tx.LockWorkspace(ctx, id) })
}

func (w faultyAppTx) LockWorkspaceOf(ctx context.Context, appID string) (workspace.Workspace, error) {
	return faulttest.Get(ctx, w.f, "Tx.LockWorkspaceOf", func() (workspace.Workspace, error) { return w.tx.LockWorkspaceOf(ctx, appID) })
}

func (w faultyAppTx) Role(ctx context.Context, workspaceID, accountID string) (workspace.Role, error) {
	return faulttest.Get(ctx, w.f, "Tx.Role", func() (workspace.Role, error) { return w.tx.Role(ctx, workspaceID, accountID) })
}

func (w faultyAppTx) Members(ctx context.Context, workspaceID string) ([]apps.Allowed, error) {
	return faulttest.Get(ctx, w.f, "Tx.Members", func() ([]apps.Allowed, error) { return w.tx.Members(ctx, workspaceID) })
}

func (w faultyAppTx) Entry(ctx context.Context, appID string) (apps.Summary, []apps.Allowed, error) {
	return entry(ctx, w.f, "Tx.Entry", w.tx.Entry, appID)
}

func (w faultyAppTx) Named(ctx context.Context, workspaceID, name string) ([]string, error) {
	return faulttest.Get(ctx, w.f, "Tx.Named", func() ([]string, error) { return w.tx.Named(ctx, workspaceID, name) })
}

func (w faultyAppTx) WorkspacesNamed(ctx context.Context, name string) ([]string, error) {
	return faulttest.Get(ctx, w.f, "Tx.WorkspacesNamed", func() ([]string, error) { return w.tx.WorkspacesNamed(ctx, name) })
}

func (w faultyAppTx) Insert(ctx context.Context, a apps.App) error {
	return w.f.Do(ctx, "Tx.Insert", func() error { return w.tx.Insert(ctx, a) })
}

func (w faultyAppTx) Save(ctx context.Context, a apps.App) error {
	return w.f.Do(ctx, "Tx.Save", func() error { return w.tx.Save(ctx, a) })
}

func (w faultyAppTx) Remove(ctx context.Context, appID string) error {
	return w.f.Do(ctx, "Tx.Remove", func() error { return w.tx.Remove(ctx, appID) })
}

func (w faultyAppTx) Allow(ctx context.Context, appID, grantedBy string, now time.Time, accounts []string) error {
	return w.f.Do(ctx, "Tx.Allow", func() error { return w.tx.Allow(ctx, appID, grantedBy, now, accounts) })
}

func (w faultyAppTx) Disallow(ctx context.Context, appID string, accounts []string) error {
	return w.f.Do(ctx, "Tx.Disallow", func() error { return w.tx.Disallow(ctx, appID, accounts) })
}

func (w faultyAppTx) Append(ctx context.Context, events ...audit.Event) error {
	return w.f.Do(ctx, "Tx.Append", func() error { return w.tx.Append(ctx, events...) })
}
