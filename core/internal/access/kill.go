// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Receipt says what a kill has done. An approval that was given before RefusedFrom and
// not redeemed yet is refused.
type Receipt struct {
	ID                   string    `json:"receipt_id"`
	TokensRevoked        int       `json:"tokens_revoked"`
	ConsoleSessionsEnded int       `json:"console_sessions_ended"`
	Accounts             []string  `json:"accounts"` // that were killed; never null
	RefusedFrom          time.Time `json:"grants_refused_from"`
}

// errMoved: the link of an identity changed between its reading and the locks.
var errMoved = errors.New("access: the identity's link has changed")

// moves is how often a link may change under a kill before it gives up.
const moves = 5

// Kill ends every token under the target's key and every browser of the accounts it
// names, and moves the epoch, so that no approval of before mints. An identity takes
// the account it is linked to along. Nothing found is a success too: the epoch has
// moved. A kill that returns fault.ErrUnavailable may have taken place; its repeat
// writes the tombstones again. It returns ErrTarget for what is no target, or a reason
// outside 1 to MaxReason characters.
func (s *Service) Kill(ctx context.Context, t Target, reason string, actor audit.Actor) (Receipt, error) {
	t, err := t.Check()
	if err != nil {
		return Receipt{}, err
	}
	reason, ok := canon.Text(reason, MaxReason)
	if !ok {
		return Receipt{}, ErrTarget
	}
	if t, err = s.ownAccount(ctx, t); err != nil {
		return Receipt{}, err
	}
	for range moves {
		linked, err := s.linked(ctx, t)
		if err != nil {
			return Receipt{}, err
		}
		var k kill
		buried, err := s.act(ctx, func(ctx context.Context, tx Tx, out *outcome) error {
			k = s.begin(out, token.ReasonSubjectRevoked, reason, actor)
			return k.run(ctx, tx, t, linked)
		})
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return Receipt{}, err
		}
		return k.receipt, buried
	}
	return Receipt{}, fault.ErrUnavailable.Because(errMoved)
}

// ownAccount turns a subject that is one of our own accounts into the account.
func (s *Service) ownAccount(ctx context.Context, t Target) (Target, error) {
	switch {
	case t.Issuer != token.AccountIssuer:
		return t, nil
	case canon.IsID(t.SubjectID):
		return Target{AccountID: t.SubjectID}, nil
	case t.Email == "":
		return t, nil // nobody's: its epoch moves all the same
	}
	a, err := s.Accounts.ByEmail(ctx, t.Email)
	if errors.Is(err, account.ErrNotFound) {
		return t, nil
	}
	return Target{AccountID: a.ID}, fault.Store(err)
}

func (s *Service) linked(ctx context.Context, t Target) (string, error) {
	if t.SubjectID == "" {
		return "", nil
	}
	id, err := s.Store.Linked(ctx, t.Issuer, t.SubjectID)
	return id, fault.Store(err)
}

// kill is one kill under way.
type kill struct {
	receipt Receipt
	out     *outcome
	now     time.Time
	reason  token.Reason // of the rows
	cause   string       // in the words of whoever asked
	actor   audit.Actor
}

func (s *Service) begin(out *outcome, reason token.Reason, cause string, actor audit.Actor) kill {
	now := s.now()
	return kill{
		receipt: Receipt{ID: canon.NewID(), Accounts: []string{}, RefusedFrom: now},
		out:     out, now: now, reason: reason, cause: cause, actor: actor,
	}
}

// run kills a target and the account it was found to be linked to. Every key is locked
// before anything is read, for the link may have changed meanwhile.
func (k *kill) run(ctx context.Context, tx Tx, t Target, linked string) error {
	named, rows := t.key()
	keys := []string{named}
	if linked != "" {
		keys = append(keys, token.AccountKey(linked))
	}
	if _, err := tx.LockEpochs(ctx, token.LockOrder(keys...), k.now); err != nil {
		return err
	}
	if t.SubjectID != "" {
		again, err := tx.Linked(ctx, t.Issuer, t.SubjectID)
		if err != nil {
			return err
		}
		if again != linked {
			return errMoved
		}
	}
	if t.AccountID != "" {
		return k.account(ctx, tx, t.AccountID)
	}
	how, _ := t.form()
	if err := k.under(ctx, tx, named, how, rows, func() (int, error) {
		if t.ConnectionID == "" {
			return 0, nil
		}
		return tx.EndBrowsersOf(ctx, t.ConnectionID)
	}); err != nil || linked == "" {
		return err
	}
	return k.account(ctx, tx, linked)
}

// account kills an account, whose key is locked.
func (k *kill) account(ctx context.Context, tx Tx, id string) error {
	err := k.under(ctx, tx, token.AccountKey(id), byAccount, rowsOf(id), func() (int, error) { return tx.EndBrowsers(ctx, id) })
	if err != nil {
		return err
	}
	switch _, err := tx.Account(ctx, id); {
	case errors.Is(err, account.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	k.receipt.Accounts = append(k.receipt.Accounts, id)
	return nil
}

// under ends what stands under one key and moves it.
func (k *kill) under(ctx context.Context, tx Tx, key string, how form, rows Rows, endBrowsers func() (int, error)) error {
	if err := tx.BumpEpoch(ctx, key, string(k.reason), k.now); err != nil {
		return err
	}
	ended, err := k.tokens(ctx, tx, rows)
	if err != nil {
		return err
	}
	browsers, err := endBrowsers()
	if err != nil {
		return err
	}
	k.receipt.ConsoleSessionsEnded += browsers
	k.out.events = append(k.out.events, audit.New(ctx, k.now, k.actor, subjectRevoked{
		SubjectKey: key, By: how, TokensRevoked: ended, ConsoleSessionsEnded: browsers, ReceiptID: k.receipt.ID, Reason: k.reason, Cause: k.cause,
	}).About(key))
	return nil
}

// tokens ends the live rows of a selection.
func (k *kill) tokens(ctx context.Context, tx Tx, rows Rows) (int, error) {
	ended, err := tx.EndTokens(ctx, rows, k.reason, k.now)
	if err != nil {
		return 0, err
	}
	k.receipt.TokensRevoked += len(ended)
	k.out.events = append(k.out.events, token.Revocations(ctx, k.now, k.actor, k.reason, k.receipt.ID, ended...)...)
	return len(ended), k.again(ctx, tx, rows)
}

// again notes the tombstones that are due: of what has just ended, and of what ended a
// moment ago, whose own may not have been written.
func (k *kill) again(ctx context.Context, tx Tx, rows Rows) error {
	late, err := tx.EndedSince(ctx, rows, k.now.Add(-token.BuriedFor))
	k.out.bury = append(k.out.bury, late...)
	return err
}
