// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Refusals of a change of status.
var (
	// ErrStatus: an account is set to active, banned or closed.
	ErrStatus = fault.New(fault.Invalid, "bad_request", "An account is set to active, banned or closed.")
	// ErrLastAdministrator keeps a deployment from losing everybody who administers it.
	ErrLastAdministrator = fault.New(fault.Conflict, "last_administrator",
		"This is the last active deployment administrator. Make another account one first.")
)

// StatusChange says what a change of status has done.
type StatusChange struct {
	AccountID string         `json:"account_id"`
	Email     string         `json:"email"`
	From      account.Status `json:"from"`
	To        account.Status `json:"to"`
	// Changed is false when the account had that status before.
	Changed bool `json:"changed"`
	// Receipt tells of the kill of an account that is not active any more, and of the
	// people without an account whose e-mail became one's.
	Receipt Receipt `json:"receipt"`
}

// administrators is the key whose lock makes losing an administrator serial.
var administrators = token.AccountKey("deployment administrators")

// SetStatus changes the status of an account, which is named by its id or e-mail. One
// that is banned or closed is killed in the same transaction. One that becomes active
// takes its e-mail over: live tokens of people who have it without an account end. The
// same status again changes nothing and writes the tombstones again. It returns
// account.ErrNotFound, ErrStatus, ErrLastAdministrator, or a 503 as Kill does.
func (s *Service) SetStatus(ctx context.Context, who string, status account.Status, actor audit.Actor) (StatusChange, error) {
	if status != account.Active && status != account.Banned && status != account.Closed {
		return StatusChange{}, ErrStatus
	}
	a, err := s.find(ctx, who)
	if err != nil {
		return StatusChange{}, err
	}
	var change StatusChange
	buried, err := s.act(ctx, func(ctx context.Context, tx Tx, out *outcome) (err error) {
		reason := token.ReasonAccountInactive
		if status == account.Active {
			reason = token.ReasonEmailBecameAccount
		}
		k := s.begin(out, reason, "", actor)
		change, err = k.status(ctx, tx, a, status)
		return err
	})
	if err != nil {
		return StatusChange{}, err
	}
	return change, buried
}

// find takes an id or an e-mail.
func (s *Service) find(ctx context.Context, who string) (account.Account, error) {
	if canon.IsID(who) {
		a, err := s.Accounts.ByID(ctx, who)
		return a, fault.Store(err)
	}
	email, ok := canon.Email(who)
	if !ok {
		return account.Account{}, account.ErrNotFound
	}
	a, err := s.Accounts.ByEmail(ctx, email)
	return a, fault.Store(err)
}

func (k *kill) status(ctx context.Context, tx Tx, a account.Account, to account.Status) (StatusChange, error) {
	none := StatusChange{}
	key, email := token.AccountKey(a.ID), token.EmailKey(a.Email)
	if _, err := tx.LockEpochs(ctx, token.LockOrder(key, email, administrators), k.now); err != nil {
		return none, err
	}
	a, err := tx.Account(ctx, a.ID) // as it is under the locks
	if err != nil {
		return none, err
	}
	change := StatusChange{AccountID: a.ID, Email: a.Email, From: a.Status, To: to, Changed: a.Status != to}
	if !change.Changed {
		err := k.again(ctx, tx, k.rows(a, to))
		change.Receipt = k.receipt
		return change, err
	}
	if to != account.Active && a.DeploymentAdmin && a.Status == account.Active {
		others, err := tx.OtherAdministrators(ctx, a.ID)
		if err != nil {
			return none, err
		}
		if others == 0 {
			return none, ErrLastAdministrator
		}
	}
	if err := tx.SetStatus(ctx, a.ID, to, k.now); err != nil {
		return none, err
	}
	k.out.events = append(k.out.events, audit.New(ctx, k.now, k.actor,
		statusChanged{AccountID: a.ID, From: a.Status, To: to, ReceiptID: k.receipt.ID}).About(key))
	if to == account.Active {
		err = k.active(ctx, tx, a)
	} else {
		err = k.account(ctx, tx, a.ID)
	}
	change.Receipt = k.receipt
	return change, err
}

// active ends what stands against an account that becomes active: tokens of people who
// have its e-mail without an account, and memberships that others put it down for. The
// keys of KeysOf are locked, and the account has its new status.
func (k *kill) active(ctx context.Context, tx Tx, a account.Account) error {
	if err := tx.DropUnaccepted(ctx, a.ID); err != nil {
		return err
	}
	return k.under(ctx, tx, token.EmailKey(a.Email), byEmail, k.rows(a, account.Active), func() (int, error) {
		// A sign-in that overlapped a ban may have begun one that nothing accepts yet.
		return tx.EndBrowsers(ctx, a.ID)
	})
}

// rows are those that end when an account gets a status.
func (k *kill) rows(a account.Account, to account.Status) Rows {
	if to == account.Active {
		return Rows{Email: a.Email}
	}
	return rowsOf(a.ID)
}
