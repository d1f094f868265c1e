// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Rows selects rows of the token registry. One of these forms is set: issuer and
// subject id; issuer and e-mail; connection; or an e-mail alone, which selects rows of
// people without an account, at whatever issuer.
type Rows struct {
	Issuer       string
	SubjectID    string
	Email        string
	ConnectionID string
}

// Store keeps what access consists of.
type Store interface {
	// InTx runs fn in one transaction. It returns token.ErrCommitUnknown when the
	// commit itself failed; any other error means that nothing was written.
	InTx(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
	// Linked gives the account that an identity is linked to, or an empty id.
	Linked(ctx context.Context, issuer, subjectID string) (accountID string, err error)
	// List gives one page of live sessions, newest first, and their number, both under
	// the same filter.
	List(ctx context.Context, f TokenFilter, now time.Time, offset, limit int) ([]token.Session, int, error)
	// ListAccounts gives one page of accounts, newest first, and their number, both
	// under the same filter.
	ListAccounts(ctx context.Context, f AccountFilter, offset, limit int) ([]account.Account, int, error)
}

// Tx is what a transaction can do, each method one statement. LockEpochs and BumpEpoch
// are those of token.Tx: mint and kill meet there.
type Tx interface {
	// LockEpochs takes the rows of the keys, creating those that are missing, in the
	// order given.
	LockEpochs(ctx context.Context, keys []string, now time.Time) (int64, error)
	// BumpEpoch adds one to a key's counter.
	BumpEpoch(ctx context.Context, key, reason string, now time.Time) error
	// Linked is Store's, as of this transaction.
	Linked(ctx context.Context, issuer, subjectID string) (accountID string, err error)
	// Unlink takes every identity of an issuer from its account and gives what it took.
	Unlink(ctx context.Context, issuer string) ([]Link, error)
	// Account reads an account as of this transaction, or returns account.ErrNotFound.
	Account(ctx context.Context, id string) (account.Account, error)
	// OtherAdministrators counts the active deployment administrators but the one named.
	OtherAdministrators(ctx context.Context, but string) (int, error)
	// AddAccount inserts an account. It returns ErrEmailTaken when another has its e-mail.
	AddAccount(ctx context.Context, a account.Account) error
	// SetAdministrator makes an account a deployment administrator, or one no more.
	SetAdministrator(ctx context.Context, id string, to bool, now time.Time) error
	// ReplacePassword sets an account's password hash, whatever it was.
	ReplacePassword(ctx context.Context, id, hash string, now time.Time) error
	// SetStatus changes an account's status.
	SetStatus(ctx context.Context, id string, status account.Status, now time.Time) error
	// DropUnaccepted deletes the memberships that an account was put down for and has
	// not accepted; the invitations to them stay.
	DropUnaccepted(ctx context.Context, accountID string) error
	// SetPassword replaces an active account's password hash if it is still old; ok is
	// false when it was not.
	SetPassword(ctx context.Context, id, old, hash string, now time.Time) (ok bool, err error)
	// EndTokens ends every live row of a selection.
	EndTokens(ctx context.Context, r Rows, reason token.Reason, now time.Time) ([]token.Ended, error)
	// EndToken ends one row if it is live. It returns token.ErrSessionNotFound for an
	// id that no row has; ok is false when the row had ended before.
	EndToken(ctx context.Context, id string, reason token.Reason, now time.Time) (ended token.Ended, ok bool, err error)
	// EndedSince gives the digests of rows of a selection that ended after a time.
	EndedSince(ctx context.Context, r Rows, since time.Time) ([]secret.Digest, error)
	// EndBrowser deletes one console session of an account; ok is false when the
	// account has no such session.
	EndBrowser(ctx context.Context, accountID, id string) (ok bool, err error)
	// EndBrowsers deletes every console session of an account and gives their number.
	EndBrowsers(ctx context.Context, accountID string) (int, error)
	// EndBrowsersOf deletes every console session that began through a connection.
	EndBrowsersOf(ctx context.Context, connectionID string) (int, error)
	// BeginBrowser inserts a console session.
	BeginBrowser(ctx context.Context, s console.Session) error
	// Append writes audit events in this transaction.
	Append(ctx context.Context, events ...audit.Event) error
}
