// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Refusals of an operator's acts on accounts.
var (
	// ErrEmailTaken: an e-mail belongs to one account, whatever its status.
	ErrEmailTaken = fault.New(fault.Conflict, "email_taken", "An account has this e-mail already, and nothing was done.").
			Hinted("\"core admin list-accounts --email\" shows it; set-status and set-password change it.")
	// ErrNotActive: a mark that only an active account can use is not given to another.
	ErrNotActive = fault.New(fault.Conflict, "account_not_active", "The account is not active, and nothing was done. Set it to active first.")
)

// NewAccount is an account that an operator makes; its fields have been bounded.
type NewAccount struct {
	Email    string // canonical
	Name     string
	Password secret.Text
}

// AccountMade says what the making of an account has done. The receipt tells of people
// without an account whose e-mail it took over.
type AccountMade struct {
	AccountID string  `json:"account_id"`
	Email     string  `json:"email"`
	Receipt   Receipt `json:"receipt"`
}

// CreateAccount makes an active account, a member of no workspace. As with every account
// that becomes active, live tokens of people who had its e-mail without an account end
// and the e-mail's epoch moves, in the same transaction. It returns ErrEmailTaken, one of
// account.ErrPassword…, or a 503 as Kill does.
func (s *Service) CreateAccount(ctx context.Context, n NewAccount, actor audit.Actor) (AccountMade, error) {
	hash, err := s.hash(ctx, n.Password, n.Email)
	if err != nil {
		return AccountMade{}, err
	}
	a := account.Account{ID: canon.NewID(), Email: n.Email, Name: n.Name, PasswordHash: hash, Status: account.Active}
	made := AccountMade{AccountID: a.ID, Email: a.Email}
	buried, err := s.act(ctx, func(ctx context.Context, tx Tx, out *outcome) error {
		k := s.begin(out, token.ReasonEmailBecameAccount, "", actor)
		key, email := token.AccountKey(a.ID), token.EmailKey(a.Email)
		if _, err := tx.LockEpochs(ctx, token.LockOrder(key, email), k.now); err != nil {
			return err
		}
		a.CreatedAt, a.UpdatedAt = k.now, k.now
		if err := tx.AddAccount(ctx, a); err != nil {
			return err
		}
		out.events = append(out.events, audit.New(ctx, k.now, actor,
			accountCreated{AccountID: a.ID, Email: a.Email, Status: a.Status, ReceiptID: k.receipt.ID}).About(key))
		err := k.under(ctx, tx, email, byEmail, Rows{Email: a.Email}, func() (int, error) { return 0, nil })
		made.Receipt = k.receipt
		return err
	})
	if err != nil {
		return AccountMade{}, err
	}
	return made, buried
}

// hash judges a new password and hashes it.
func (s *Service) hash(ctx context.Context, password secret.Text, email string) (string, error) {
	if err := s.Passwords.Check(password, email); err != nil {
		return "", err
	}
	hash, err := s.Passwords.Hash(ctx, password)
	return hash, fault.Store(err)
}

// PasswordSet says what became of an account whose password was set.
type PasswordSet struct {
	AccountID string         `json:"account_id"`
	Email     string         `json:"email"`
	Status    account.Status `json:"status"`
	Receipt   Receipt        `json:"receipt"`
}

// SetPassword gives an account another password without asking for the old one. Every
// browser of it is signed out and the epoch moves, so that an approval given before is
// refused; tokens end only if that is asked for. It returns account.ErrNotFound, one of
// account.ErrPassword…, or a 503 as Kill does.
func (s *Service) SetPassword(ctx context.Context, who string, password secret.Text, revokeTokens bool, actor audit.Actor) (PasswordSet, error) {
	a, err := s.find(ctx, who)
	if err != nil {
		return PasswordSet{}, err
	}
	hash, err := s.hash(ctx, password, a.Email)
	if err != nil {
		return PasswordSet{}, err
	}
	var set PasswordSet
	buried, err := s.act(ctx, func(ctx context.Context, tx Tx, out *outcome) error {
		k := s.begin(out, token.ReasonAdmin, "", actor)
		key := token.AccountKey(a.ID)
		if _, err := tx.LockEpochs(ctx, token.LockOrder(key), k.now); err != nil {
			return err
		}
		now, err := tx.Account(ctx, a.ID) // as it is under the lock
		if err != nil {
			return err
		}
		// Whatever the old one is: nobody need know it, and of two operators the later wins.
		if err := tx.ReplacePassword(ctx, a.ID, hash, k.now); err != nil {
			return err
		}
		if k.receipt.ConsoleSessionsEnded, err = tx.EndBrowsers(ctx, a.ID); err != nil {
			return err
		}
		if err := tx.BumpEpoch(ctx, key, "password_changed", k.now); err != nil {
			return err
		}
		if revokeTokens {
			if _, err := k.tokens(ctx, tx, rowsOf(a.ID)); err != nil {
				return err
			}
		}
		out.events = append(out.events, audit.New(ctx, k.now, actor, passwordChanged{
			AccountID: a.ID, ConsoleSessionsEnded: k.receipt.ConsoleSessionsEnded, TokensRevoked: k.receipt.TokensRevoked,
		}).About(key))
		set = PasswordSet{AccountID: a.ID, Email: now.Email, Status: now.Status, Receipt: k.receipt}
		return nil
	})
	if err != nil {
		return PasswordSet{}, err
	}
	return set, buried
}

// AdministratorChange says whether an account administers the deployment now, and
// whether that is new.
type AdministratorChange struct {
	AccountID     string `json:"account_id"`
	Email         string `json:"email"`
	Administrator bool   `json:"deployment_admin"`
	Changed       bool   `json:"changed"`
}

// SetAdministrator makes an active account a deployment administrator, or one no more.
// It returns account.ErrNotFound, ErrNotActive, ErrLastAdministrator or a 503.
func (s *Service) SetAdministrator(ctx context.Context, who string, to bool, actor audit.Actor) (AdministratorChange, error) {
	a, err := s.find(ctx, who)
	if err != nil {
		return AdministratorChange{}, err
	}
	var change AdministratorChange
	_, err = s.act(ctx, func(ctx context.Context, tx Tx, out *outcome) error {
		now, key := s.now(), token.AccountKey(a.ID)
		if _, err := tx.LockEpochs(ctx, token.LockOrder(key, administrators), now); err != nil {
			return err
		}
		a, err := tx.Account(ctx, a.ID) // as it is under the locks
		if err != nil {
			return err
		}
		change = AdministratorChange{AccountID: a.ID, Email: a.Email, Administrator: to, Changed: a.DeploymentAdmin != to}
		switch {
		case !change.Changed:
			return nil
		case to && a.Status != account.Active:
			return ErrNotActive
		case !to && a.Status == account.Active:
			others, err := tx.OtherAdministrators(ctx, a.ID)
			if err != nil {
				return err
			}
			if others == 0 {
				return ErrLastAdministrator
			}
		}
		var event audit.Details = administratorGranted{AccountID: a.ID}
		if !to {
			event = administratorRevoked{AccountID: a.ID}
		}
		out.events = append(out.events, audit.New(ctx, now, actor, event).About(key))
		return tx.SetAdministrator(ctx, a.ID, to, now)
	})
	if err != nil {
		return AdministratorChange{}, err
	}
	return change, nil
}

// AccountFilter says which accounts are listed: those of an e-mail, of a status, or,
// when empty, all.
type AccountFilter struct {
	Email  string
	Status account.Status
}

// AccountEntry is an account as an operator sees it: everything but the password.
type AccountEntry struct {
	ID              string         `json:"id"`
	Email           string         `json:"email"`
	Name            string         `json:"name"`
	Status          account.Status `json:"status"`
	DeploymentAdmin bool           `json:"deployment_admin"`
	HasPassword     bool           `json:"has_password"`
	LastLoginAt     *time.Time     `json:"last_login_at"`
	LastLoginIP     string         `json:"last_login_ip,omitempty"`
	CreatedAt       time.Time      `json:"created_at"`
	UpdatedAt       time.Time      `json:"updated_at"`
}

// AccountPage is one page of accounts, newest first.
type AccountPage struct {
	Page    int            `json:"page"`
	Limit   int            `json:"limit"`
	Total   int            `json:"total"`
	HasMore bool           `json:"has_more"`
	Data    []AccountEntry `json:"data"` // never null
}

// ListAccounts gives a page (from 1) of at most limit accounts (1 to MaxPage). It
// returns ErrTarget for a page, limit or filter that nothing can fit.
func (s *Service) ListAccounts(ctx context.Context, f AccountFilter, page, limit int) (AccountPage, error) {
	if email, ok := canon.Email(f.Email); ok {
		f.Email = email
	} else if f.Email != "" {
		return AccountPage{}, ErrTarget
	}
	switch f.Status {
	case "", account.Pending, account.Active, account.Banned, account.Closed:
	default:
		return AccountPage{}, ErrTarget
	}
	if page < 1 || page > maxPages || limit < 1 || limit > MaxPage {
		return AccountPage{}, ErrTarget
	}
	list, total, err := s.Store.ListAccounts(ctx, f, (page-1)*limit, limit)
	if err != nil {
		return AccountPage{}, fault.Store(err)
	}
	out := AccountPage{Page: page, Limit: limit, Total: total, HasMore: page*limit < total, Data: make([]AccountEntry, 0, len(list))}
	for _, a := range list {
		out.Data = append(out.Data, AccountEntry{
			ID: a.ID, Email: a.Email, Name: a.Name, Status: a.Status, DeploymentAdmin: a.DeploymentAdmin, HasPassword: a.PasswordHash != "",
			LastLoginAt: a.LastLoginAt, LastLoginIP: a.LastLoginIP, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
		})
	}
	return out, nil
}
