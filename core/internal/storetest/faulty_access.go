// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// FaultyAccess wraps a store of access, with the names of faults that FaultyTokens has.
func FaultyAccess(s access.Store, f *Faults) access.Store { return faultyAccess{s, f} }

type faultyAccess struct {
	s access.Store
	f *Faults
}

func (w faultyAccess) InTx(ctx context.Context, fn func(ctx context.Context, tx access.Tx) error) error {
	return inTx(ctx, w.f, w.s.InTx, func(tx access.Tx) access.Tx { return faultyAccessTx{tx, w.f} }, fn)
}

func (w faultyAccess) Linked(ctx context.Context, issuer, subjectID string) (string, error) {
	return faulttest.Get(ctx, w.f, "Linked", func() (string, error) { return w.s.Linked(ctx, issuer, subjectID) })
}

func (w faultyAccess) List(ctx context.Context, f access.TokenFilter, now time.Time, offset, limit int) ([]token.Session, int, error) {
	total := 0
	list, err := faulttest.Get(ctx, w.f, "List", func() (list []token.Session, err error) {
		list, total, err = w.s.List(ctx, f, now, offset, limit)
		return list, err
	})
	if err != nil {
		return nil, 0, err
	}
	return list, total, nil
}

func (w faultyAccess) ListAccounts(ctx context.Context, f access.AccountFilter, offset, limit int) ([]account.Account, int, error) {
	total := 0
	list, err := faulttest.Get(ctx, w.f, "ListAccounts", func() (list []account.Account, err error) {
		list, total, err = w.s.ListAccounts(ctx, f, offset, limit)
		return list, err
	})
	if err != nil {
		return nil, 0, err
	}
	return list, total, nil
}

type faultyAccessTx struct {
	tx access.Tx
	f  *Faults
}

func (w faultyAccessTx) LockEpochs(ctx context.Context, keys []string, now time.Time) (int64, error) {
	return faulttest.Get(ctx, w.f, "Tx.LockEpochs", func() (int64, error) { return w.tx.LockEpochs(ctx, keys, now) })
}

func (w faultyAccessTx) BumpEpoch(ctx context.Context, key, reason string, now time.Time) error {
	return w.f.Do(ctx, "Tx.BumpEpoch", func() error { return w.tx.BumpEpoch(ctx, key, reason, now) })
}

func (w faultyAccessTx) Linked(ctx context.Context, issuer, subjectID string) (string, error) {
	return faulttest.Get(ctx, w.f, "Tx.Linked", func() (string, error) { return w.tx.Linked(ctx, issuer, subjectID) })
}

func (w faultyAccessTx) Unlink(ctx context.Context, issuer string) ([]access.Link, error) {
	return faulttest.Get(ctx, w.f, "Tx.Unlink", func() ([]access.Link, error) { return w.tx.Unlink(ctx, issuer) })
}

func (w faultyAccessTx) Account(ctx context.Context, id string) (account.Account, error) {
	return faulttest.Get(ctx, w.f, "Tx.Account", func() (account.Account, error) { return w.tx.Account(ctx, id) })
}

func (w faultyAccessTx) OtherAdministrators(ctx context.Context, but string) (int, error) {
	return faulttest.Get(ctx, w.f, "Tx.OtherAdministrators", func() (int, error) { return w.tx.OtherAdministrators(ctx, but) })
}

func (w faultyAccessTx) AddAccount(ctx context.Context, a account.Account) error {
	return w.f.Do(ctx, "Tx.AddAccount", func() error { return w.tx.AddAccount(ctx, a) })
}

func (w faultyAccessTx) SetAdministrator(ctx context.Context, id string, to bool, now time.Time) error {
	return w.f.Do(ctx, "Tx.SetAdministrator", func() error { return w.tx.SetAdministrator(ctx, id, to, now) })
}

func (w faultyAccessTx) ReplacePassword(ctx context.Context, id, hash string, now time.Time) error {
	return w.f.Do(ctx, "Tx.ReplacePassword", func() error { return w.tx.ReplacePassword(ctx, id, hash, now) })
}

func (w faultyAccessTx) SetStatus(ctx context.Context, id string, status account.Status, now time.Time) error {
	return w.f.Do(ctx, "Tx.SetStatus", func() error { return w.tx.SetStatus(ctx, id, status, now) })
}

func (w faultyAccessTx) DropUnaccepted(ctx context.Context, accountID string) error {
	return w.f.Do(ctx, "Tx.DropUnaccepted", func() error { return w.tx.DropUnaccepted(ctx, accountID) })
}

func (w faultyAccessTx) SetPassword(ctx context.Context, id, old, hash string, now time.Time) (bool, error) {
	return faulttest.Get(ctx, w.f, "Tx.SetPassword", func() (bool, error) { return w.tx.SetPassword(ctx, id, old, hash, now) })
}

func (w faultyAccessTx) EndTokens(ctx context.Context, r access.Rows, reason token.Reason, now time.Time) ([]token.Ended, error) {
	return faulttest.Get(ctx, w.f, "Tx.EndTokens", func() ([]token.Ended, error) { return w.tx.EndTokens(ctx, r, reason, now) })
}

func (w faultyAccessTx) EndToken(ctx context.Context, id string, reason token.Reason, now time.Time) (token.Ended, bool, error) {
	won := false
	ended, err := faulttest.Get(ctx, w.f, "Tx.EndToken", func() (ended token.Ended, err error) {
		ended, won, err = w.tx.EndToken(ctx, id, reason, now)
		return ended, err
	})
	return ended, won && err == nil, err
}

func (w faultyAccessTx) EndedSince(ctx context.Context, r access.Rows, since time.Time) ([]secret.Digest, error) {
	return faulttest.Get(ctx, w.f, "Tx.EndedSince", func() ([]secret.Digest, error) { return w.tx.EndedSince(ctx, r, since) })
}

func (w faultyAccessTx) EndBrowser(ctx context.Context, accountID, id string) (bool, error) {
	return faulttest.Get(ctx, w.f, "Tx.EndBrowser", func() (bool, error) { return w.tx.EndBrowser(ctx, accountID, id) })
}

func (w faultyAccessTx) EndBrowsers(ctx context.Context, accountID string) (int, error) {
	return faulttest.Get(ctx, w.f, "Tx.EndBrowsers", func() (int, error) { return w.tx.EndBrowsers(ctx, accountID) })
}

func (w faultyAccessTx) EndBrowsersOf(ctx context.Context, connectionID string) (int, error) {
	return faulttest.Get(ctx, w.f, "Tx.EndBrowsersOf", func() (int, error) { return w.tx.EndBrowsersOf(ctx, connectionID) })
}

func (w faultyAccessTx) BeginBrowser(ctx context.Context, s console.Session) error {
	return w.f.Do(ctx, "Tx.BeginBrowser", func() error { return w.tx.BeginBrowser(ctx, s) })
}

func (w faultyAccessTx) Append(ctx context.Context, events ...audit.Event) error {
	return w.f.Do(ctx, "Tx.Append", func() error { return w.tx.Append(ctx, events...) })
}
