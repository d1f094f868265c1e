// SPDX-License-Identifier: Apache-2.0

package devicegrant

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// mintRetry is what a poll is told when the mint failed before its commit.
const mintRetry = 5 * time.Second

// Redeemed is the answer to the poll that won.
type Redeemed struct {
	token.Minted
	Workspaces []workspace.Membership // none archived
	Default    string                 // id of the workspace to start in, or empty
}

// PollRequest is a device access token request (RFC 8628 section 3.4).
type PollRequest struct {
	DeviceCode secret.Text
	ClientID   string
	IP         string
}

// Poll answers a client that asks for its token: a Redeemed, or one of the verdicts
// ErrAuthorizationPending, ErrSlowDown, ErrExpiredToken, ErrAccessDenied and
// ErrInvalidGrant. A store that cannot be asked is never a verdict.
func (s *Service) Poll(ctx context.Context, r PollRequest) (Redeemed, error) {
	if !ValidDeviceCode(r.DeviceCode) {
		return Redeemed{}, ErrExpiredToken
	}
	ref := refOf(r.DeviceCode)
	p := Poll{Ref: ref, ClientID: r.ClientID, Owner: canon.NewID(), Now: s.Now()}
	result, g, err := s.Store.Poll(ctx, p)
	if err != nil && ctx.Err() == nil { // its reply may be lost: the same owner finds what it did
		result, g, err = s.Store.Poll(ctx, p)
	}
	if err != nil {
		s.forgetPoll(ctx, ref)
		return Redeemed{}, fault.Store(err)
	}
	switch result {
	case PollOtherClient:
		return Redeemed{}, ErrInvalidGrant
	case PollTooSoon:
		return Redeemed{}, ErrSlowDown
	case PollPending:
		return Redeemed{}, ErrAuthorizationPending
	case PollDenied:
		return Redeemed{}, ErrAccessDenied
	case PollClaimed:
		redeemed, err := s.redeem(ctx, g, r.IP)
		if err != nil {
			if k := fault.Of(err).Kind(); k == fault.Unavailable || k == fault.Internal {
				s.forgetPoll(ctx, ref)
			}
		}
		return redeemed, err
	default:
		return Redeemed{}, ErrExpiredToken
	}
}

// forgetPoll spares the client's prompt retry after a 5xx a slow_down. Best effort.
func (s *Service) forgetPoll(ctx context.Context, ref secret.Digest) {
	_ = s.Store.ForgetPoll(context.WithoutCancel(ctx), ref)
}

// redeem mints from a claimed grant and deletes it. The work has a deadline that
// ends before the lease, and calls no other service.
func (s *Service) redeem(ctx context.Context, g Grant, ip string) (Redeemed, error) {
	work, cancel := context.WithTimeout(ctx, RedeemLimit)
	defer cancel()
	// What settles the claim must happen even when the client has left.
	settle := context.WithoutCancel(ctx)

	who, err := readApproval(g.Subject)
	if err != nil {
		s.settleDelete(settle, g)
		return Redeemed{}, fault.ErrInternal.Because(err)
	}
	memberships, err := s.memberships(work, who)
	if err != nil {
		return Redeemed{}, s.settleRelease(settle, g, err)
	}
	minted, err := s.Minter.Mint(work, token.MintRequest{
		Grant: g.Ref, ClaimNo: g.ClaimNo, GrantExpires: g.ExpiresAt, Prefix: who.kind().Prefix, Subject: who.subject(), Epoch: who.Epoch,
		WorkspaceID: who.WorkspaceID, ClientID: g.ClientID, Label: g.Label, ApprovedAt: who.ApprovedAt, IP: ip,
	})
	if err != nil {
		return Redeemed{}, s.settleFailed(settle, g, who, err)
	}
	s.Turned(TurnRedeemed)
	s.settleDelete(settle, g)
	s.recordRedeemed(settle, g, minted, ip)

	redeemed := Redeemed{Minted: minted, Workspaces: workspace.Usable(memberships)}
	if m, ok := workspace.Default(memberships, who.WorkspaceID); ok {
		redeemed.Default = m.Workspace.ID
	}
	return redeemed, nil
}

// memberships are those of an account; somebody of an identity provider has none.
func (s *Service) memberships(ctx context.Context, who stored) ([]workspace.Membership, error) {
	if who.Kind == token.SubjectExternal {
		return nil, nil
	}
	return s.Workspaces.Of(ctx, who.AccountID)
}

// settleFailed answers a mint that did not happen, or perhaps did.
func (s *Service) settleFailed(ctx context.Context, g Grant, who stored, err error) error {
	if refused, ok := errors.AsType[*token.RefusedError](err); ok {
		s.reject(ctx, g, who, refused.Reason)
		return ErrAccessDenied
	}
	switch {
	case errors.Is(err, token.ErrFenced):
		s.reject(ctx, g, who, "fenced")
		return ErrExpiredToken
	case errors.Is(err, token.ErrCommitUnknown):
		// The row may exist: the lease has to lapse before another poll may rotate it.
		return err
	case fault.Of(err).Kind() == fault.Internal:
		s.settleDelete(ctx, g)
		return err
	default:
		return s.settleRelease(ctx, g, err)
	}
}

// settleRelease gives the grant back and tells the client to come again.
func (s *Service) settleRelease(ctx context.Context, g Grant, cause error) error {
	if err := s.Store.Release(ctx, g.Ref, g.Owner); err != nil {
		cause = errors.Join(cause, err) // the lease lapses instead
	}
	return fault.ErrUnavailable.Because(cause).RetryAfter(mintRetry)
}

func (s *Service) reject(ctx context.Context, g Grant, who stored, reason string) {
	s.Turned(TurnRefused)
	s.settleDelete(ctx, g)
	s.Recorder.Later(audit.New(ctx, s.Now(), audit.System, who.rejected(g, reason)).About(who.subject().Key()))
}

func (s *Service) recordRedeemed(ctx context.Context, g Grant, m token.Minted, ip string) {
	now := s.Now()
	actor := m.Session.Subject.Actor()
	if ip != g.CreatedIP {
		s.Recorder.Later(audit.New(ctx, now, actor, crossIPPoll{TokenID: m.Session.ID, Subject: m.Session.Subject.ID, CreationIP: g.CreatedIP, PollIP: ip}).
			About(m.Session.Subject.Key()).Token(m.Session.ID))
	}
}

// Delivered records that the winning answer was written.
func (s *Service) Delivered(ctx context.Context, m token.Minted, ip string) {
	s.Recorder.Later(audit.New(ctx, s.Now(), m.Session.Subject.Actor(), delivered{TokenID: m.Session.ID, IP: ip}).
		About(m.Session.Subject.Key()).Token(m.Session.ID))
}
