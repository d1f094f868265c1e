// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Session is one row of the token registry: what the client calls a device. Its id
// is stable over a re-login of the same subject, client and label.
type Session struct {
	ID          string
	Subject     Subject
	WorkspaceID string // of the approval; empty when there was none
	ClientID    string
	Label       string
	Prefix      string
	TokenHash   secret.Digest
	CreatedAt   time.Time
	ExpiresAt   time.Time
	ApprovedAt  time.Time
	LastUsedAt  *time.Time
	CreatedIP   string
	LastUsedIP  string
	// GrantRef is the digest of the device code whose approval minted the present
	// credential.
	GrantRef secret.Digest
}

// Reason says why a session ended.
type Reason string

// The reasons of an end.
const (
	ReasonLogout             Reason = "logout"
	ReasonUser               Reason = "user"
	ReasonAdmin              Reason = "admin"
	ReasonExpired            Reason = "expired"
	ReasonSubjectChanged     Reason = "subject_changed"
	ReasonSubjectRevoked     Reason = "subject_revoked"
	ReasonAccountInactive    Reason = "account_inactive"
	ReasonEmailBecameAccount Reason = "email_became_account"
	ReasonRFC7009            Reason = "rfc7009"
)

// Ended is a session that a statement has just ended.
type Ended struct {
	ID       string
	Previous secret.Digest // the hash that no longer resolves
	Subject  Subject
	ClientID string
}

// Resolved is a live row together with the account it belongs to.
type Resolved struct {
	Session       Session
	AccountStatus account.Status // of the account, empty when the row has none
	AccountName   string
}

// Failures of the registry.
var (
	// ErrSessionNotFound: no live session of this subject has that id.
	ErrSessionNotFound = fault.New(fault.NotFound, "session_not_found", "No such session.")
	// ErrUnknown is returned by a Store for a digest that no live row holds.
	ErrUnknown = fault.New(fault.NotFound, "not_found", "No such token.")
	// ErrHashTaken is returned by a Tx whose new token hash exists already.
	ErrHashTaken = fault.New(fault.Conflict, "conflict", "Token hash taken.")
	// ErrCommitUnknown: the transaction's commit failed and may have taken effect.
	ErrCommitUnknown = fault.New(fault.Unavailable, "service_unavailable", "The service cannot answer right now. Try again shortly.").RetryAfter(15 * time.Second)
)

// Store keeps the registry and the epochs.
type Store interface {
	// InTx runs fn in one transaction, from its start again when that lost against
	// another one: fn sets anew what it sets outside of itself. It returns
	// ErrCommitUnknown when nobody knows whether the commit took effect; any other error
	// means that nothing was written.
	InTx(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
	// ByDigest finds the row that is not revoked by the token's digest, together
	// with its account, or returns ErrUnknown. Expiry is the caller's to judge.
	ByDigest(ctx context.Context, digest secret.Digest) (Resolved, error)
	// List gives one page of a subject's live sessions, newest first, and their
	// number, both under the same filter.
	List(ctx context.Context, s Subject, now time.Time, offset, limit int) ([]Session, int, error)
	// Find gives a subject's own session by id, ended ones included, and whether it
	// is live, or ErrSessionNotFound.
	Find(ctx context.Context, s Subject, id string) (session Session, live bool, err error)
	// Epochs adds the counters of the keys, unknown ones counting as zero, and says when
	// one of them last moved; zero where none ever has.
	Epochs(ctx context.Context, keys []string) (sum int64, moved time.Time, err error)
	// TouchUsed sets the last use of many sessions in one transaction. Passed over are
	// a use from before the present credential was minted, one that is less than
	// UsageEvery after what is on record (another process may have written that) or
	// older, and one of an unknown session.
	TouchUsed(ctx context.Context, uses []Use) error
}

// Use is one recorded use of a session.
type Use struct {
	ID string
	At time.Time
	IP string
}

// Tx is what a transaction of the registry can do, each method one statement.
type Tx interface {
	// LockEpochs takes the rows of the keys, creating those that are missing, and
	// gives the sum of their counters. Keys are locked in the order given.
	LockEpochs(ctx context.Context, keys []string, now time.Time) (int64, error)
	// BumpEpoch adds one to a key's counter.
	BumpEpoch(ctx context.Context, key, reason string, now time.Time) error
	// Account reads an account as of this transaction, or returns
	// account.ErrNotFound.
	Account(ctx context.Context, id string) (account.Account, error)
	// External says, as of this transaction, what keeps a person without an account
	// from a token: an active account has their e-mail, or their identity is linked to
	// an account.
	External(ctx context.Context, s Subject) (emailIsAccount, linked bool, err error)
	// EndChanged ends live rows that say the same person was somebody else: same
	// e-mail and issuer with another subject id, or the same subject, client and
	// label with another e-mail.
	EndChanged(ctx context.Context, s Session, now time.Time) ([]Ended, error)
	// Fence records the claim and gives how often the grant has been minted from,
	// this time included; zero means that a later claim has minted already.
	Fence(ctx context.Context, grant secret.Digest, claimNo int64, expires time.Time) (mints int64, err error)
	// Upsert inserts the session or rotates the live row of the same identity,
	// client and label in place. It gives the stable id and the hash it replaced.
	Upsert(ctx context.Context, s Session) (id string, previous secret.Digest, err error)
	// Replace rotates the live row that this very grant minted, and no other. It
	// returns ErrUnknown when that row has ended or belongs to another grant.
	Replace(ctx context.Context, s Session) (id string, previous secret.Digest, err error)
	// End ends one row if it is live. For a row that had ended before, ok is false and
	// ended says what it was; an unknown one gives zeros.
	End(ctx context.Context, id string, reason Reason, now time.Time) (ended Ended, ok bool, err error)
	// EndedSince gives the hashes that a subject's rows lost by ending after a time.
	EndedSince(ctx context.Context, s Subject, since time.Time) ([]secret.Digest, error)
	// EndAll ends every live row of a subject but the one named, which may be empty.
	EndAll(ctx context.Context, s Subject, but string, reason Reason, now time.Time) ([]Ended, error)
	// Append writes audit events in this transaction.
	Append(ctx context.Context, events ...audit.Event) error
}
