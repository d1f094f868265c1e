// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Question is what an external subject decides about.
type Question struct {
	Approval
	Grant devicegrant.Grant
	// ExpiresAt is the earlier end of the approval grant and the device grant.
	ExpiresAt time.Time
}

// Context gives the question of an approval grant. It changes nothing. It returns
// ErrNoSession, ErrCodeGone, ErrCodeResolved or a store failure.
func (s *Service) Context(_ context.Context, _ secret.Text) (Question, error) {
	panic("later in this branch")
}

// Decision answers the question.
type Decision struct {
	UserCode string // as presented
	Allow    bool
	// Unconfirmed: a link brought the code, and the form does not say that the device
	// shows it.
	Unconfirmed bool
	IP          string
}

// Decide moves the device grant, once. It returns ErrCodeMismatch,
// ErrConfirmationRequired, ErrCodeGone, ErrCodeResolved, ErrEmailIsAccount,
// ErrIdentityLinked, ErrInvalidSession or a store failure, after which the same approval
// grant may be tried again.
func (s *Service) Decide(_ context.Context, _ Approval, _ Decision) error {
	panic("later in this branch")
}
