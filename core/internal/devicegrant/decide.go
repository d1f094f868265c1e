// SPDX-License-Identifier: Apache-2.0

package devicegrant

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Approver is the signed-in account that decides.
type Approver struct {
	AccountID        string
	Email            string
	Name             string
	WorkspaceID      string // the current one, which the page showed; may be empty
	ConsoleSessionID string
	IP               string
}

// Approve lets the approver's account be signed in by whoever holds the device
// code. No token exists afterwards: the poll that wins mints it. It returns
// ErrNotFound, ErrAlreadyResolved or a store failure.
func (s *Service) Approve(ctx context.Context, typed string, by Approver) error {
	subject := token.AccountSubject(by.AccountID, by.Email)
	// The epoch is read before the move: a kill between the two moves it on, and the
	// mint will find another sum.
	epoch, err := s.Minter.Epoch(ctx, subject)
	if err != nil {
		return err
	}
	now := s.Now()
	kept, err := json.Marshal(stored{AccountID: by.AccountID, Email: by.Email, Name: by.Name, WorkspaceID: by.WorkspaceID,
		ConsoleSessionID: by.ConsoleSessionID, Epoch: epoch, ApprovedAt: now.UTC(), IP: by.IP})
	if err != nil {
		return fault.ErrInternal.Because(err)
	}
	g, err := s.decide(ctx, typed, Approved, kept, now)
	if err != nil {
		return err
	}
	s.Recorder.Later(audit.New(ctx, now, audit.Account(by.AccountID), flowApproved{decided: by.decided(g)}).About(subject.Key()).Workspace(by.WorkspaceID))
	return nil
}

// Deny refuses a grant; any signed-in account that knows a code may. Errors as with
// Approve.
func (s *Service) Deny(ctx context.Context, typed string, by Approver) error {
	now := s.Now()
	g, err := s.decide(ctx, typed, Denied, nil, now)
	if err != nil {
		return err
	}
	s.Recorder.Later(audit.New(ctx, now, audit.Account(by.AccountID), flowDenied{decided: by.decided(g)}).About(token.AccountSubject(by.AccountID, by.Email).Key()))
	return nil
}

// decide finds the grant of a code and moves it.
func (s *Service) decide(ctx context.Context, typed string, to State, subject []byte, now time.Time) (Grant, error) {
	g, err := s.Find(ctx, typed)
	if err != nil {
		return Grant{}, err
	}
	return g, s.move(ctx, g, to, subject, now)
}

// move moves the grant once. When the store's answer was lost the move is asked for
// again with the same transition id, and finds itself done.
func (s *Service) move(ctx context.Context, g Grant, to State, subject []byte, now time.Time) error {
	d := Decision{Ref: g.Ref, To: to, Subject: subject, Transition: canon.NewID(), Now: now}
	err := s.Store.Decide(ctx, d)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrAlreadyResolved) && ctx.Err() == nil {
		err = s.Store.Decide(ctx, d)
	}
	if err == nil && to == Approved {
		s.Turned(TurnApproved)
	} else if err == nil {
		s.Turned(TurnDenied)
	}
	return fault.Store(err)
}

func (a Approver) decided(g Grant) decided {
	return decided{SubjectType: string(token.SubjectAccount), Email: a.Email, AccountID: a.AccountID, WorkspaceID: a.WorkspaceID,
		ClientID: g.ClientID, Label: g.Label, StartedIP: g.CreatedIP}
}

// refOf is the digest under which stores know a device code.
func refOf(deviceCode secret.Text) secret.Digest { return secret.DigestOf(deviceCode.Reveal()) }
