// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/pkg/trace"
)

// replayFor is how long a used assertion is remembered: longer than its life and both
// leeways.
const replayFor = 10 * time.Minute

// The causes in audit of an assertion that was not accepted. They are the administrator's;
// the person reads a public code.
const (
	causeInvalid      = "assertion_invalid:" // followed by an envelope.Reason
	causeClaims       = "assertion_claims"
	causeNoBinding    = "binding_missing"
	causeOtherBinding = "binding_mismatch"
	causeReplayed     = "assertion_replayed"
	causeNotPending   = "code_not_pending"
	causeRevoked      = "subject_revoked_since"
	causeStore        = "store_unavailable"
)

// Complete believes or refuses an assertion that the browser brought, and gives the
// approval grant for its cookie. It returns *RefusedError. Neither the device grant nor
// anything else is moved but the mark that this assertion is used up: it is made after
// the browser has shown itself to be the one that began, so that nobody else can use an
// assertion up, and before any state is looked at, so that nobody asks twice.
func (s *Service) Complete(ctx context.Context, assertion string, flow Flow, began bool) (grant secret.Text, err error) {
	claims, r, err := s.assertions.Verify(assertion)
	if err != nil {
		cause := causeInvalid
		if refused, ok := errors.AsType[*envelope.RefusedError](err); ok {
			cause += string(refused.Reason)
		}
		return secret.Text{}, s.reject(ctx, envelope.ExternalSubjectClaims{}, ssocode.Failed, cause, err)
	}
	refuse := func(code ssocode.Code, cause string, err error) (secret.Text, error) {
		return secret.Text{}, s.reject(ctx, claims, code, cause, err)
	}
	switch {
	case !fit(claims):
		claims = wellFormed(claims)
		return refuse(ssocode.Failed, causeClaims, nil)
	case !began:
		return refuse(ssocode.WrongBrowser, causeNoBinding, nil)
	case !s.bound(claims, flow):
		return refuse(ssocode.WrongBrowser, causeOtherBinding, nil)
	}
	trace.Of(ctx).Attempt(claims.Attempt)
	fresh, err := s.Replay.Consume(ctx, envelope.ExternalSubject, r.ID, replayFor)
	switch {
	case err != nil:
		return refuse(ssocode.Unavailable, causeStore, err)
	case !fresh:
		return refuse(ssocode.AlreadyUsed, causeReplayed, nil)
	}
	g, err := s.Devices.Find(ctx, flow.UserCode)
	switch {
	case errors.Is(err, devicegrant.ErrNotFound), err == nil && g.State != devicegrant.Pending:
		return refuse(ssocode.InvalidUserCode, causeNotPending, nil)
	case err != nil:
		return refuse(ssocode.Unavailable, causeStore, err)
	}
	who := approvalOf(claims, flow, g)
	if err := s.Subjects.External(ctx, who.Subject()); err != nil {
		refused, ok := errors.AsType[*token.RefusedError](err)
		if !ok {
			return refuse(ssocode.Unavailable, causeStore, err)
		}
		s.Devices.RefusedExternal(ctx, g, who.external(audit.RequestOf(ctx).IP), refused.Reason)
		return secret.Text{}, &RefusedError{Code: accountCode(refused), Reference: claims.Attempt, cause: err}
	}
	sum, moved, err := s.Subjects.Epochs(ctx, who.Subject())
	switch {
	case err != nil:
		return refuse(ssocode.Unavailable, causeStore, err)
	case !moved.Before(r.At().Add(-envelope.Leeway)):
		return refuse(ssocode.Failed, causeRevoked, nil)
	}
	who.claims.Epoch = sum
	signed, _, err := s.grants.Sign(who.claims)
	if err != nil {
		return refuse(ssocode.Failed, causeStore, err)
	}
	return secret.New(signed), nil
}

// reject records why an assertion was not accepted.
func (s *Service) reject(ctx context.Context, claims envelope.ExternalSubjectClaims, code ssocode.Code, cause string, err error) error {
	s.Recorder.Later(audit.New(ctx, s.Now(), audit.Anonymous, assertionRejected{Cause: cause, Attempt: claims.Attempt, Connection: claims.Connection}))
	return &RefusedError{Code: code, Reference: claims.Attempt, cause: err}
}

// bound reports whether this browser began the login that the assertion ends, and for
// this code. All three are compared: the bridge could swap any one of them.
func (s *Service) bound(claims envelope.ExternalSubjectClaims, flow Flow) bool {
	return same(claims.Binding, flow.binding()) && (s.began(claims, flow) || s.former != nil && s.former.began(claims, flow))
}

// began reports whether core began this login under one of its keys.
func (s *owned) began(claims envelope.ExternalSubjectClaims, flow Flow) bool {
	began := same(claims.Nonce, s.nonce(flow))
	code := same(claims.UserCodeDigest, s.codeDigest(flow.UserCode))
	return began && code
}

func accountCode(refused *token.RefusedError) ssocode.Code {
	if refused.Reason == token.ReasonIdentityLinked {
		return ssocode.IdentityLinked
	}
	return ssocode.EmailIsAccount
}

// approvalOf copies who came back, and for which device, into an approval grant.
func approvalOf(c envelope.ExternalSubjectClaims, flow Flow, g devicegrant.Grant) Approval {
	return Approval{claims: approvalClaims{
		Connection: c.Connection, ConnectionName: c.ConnectionName, Attempt: c.Attempt, Issuer: c.Issuer, Subject: c.Subject, Email: c.Email,
		EmailVerified: c.EmailVerified, Name: c.Name, AuthTime: c.AuthTime, AMR: c.AMR, ACR: c.ACR,
		UserCode: flow.UserCode, GrantID: gid(g.Ref), CSRF: drawCSRF(),
	}}
}

// wellFormed keeps of claims that do not fit what names the attempt, where that has its
// form.
func wellFormed(c envelope.ExternalSubjectClaims) (kept envelope.ExternalSubjectClaims) {
	if ssocode.IsReference(c.Attempt) {
		kept.Attempt = c.Attempt
	}
	if IsConnection(c.Connection) {
		kept.Connection = c.Connection
	}
	return kept
}

// fit judges the claims' forms (docs/specs/v1.0/server/sso.md, Identity). The bridge has
// judged them; core believes no text that it does not store itself in this form.
func fit(c envelope.ExternalSubjectClaims) bool {
	email, ok := canon.PlainEmail(c.Email)
	return c.SubjectType == envelope.SubjectExternal &&
		isIssuer(c.Issuer) && isSubject(c.Subject) && ok && email == c.Email &&
		IsConnection(c.Connection) && label(c.ConnectionName, maxConnectionName) && c.ConnectionName != "" && ssocode.IsReference(c.Attempt) &&
		label(c.Name, maxName) && c.AuthTime >= 0 && len(c.ACR) <= maxACR && fitMethods(c.AMR)
}
