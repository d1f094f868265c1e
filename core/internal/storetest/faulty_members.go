// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// FaultyMembers wraps a store of members, with the names of faults that FaultyAccess
// has.
func FaultyMembers(s workspace.MemberStore, f *Faults) workspace.MemberStore {
	return faultyMembers{s, f}
}

type faultyMembers struct {
	s workspace.MemberStore
	f *Faults
}

func (w faultyMembers) InTx(ctx context.Context, fn func(ctx context.Context, tx workspace.Tx) error) error {
	return inTx(ctx, w.f, w.s.InTx, func(tx workspace.Tx) workspace.Tx {
		return faultyMemberTx{faultyAccessTx{tx, w.f}, tx}
	}, fn)
}

func (w faultyMembers) List(ctx context.Context, workspaceID string, offset, limit int) ([]workspace.Member, int, error) {
	total := 0
	list, err := faulttest.Get(ctx, w.f, "List", func() (list []workspace.Member, err error) {
		list, total, err = w.s.List(ctx, workspaceID, offset, limit)
		return list, err
	})
	if err != nil {
		return nil, 0, err
	}
	return list, total, nil
}

func (w faultyMembers) Invitation(ctx context.Context, token secret.Digest, now time.Time) (workspace.Invitation, error) {
	return faulttest.Get(ctx, w.f, "Invitation", func() (workspace.Invitation, error) { return w.s.Invitation(ctx, token, now) })
}

type faultyMemberTx struct {
	faultyAccessTx
	m workspace.Tx
}

func (w faultyMemberTx) LockWorkspace(ctx context.Context, id string) (workspace.Workspace, error) {
	return faulttest.Get(ctx, w.f, "Tx.LockWorkspace", func() (workspace.Workspace, error) { return w.m.LockWorkspace(ctx, id) })
}

func (w faultyMemberTx) LockAccount(ctx context.Context, id string) (account.Account, error) {
	return faulttest.Get(ctx, w.f, "Tx.LockAccount", func() (account.Account, error) { return w.m.LockAccount(ctx, id) })
}

func (w faultyMemberTx) ClaimAccount(ctx context.Context, a account.Account) (account.Account, error) {
	return faulttest.Get(ctx, w.f, "Tx.ClaimAccount", func() (account.Account, error) { return w.m.ClaimAccount(ctx, a) })
}

func (w faultyMemberTx) Place(ctx context.Context, workspaceID, accountID string) (workspace.Membership, error) {
	return faulttest.Get(ctx, w.f, "Tx.Place", func() (workspace.Membership, error) { return w.m.Place(ctx, workspaceID, accountID) })
}

func (w faultyMemberTx) Member(ctx context.Context, workspaceID, accountID string) (workspace.Member, error) {
	return faulttest.Get(ctx, w.f, "Tx.Member", func() (workspace.Member, error) { return w.m.Member(ctx, workspaceID, accountID) })
}

func (w faultyMemberTx) CountMembers(ctx context.Context, workspaceID string) (int, error) {
	return faulttest.Get(ctx, w.f, "Tx.CountMembers", func() (int, error) { return w.m.CountMembers(ctx, workspaceID) })
}

func (w faultyMemberTx) HoldsExternalTokens(ctx context.Context, email string, now time.Time) (bool, error) {
	return faulttest.Get(ctx, w.f, "Tx.HoldsExternalTokens", func() (bool, error) { return w.m.HoldsExternalTokens(ctx, email, now) })
}

func (w faultyMemberTx) AddMember(ctx context.Context, m workspace.NewMember) error {
	return w.f.Do(ctx, "Tx.AddMember", func() error { return w.m.AddMember(ctx, m) })
}

func (w faultyMemberTx) SetRole(ctx context.Context, workspaceID, accountID string, role workspace.Role, now time.Time) (bool, error) {
	return faulttest.Get(ctx, w.f, "Tx.SetRole", func() (bool, error) { return w.m.SetRole(ctx, workspaceID, accountID, role, now) })
}

func (w faultyMemberTx) RemoveMember(ctx context.Context, workspaceID, accountID string) (bool, error) {
	return faulttest.Get(ctx, w.f, "Tx.RemoveMember", func() (bool, error) { return w.m.RemoveMember(ctx, workspaceID, accountID) })
}

func (w faultyMemberTx) DropPending(ctx context.Context, accountID string) (bool, error) {
	return faulttest.Get(ctx, w.f, "Tx.DropPending", func() (bool, error) { return w.m.DropPending(ctx, accountID) })
}

func (w faultyMemberTx) HasCurrent(ctx context.Context, accountID string) (bool, error) {
	return faulttest.Get(ctx, w.f, "Tx.HasCurrent", func() (bool, error) { return w.m.HasCurrent(ctx, accountID) })
}

func (w faultyMemberTx) MakeCurrent(ctx context.Context, workspaceID, accountID string, now time.Time) (bool, error) {
	return faulttest.Get(ctx, w.f, "Tx.MakeCurrent", func() (bool, error) { return w.m.MakeCurrent(ctx, workspaceID, accountID, now) })
}

func (w faultyMemberTx) PutInvitation(ctx context.Context, i workspace.NewInvitation) error {
	return w.f.Do(ctx, "Tx.PutInvitation", func() error { return w.m.PutInvitation(ctx, i) })
}

func (w faultyMemberTx) TakeInvitation(ctx context.Context, token secret.Digest, accountID string, now time.Time) (workspace.Role, error) {
	return faulttest.Get(ctx, w.f, "Tx.TakeInvitation", func() (workspace.Role, error) { return w.m.TakeInvitation(ctx, token, accountID, now) })
}

func (w faultyMemberTx) DropInvitation(ctx context.Context, token secret.Digest, accountID string, now time.Time) (workspace.Role, error) {
	return faulttest.Get(ctx, w.f, "Tx.DropInvitation", func() (workspace.Role, error) { return w.m.DropInvitation(ctx, token, accountID, now) })
}

func (w faultyMemberTx) Activate(ctx context.Context, accountID, name, passwordHash, ip string, now time.Time) (bool, error) {
	return faulttest.Get(ctx, w.f, "Tx.Activate", func() (bool, error) { return w.m.Activate(ctx, accountID, name, passwordHash, ip, now) })
}

func (w faultyMemberTx) ReplaceBrowser(ctx context.Context, s console.Session, replaces secret.Digest) error {
	return w.f.Do(ctx, "Tx.ReplaceBrowser", func() error { return w.m.ReplaceBrowser(ctx, s, replaces) })
}
