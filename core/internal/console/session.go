// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// How says by what act a session began.
type How string

// The ways in which a session begins.
const (
	HowSetup    How = "setup"
	HowPassword How = "password"
	// HowActivation: an invited person has set a password.
	HowActivation How = "activation"
)

// touchEvery is the least time between two writes of a session's last sight.
const touchEvery = time.Minute

// Session is a signed-in browser. Its cookie's value is stored as a digest alone.
type Session struct {
	ID         string
	AccountID  string
	TokenHash  secret.Digest
	CreatedAt  time.Time
	LastSeenAt time.Time
	ExpiresAt  time.Time
	Remember   bool
	How        How
	AuthAt     time.Time
	IP         string
	UserAgent  string
}

// Signed is a live session together with its account.
type Signed struct {
	Session Session
	Account account.Account
}

// Issued is a session that has just begun. Cookie is the only place where its value
// is.
type Issued struct {
	Signed
	Cookie secret.Text
}

// Failures of sign-in and sessions.
var (
	// ErrUnauthorized: there is no live console session.
	ErrUnauthorized = fault.New(fault.Unauthenticated, "unauthorized", "Sign in first.")
	// ErrInvalidCredentials is the one refusal of a sign-in, whatever the reason.
	ErrInvalidCredentials = fault.New(fault.Unauthenticated, "invalid_credentials", "E-mail or password is not right.")
	// ErrSessionNotFound: the account has no such session.
	ErrSessionNotFound = fault.New(fault.NotFound, "session_not_found", "No such session.")
	// ErrUnknown is returned by a Store for a digest that no row holds.
	ErrUnknown = fault.New(fault.NotFound, "not_found", "No such console session.")
)

// Store keeps console sessions. Methods that take events write them in the same
// transaction as the change.
type Store interface {
	// Begin inserts a session, deletes the one it replaces (by digest, zero for none),
	// and records a sign-in on the account (last_login_at, last_login_ip).
	Begin(ctx context.Context, s Session, replaces secret.Digest, events ...audit.Event) error
	// ByDigest returns the session and its account, or ErrUnknown. Expiry is the
	// caller's to judge.
	ByDigest(ctx context.Context, d secret.Digest) (Signed, error)
	// Touch sets last_seen_at.
	Touch(ctx context.Context, id string, now time.Time) error
	// List gives an account's rows, newest first; expired ones included.
	List(ctx context.Context, accountID string) ([]Session, error)
	// End deletes one of the account's sessions, and moves the account's epoch when
	// bump is not empty. It returns ErrUnknown when the account has no such row.
	End(ctx context.Context, accountID, id, bump string, now time.Time, events ...audit.Event) error
	// EndOthers deletes all of the account's sessions but one, moves the epoch, and
	// gives their number.
	EndOthers(ctx context.Context, accountID, but, bump string, now time.Time, events ...audit.Event) (int, error)
}
