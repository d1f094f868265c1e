// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Statements lists the statements of a mint as faults name them, in their order.
var Statements = []string{"Tx.LockEpochs", "Tx.Account", "Tx.EndChanged", "Tx.Fence", "Tx.Upsert", "Tx.Append"}

// FaultyTokens wraps a token registry. "InTx" strikes before the transaction is
// begun, each "Tx." name inside it. "Tx.Commit" answers token.ErrCommitUnknown:
// under Fail and Hang nothing was written, under LoseReply everything was. Use it,
// not LoseReply of "InTx", for an outcome that the caller cannot know.
func FaultyTokens(s token.Store, f *Faults) token.Store { return faultyTokens{s, f} }

type faultyTokens struct {
	s token.Store
	f *Faults
}

func (w faultyTokens) InTx(ctx context.Context, fn func(ctx context.Context, tx token.Tx) error) error {
	return inTx(ctx, w.f, w.s.InTx, func(tx token.Tx) token.Tx { return faultyTx{tx, w.f} }, fn)
}

// inTx is InTx of every store that is wrapped: begin runs a transaction, wrap puts the
// faults around what it can do.
func inTx[T any](ctx context.Context, f *Faults, begin func(context.Context, func(context.Context, T) error) error, wrap func(T) T,
	fn func(context.Context, T) error,
) error {
	return f.Do(ctx, "InTx", func() error {
		var commit error
		inside := begin(ctx, func(ctx context.Context, tx T) error {
			if err := fn(ctx, wrap(tx)); err != nil {
				return err
			}
			var lost bool
			if lost, commit = f.Strike(ctx, "Tx.Commit", func() error { return nil }); lost {
				return nil // committed, and nobody hears of it
			}
			return commit
		})
		if commit != nil && (inside == nil || errors.Is(inside, commit)) {
			return token.ErrCommitUnknown.Because(commit)
		}
		return inside
	})
}

func (w faultyTokens) ByDigest(ctx context.Context, d secret.Digest) (token.Resolved, error) {
	return faulttest.Get(ctx, w.f, "ByDigest", func() (token.Resolved, error) { return w.s.ByDigest(ctx, d) })
}

func (w faultyTokens) List(ctx context.Context, s token.Subject, now time.Time, offset, limit int) ([]token.Session, int, error) {
	total := 0
	list, err := faulttest.Get(ctx, w.f, "List", func() (list []token.Session, err error) {
		list, total, err = w.s.List(ctx, s, now, offset, limit)
		return list, err
	})
	if err != nil {
		return nil, 0, err
	}
	return list, total, nil
}

func (w faultyTokens) Find(ctx context.Context, s token.Subject, id string) (token.Session, bool, error) {
	live := false
	session, err := faulttest.Get(ctx, w.f, "Find", func() (session token.Session, err error) {
		session, live, err = w.s.Find(ctx, s, id)
		return session, err
	})
	return session, live && err == nil, err
}

func (w faultyTokens) Epochs(ctx context.Context, keys []string) (sum int64, moved time.Time, err error) {
	err = w.f.Do(ctx, "Epochs", func() (err error) { sum, moved, err = w.s.Epochs(ctx, keys); return err })
	if err != nil {
		return 0, time.Time{}, err
	}
	return sum, moved, nil
}

func (w faultyTokens) TouchUsed(ctx context.Context, uses []token.Use) error {
	return w.f.Do(ctx, "TouchUsed", func() error { return w.s.TouchUsed(ctx, uses) })
}

type faultyTx struct {
	tx token.Tx
	f  *Faults
}

func (w faultyTx) LockEpochs(ctx context.Context, keys []string, now time.Time) (int64, error) {
	return faulttest.Get(ctx, w.f, "Tx.LockEpochs", func() (int64, error) { return w.tx.LockEpochs(ctx, keys, now) })
}

func (w faultyTx) BumpEpoch(ctx context.Context, key, reason string, now time.Time) error {
	return w.f.Do(ctx, "Tx.BumpEpoch", func() error { return w.tx.BumpEpoch(ctx, key, reason, now) })
}

func (w faultyTx) Account(ctx context.Context, id string) (account.Account, error) {
	return faulttest.Get(ctx, w.f, "Tx.Account", func() (account.Account, error) { return w.tx.Account(ctx, id) })
}

func (w faultyTx) External(ctx context.Context, s token.Subject) (emailIsAccount, linked bool, err error) {
	err = w.f.Do(ctx, "Tx.External", func() (err error) { emailIsAccount, linked, err = w.tx.External(ctx, s); return err })
	return emailIsAccount && err == nil, linked && err == nil, err
}

func (w faultyTx) EndChanged(ctx context.Context, s token.Session, now time.Time) ([]token.Ended, error) {
	return faulttest.Get(ctx, w.f, "Tx.EndChanged", func() ([]token.Ended, error) { return w.tx.EndChanged(ctx, s, now) })
}

func (w faultyTx) Fence(ctx context.Context, grant secret.Digest, claimNo int64, expires time.Time) (int64, error) {
	return faulttest.Get(ctx, w.f, "Tx.Fence", func() (int64, error) { return w.tx.Fence(ctx, grant, claimNo, expires) })
}

func (w faultyTx) Upsert(ctx context.Context, s token.Session) (string, secret.Digest, error) {
	return w.minted(ctx, "Tx.Upsert", s, w.tx.Upsert)
}

func (w faultyTx) Replace(ctx context.Context, s token.Session) (string, secret.Digest, error) {
	return w.minted(ctx, "Tx.Replace", s, w.tx.Replace)
}

func (w faultyTx) minted(ctx context.Context, method string, s token.Session,
	act func(context.Context, token.Session) (string, secret.Digest, error),
) (string, secret.Digest, error) {
	var previous secret.Digest
	id, err := faulttest.Get(ctx, w.f, method, func() (id string, err error) { id, previous, err = act(ctx, s); return id, err })
	if err != nil {
		return "", secret.Digest{}, err
	}
	return id, previous, nil
}

func (w faultyTx) End(ctx context.Context, id string, reason token.Reason, now time.Time) (token.Ended, bool, error) {
	won := false
	ended, err := faulttest.Get(ctx, w.f, "Tx.End", func() (ended token.Ended, err error) {
		ended, won, err = w.tx.End(ctx, id, reason, now)
		return ended, err
	})
	return ended, won && err == nil, err
}

func (w faultyTx) EndAll(ctx context.Context, s token.Subject, but string, reason token.Reason, now time.Time) ([]token.Ended, error) {
	return faulttest.Get(ctx, w.f, "Tx.EndAll", func() ([]token.Ended, error) { return w.tx.EndAll(ctx, s, but, reason, now) })
}

func (w faultyTx) EndedSince(ctx context.Context, s token.Subject, since time.Time) ([]secret.Digest, error) {
	return faulttest.Get(ctx, w.f, "Tx.EndedSince", func() ([]secret.Digest, error) { return w.tx.EndedSince(ctx, s, since) })
}

func (w faultyTx) Append(ctx context.Context, events ...audit.Event) error {
	return w.f.Do(ctx, "Tx.Append", func() error { return w.tx.Append(ctx, events...) })
}
