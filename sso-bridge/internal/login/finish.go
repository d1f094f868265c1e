// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/pkg/trace"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
)

// Finish claims the handle of a callback, judges the answer and gives the address to
// which the browser goes, be it core with an assertion or a public code, the page of a
// test, or our own page of a failure. It never fails: what cannot be done is an address
// that says so.
func (s *Service) Finish(ctx context.Context, a Arrival) (location string) {
	r := &callback{run: s.run(ctx, stepClaim, a.Visitor), arrival: a}
	r.attempt.Trace.ResponseBytes = a.Bytes
	if !isOpener(a.Handle) {
		return r.strayed(unopened(a))
	}
	if location, ok := r.claim(); !ok {
		return location
	}
	if err := r.judge(); err != nil {
		return r.refuse(failure.Of(err))
	}
	return r.succeed(r.report.Identity)
}

// unopened refuses an answer whose handle is none. Of SAML it is told apart: a company
// portal sends such ones to whoever begins there (saml-profiles-2.0-os section 4.1.5).
func unopened(a Arrival) *failure.Error {
	switch {
	case a.Malformed != "":
		return failure.New(failure.CallbackMalformed).With("parameter", a.Malformed)
	case a.Protocol == connection.SAML:
		return failure.New(failure.SAMLUnsolicited).With("relay_state_length", strconv.Itoa(len(a.Handle)))
	}
	return failure.New(failure.CallbackMalformed).With("parameter", "state")
}

// Refuse notes a callback that cannot be read at all, such as a body too large, and
// gives the reference of its page.
func (s *Service) Refuse(ctx context.Context, f *failure.Error, v Visitor) (reference string) {
	return s.run(ctx, stepClaim, v).stray(f)
}

// Failure gives what the page of a reference shows. An attempt that has not failed has
// no such page.
func (s *Service) Failure(ctx context.Context, reference string) (Failed, error) {
	unknown := Failed{Public: ssocode.Failed, At: s.Now()}
	if !ssocode.IsReference(reference) {
		return unknown, nil
	}
	a, err := s.Attempts.ByReference(ctx, reference)
	switch {
	case errors.Is(err, ErrNoAttempt):
		return unknown, nil
	case err != nil:
		return Failed{}, storeFailed("attempts", "read", err)
	case a.State != StateFailed || a.FinishedAt == nil:
		return unknown, nil
	}
	return Failed{Public: ssocode.Of(string(a.Public)), At: *a.FinishedAt, Intent: a.Intent, Known: true}, nil
}

// callback is the work on one answer.
type callback struct {
	*run
	arrival Arrival
	claims  stateClaims
	record  record
	serving connection.Serving
	seen    identity.Claims
	report  identity.Report
	judged  bool // report is one
}

// claim takes the handle, opens what lies under it and moves the attempt to returned.
// Without ok the browser goes to location, and no byte of the answer was looked at.
func (r *callback) claim() (location string, ok bool) {
	d := secret.DigestOf(r.arrival.Handle)
	sealed, err := r.s.Records.Take(r.ctx, Handles, d)
	switch {
	case errors.Is(err, ErrTaken), errors.Is(err, ErrNoRecord):
		return r.missing(d, errors.Is(err, ErrTaken)), false
	case err != nil:
		// Whether it was taken is unknown, so this ends no attempt.
		return r.strayed(storeFailed("records", "claim", err)), false
	}
	claims, rec, unsealed := r.unsealed(r.arrival.Handle, sealed)
	bytes := r.attempt.Trace.ResponseBytes
	row, err := r.s.Attempts.ByHandle(r.ctx, d)
	switch {
	case errors.Is(err, ErrNoAttempt):
		return r.strayed(failure.New(failure.AttemptExpired)), false
	case err != nil && unsealed != nil:
		return r.strayed(storeFailed("attempts", "claim", err)), false
	case err != nil:
		r.attempt = Attempt{Reference: claims.Attempt, Intent: claims.Intent, Connection: claims.Connection, Revision: claims.Revision, State: StateStarted}
		r.claims, r.record = claims, rec
		return r.refuse(storeFailed("attempts", "claim", err)), false
	}
	r.attempt, r.claims, r.record = row, claims, rec
	trace.Of(r.ctx).Attempt(row.Reference)
	now := r.s.Now()
	r.attempt.Trace.ReturnedAt, r.attempt.Trace.ResponseBytes = &now, bytes
	r.notedVisitor()
	switch {
	case row.State != StateStarted:
		// A second line behind the claim: a store that came back with an older state
		// may hold a record again, the row has moved.
		r.of = row
		return r.strayed(replayed(row)), false
	case !now.Before(row.ExpiresAt):
		return r.refuse(failure.New(failure.AttemptExpired).With("age_s", r.age())), false
	case unsealed != nil:
		return r.refuse(failure.Of(unsealed)), false
	case claims.Attempt != row.Reference || claims.Connection != row.Connection || claims.Revision != row.Revision || claims.Intent != row.Intent:
		return r.refuse(failure.New(failure.AttemptEnvelope).With("reason", "attempt")), false
	}
	switch err := r.move(r.ctx, StateReturned); {
	case errors.Is(err, ErrMoved):
		r.of = row
		return r.strayed(replayed(row)), false
	case err != nil:
		return r.refuse(storeFailed("attempts", "claim", err)), false
	}
	return "", true
}

// missing tells why there is no record under a handle.
func (r *callback) missing(d secret.Digest, taken bool) (location string) {
	row, err := r.s.Attempts.ByHandle(r.ctx, d)
	switch {
	case err == nil && (taken || row.State == StateReturned || row.FinishedAt != nil):
		r.of = row
		return r.strayed(replayed(row))
	case err == nil:
		r.attempt.Intent, r.attempt.CreatedAt = row.Intent, row.CreatedAt
		return r.strayed(failure.New(failure.AttemptExpired).With("age_s", r.age()))
	case errors.Is(err, ErrNoAttempt) && !taken:
		return r.strayed(failure.New(failure.AttemptExpired))
	case taken:
		return r.strayed(failure.New(failure.AttemptAlreadyUsed))
	default:
		return r.strayed(storeFailed("attempts", "claim", err))
	}
}

func replayed(row Attempt) *failure.Error {
	f := failure.New(failure.AttemptAlreadyUsed)
	if at := row.Trace.ReturnedAt; at != nil {
		f = f.With("first_at", at.UTC().Format(time.RFC3339))
	}
	return f
}

// judge asks whether the answer belongs here, then the provider, then what identity it
// makes.
func (r *callback) judge() (err error) {
	r.next(stepConnection)
	a := r.arrival
	if r.serving, err = r.run.serving(); err != nil {
		return err
	}
	if wrong := a.wrong(); wrong != "" {
		return failure.New(failure.CallbackMalformed).With("parameter", wrong)
	}
	c := r.serving.Config
	path := r.serving.ID
	if c.Callback == connection.CallbackShared {
		path = ""
	}
	if a.Path != path || a.Protocol != c.Protocol {
		return failure.New(failure.CallbackMismatch).With("path_connection", a.Path)
	}
	provider, ok := r.s.Providers[c.Protocol]
	if !ok {
		return failure.New(failure.Internal).Because(errors.New("login: no provider speaks " + string(c.Protocol)))
	}
	request, err := r.request(r.serving, a.Handle, r.record)
	if err != nil {
		return err
	}
	r.next(stepProvider)
	answer := Answer{Request: request, Code: a.Code, Error: a.Error, Description: a.Describe, Issuer: a.Issuer, IssuerSent: a.IssuerSent, Message: a.Message}
	err = guarded(func() (err error) {
		r.seen, err = provider.Verify(r.ctx, answer, &r.attempt.Trace)
		return err
	})
	r.s.hash.seen(&r.attempt.Trace, r.seen, r.s.Now())
	if err != nil {
		return err
	}
	r.next(stepIdentity)
	return guarded(func() error {
		r.report, r.judged = r.s.Judge(r.ctx, r.seen, r.serving), true
		switch f, domain := r.report.Failure, r.attempt.Trace.EmailDomain; {
		case f == nil:
			return nil
		case domain != "":
			return f.With("domain_hash", domain) // told where the catalogue names it
		default:
			return f
		}
	})
}

// wrong names the parameter for which an answer is refused, or nothing.
func (a Arrival) wrong() string {
	switch {
	case a.Malformed != "":
		return a.Malformed
	case a.Protocol == connection.SAML:
		if a.Message.IsZero() {
			return "SAMLResponse"
		}
	case a.Code.IsZero() == (a.Error == ""):
		return "code"
	}
	return ""
}

// refuse ends the attempt, and sends the browser where its login began.
func (r *callback) refuse(f *failure.Error) (location string) {
	r.fail(f)
	if r.attempt.Intent == connection.Test {
		return r.concluded(f)
	}
	return r.s.back(r.attempt, url.Values{"sso_error": {string(f.Public)}, "attempt": {r.attempt.Reference}})
}

// strayed is stray with the address of its page.
func (r *callback) strayed(f *failure.Error) (location string) { return r.s.errorPage(r.stray(f)) }

func (s *Service) errorPage(reference string) string { return s.Public + "/sso/error/" + reference }

// back is the address of core at which a login of an intent ends. Only constants and
// what we made ourselves stand in it.
func (s *Service) back(a Attempt, q url.Values) string {
	if a.Intent != connection.DeviceFlow {
		return s.errorPage(a.Reference)
	}
	return s.Core + "/openapi/v1/oauth/device/sso-complete?" + q.Encode()
}

// succeed answers with an assertion, or a test's page, once the success is written.
func (r *callback) succeed(who identity.Identity) (location string) {
	r.next(stepAssertion)
	var assertion string
	if r.claims.Intent == connection.DeviceFlow {
		var err error
		if assertion, err = r.assert(who); err != nil {
			return r.refuse(failure.New(failure.Internal).Because(err))
		}
	}
	before := r.attempt
	r.done(true)
	now := r.s.Now()
	r.attempt.FinishedAt = &now
	event := attemptSucceeded{
		Attempt: r.attempt.Reference, Connection: r.attempt.Connection, Revision: r.attempt.Revision, Intent: string(r.attempt.Intent),
		SubjectHash: r.s.hash.subject(who.Issuer, who.Subject), EmailVerified: who.EmailVerified,
	}
	if r.record.Test != nil {
		event.Actor = r.record.Test.Actor
	}
	if err := r.move(r.ctx, StateSucceeded, event); err != nil {
		r.attempt = before
		return r.refuse(failure.New(failure.AuditUnavailable).With("store", "attempts").With("op", "succeed").Because(err))
	}
	if r.claims.Intent == connection.Test {
		return r.concluded(nil)
	}
	if t := r.attempt.Trace; t.CertificateExpired && t.CertificateNotAfter != nil {
		// Trust is in the key that is configured; that it is old is for the administrator.
		r.s.Log.WarnContext(r.ctx, "the provider signs with a certificate that is over", "attempt", r.attempt.Reference, "connection", r.attempt.Connection,
			"code", string(failure.SAMLCertificateExpired), "not_after", t.CertificateNotAfter.UTC().Format(time.RFC3339))
	}
	r.s.Log.InfoContext(r.ctx, "signed in", "attempt", r.attempt.Reference, "connection", r.attempt.Connection, "revision", short(r.attempt.Revision))
	return r.s.back(r.attempt, url.Values{"sso_assertion": {assertion}})
}

// errLong: an assertion that its reader would not look at.
var errLong = errors.New("login: the assertion is too long")

// assert signs who came back. What binds it to a device and a browser is copied out of
// the verified envelope, and nothing else can put it there.
func (r *callback) assert(who identity.Identity) (string, error) {
	message, _, err := r.s.subject.Sign(envelope.ExternalSubjectClaims{
		Connection: r.claims.Connection, ConnectionName: r.serving.Name, Attempt: r.claims.Attempt,
		UserCodeDigest: r.claims.UserCodeDigest, Nonce: r.claims.Nonce, Binding: r.claims.Binding,
		SubjectType: envelope.SubjectExternal, Issuer: who.Issuer, Subject: who.Subject, Email: who.Email, EmailVerified: who.EmailVerified,
		Name: who.Name, AuthTime: who.AuthTime, AMR: who.AMR, ACR: who.ACR,
	})
	if err == nil && len(message) > envelope.MaxMessage {
		return "", errLong
	}
	return message, err
}
