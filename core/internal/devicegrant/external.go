// SPDX-License-Identifier: Apache-2.0

package devicegrant

import (
	"context"
	"encoding/json"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// External is a person whom an identity provider vouches for, deciding.
type External struct {
	Issuer, ID, Email, Name string
	EmailVerified           bool
	ConnectionID            string
	Attempt                 string // the reference of the login
	AuthTime                int64  // seconds since 1970; zero when unsaid
	AMR                     []string
	ACR                     string
	// Epoch is the sum as of the person's return, not of the decision: what ended in
	// between ends the approval too.
	Epoch int64
	IP    string
}

// Subject is the person as token knows them.
func (e External) Subject() token.Subject {
	return token.Subject{Issuer: e.Issuer, ID: e.ID, Email: e.Email, ConnectionID: e.ConnectionID}
}

// ApproveExternal lets an external subject be signed in by whoever holds the device
// code of a grant. Like Approve it mints nothing. It returns ErrNotFound,
// ErrAlreadyResolved or a store failure.
func (s *Service) ApproveExternal(ctx context.Context, g Grant, by External) error {
	now := s.Now()
	kept, err := json.Marshal(stored{
		Kind: token.SubjectExternal, Issuer: by.Issuer, SubjectID: by.ID, Email: by.Email, EmailVerified: by.EmailVerified, Name: by.Name,
		ConnectionID: by.ConnectionID, Attempt: by.Attempt, AuthTime: by.AuthTime, AMR: by.AMR, ACR: by.ACR,
		Epoch: by.Epoch, ApprovedAt: now.UTC(), IP: by.IP,
	})
	if err != nil {
		return fault.ErrInternal.Because(err)
	}
	if err := s.move(ctx, g, Approved, kept, now); err != nil {
		return err
	}
	s.Recorder.Later(audit.New(ctx, now, audit.Anonymous, flowApproved{decided: by.decided(g)}).About(by.Subject().Key()))
	return nil
}

// DenyExternal refuses a grant. Errors as with ApproveExternal.
func (s *Service) DenyExternal(ctx context.Context, g Grant, by External) error {
	now := s.Now()
	if err := s.move(ctx, g, Denied, nil, now); err != nil {
		return err
	}
	s.Recorder.Later(audit.New(ctx, now, audit.Anonymous, flowDenied{decided: by.decided(g)}).About(by.Subject().Key()))
	return nil
}

// RefusedExternal records that an external subject may not have a token, before a
// decision.
func (s *Service) RefusedExternal(ctx context.Context, g Grant, by External, reason string) {
	s.Recorder.Later(audit.New(ctx, s.Now(), audit.Anonymous, by.rejected(g, reason)).About(by.Subject().Key()))
}

func (e External) decided(g Grant) decided {
	return decided{
		SubjectType: string(token.SubjectExternal), Email: e.Email, Issuer: e.Issuer, Subject: e.Subject().Key(), Connection: e.ConnectionID, Attempt: e.Attempt,
		ClientID: g.ClientID, Label: g.Label, StartedIP: g.CreatedIP,
	}
}

func (e External) rejected(g Grant, reason string) flowRejected {
	return flowRejected{
		Reason: reason, Subject: e.Subject().Key(), Issuer: e.Issuer, Email: e.Email, Connection: e.ConnectionID, Attempt: e.Attempt,
		ClientID: g.ClientID, Label: g.Label,
	}
}
