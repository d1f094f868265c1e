// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
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
func (s *Service) Context(ctx context.Context, cookie secret.Text) (Question, error) {
	a, ok := s.Open(cookie)
	if !ok {
		return Question{}, ErrNoSession
	}
	g, err := s.pending(ctx, a)
	if err != nil {
		return Question{}, err
	}
	q := Question{Approval: a, Grant: g, ExpiresAt: a.Until}
	if g.ExpiresAt.Before(q.ExpiresAt) {
		q.ExpiresAt = g.ExpiresAt
	}
	return q, nil
}

// pending finds the device grant that an approval grant names. Its user code alone does
// not name one: another grant may have drawn it since.
func (s *Service) pending(ctx context.Context, a Approval) (devicegrant.Grant, error) {
	g, err := s.Devices.Find(ctx, a.claims.UserCode)
	switch {
	case errors.Is(err, devicegrant.ErrNotFound), err == nil && gid(g.Ref) != a.claims.GrantID:
		return devicegrant.Grant{}, ErrCodeGone
	case err != nil:
		return devicegrant.Grant{}, err
	case g.State != devicegrant.Pending:
		return devicegrant.Grant{}, ErrCodeResolved
	}
	return g, nil
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
func (s *Service) Decide(ctx context.Context, a Approval, d Decision) error {
	code, ok := canon.UserCode(d.UserCode)
	switch {
	case !ok || code != a.claims.UserCode:
		return ErrCodeMismatch
	case d.Allow && d.Unconfirmed:
		return ErrConfirmationRequired
	}
	g, err := s.pending(ctx, a)
	if err != nil {
		return err
	}
	by := a.external(d.IP)
	if !d.Allow {
		return decided(s.Devices.DenyExternal(ctx, g, by))
	}
	if err := s.mayApprove(ctx, g, a, by); err != nil {
		return err
	}
	return decided(s.Devices.ApproveExternal(ctx, g, by))
}

// mayApprove asks again what Complete asked, for it was up to five minutes ago. The
// mint asks once more: an approval has no lock over the subject.
func (s *Service) mayApprove(ctx context.Context, g devicegrant.Grant, a Approval, by devicegrant.External) error {
	err := s.Subjects.External(ctx, a.Subject())
	if refused, ok := errors.AsType[*token.RefusedError](err); ok {
		s.Devices.RefusedExternal(ctx, g, by, refused.Reason)
		if refused.Reason == token.ReasonIdentityLinked {
			return ErrIdentityLinked
		}
		return ErrEmailIsAccount
	}
	if err != nil {
		return err
	}
	sum, _, err := s.Subjects.Epochs(ctx, a.Subject())
	switch {
	case err != nil:
		return err
	case sum != a.claims.Epoch:
		s.Devices.RefusedExternal(ctx, g, by, reasonEpoch)
		return ErrInvalidSession
	}
	return nil
}

// reasonEpoch is what package token says of a subject whose access was ended.
const reasonEpoch = "epoch"

// decided gives a lost race the words of these routes.
func decided(err error) error {
	if errors.Is(err, devicegrant.ErrAlreadyResolved) || errors.Is(err, devicegrant.ErrNotFound) {
		return ErrCodeResolved
	}
	return err
}
