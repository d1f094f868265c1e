// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Status is the life of an account: only an active one signs in, approves or
// holds a live token.
type Status string

// The statuses of an account.
const (
	Pending Status = "pending"
	Active  Status = "active"
	Banned  Status = "banned"
	Closed  Status = "closed"
)

// Account is a person who signs in at core.
type Account struct {
	ID    string
	Email string // canonical, see canon.Email
	Name  string
	// PasswordHash is empty for an account that cannot sign in by password.
	PasswordHash      string
	Status            Status
	DeploymentAdmin   bool
	InterfaceLanguage string
	Timezone          string
	LastLoginAt       *time.Time
	LastLoginIP       string
	CreatedAt         time.Time
	UpdatedAt         time.Time
}

// ErrNotFound is returned by a Store for an account that does not exist.
var ErrNotFound = fault.New(fault.NotFound, "not_found", "No such account.")

// Store reads and changes accounts.
type Store interface {
	// ByID returns ErrNotFound for an unknown id.
	ByID(ctx context.Context, id string) (Account, error)
	// ByEmail takes a canonical address and returns ErrNotFound for an unknown one.
	ByEmail(ctx context.Context, email string) (Account, error)
	// SetPasswordHash replaces the hash if it is still old, so that a rehash at
	// sign-in never undoes a password change.
	SetPasswordHash(ctx context.Context, id, old, hash string, now time.Time) error
}

// MayHoldTokens reports whether sessions of such an account are live: those of an
// active one alone.
func (s Status) MayHoldTokens() bool { return s == Active }
