// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"strconv"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/trace"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// The steps of an attempt, as traces and logs name them.
const (
	stepStart      = "start"
	stepClaim      = "claim"
	stepConnection = "connection"
	stepProvider   = "provider"
	stepIdentity   = "identity"
	stepAssertion  = "assertion"
)

// Start spends a ticket and sends the browser to the provider. Each error is a
// *failure.Error that says what the page shows; Departure.Reference is set beside it.
func (s *Service) Start(ctx context.Context, opener secret.Text, v Visitor) (Departure, error) {
	r := s.run(ctx, stepStart, v)
	link := opener.Reveal()
	if !isOpener(link) {
		return r.stranded(failure.New(failure.StartLinkUsed))
	}
	sealed, err := s.Records.Take(ctx, Tickets, secret.DigestOf(link))
	switch {
	case errors.Is(err, ErrNoRecord), errors.Is(err, ErrTaken):
		return r.stranded(failure.New(failure.StartLinkUsed))
	case err != nil:
		return r.stranded(storeFailed("records", "start", err))
	}
	var t ticket
	if _, err := s.open(link, sealed, &t); err != nil {
		return r.stranded(failure.New(failure.AttemptEnvelope).With("reason", "ticket"))
	}
	trace.Of(ctx).Attempt(t.Attempt)
	r.attempt, err = s.Attempts.ByReference(ctx, t.Attempt)
	switch {
	case errors.Is(err, ErrNoAttempt):
		return r.stranded(failure.New(failure.AttemptExpired))
	case err != nil:
		return r.stranded(storeFailed("attempts", "start", err))
	case r.attempt.State != StateCreated:
		return r.stranded(failure.New(failure.StartLinkUsed))
	case !s.Now().Before(r.attempt.ExpiresAt):
		return r.stopped(failure.New(failure.AttemptExpired).With("age_s", r.age()))
	}
	d, err := r.depart(t)
	if err != nil {
		return r.stopped(failure.Of(err))
	}
	return d, nil
}

// depart gives where the browser of a spent ticket goes, once its attempt is started.
func (r *run) depart(t ticket) (Departure, error) {
	d := Departure{Reference: r.attempt.Reference}
	handle, rec, err := r.prepare(t, &d)
	if err != nil {
		return d, err
	}
	serving, err := r.serving()
	if err != nil {
		return d, err
	}
	provider, ok := r.s.Providers[serving.Config.Protocol]
	if !ok {
		return d, failure.New(failure.Internal).Because(errors.New("login: no provider speaks " + string(serving.Config.Protocol)))
	}
	request, err := r.request(serving, handle, rec)
	if err != nil {
		return d, err
	}
	err = guarded(func() (err error) {
		d.Destination, err = provider.Address(r.ctx, request)
		return err
	})
	if err != nil {
		return d, err
	}
	if rec.Test != nil {
		if err := r.s.keep(r.ctx, Handles, handle, rec); err != nil {
			return d, storeFailed("records", "start", err)
		}
	}
	now := r.s.Now()
	r.attempt.Trace.StartedAt = &now
	r.done(true)
	event := attemptStarted{Attempt: r.attempt.Reference, Connection: r.attempt.Connection, Revision: r.attempt.Revision, Intent: string(r.attempt.Intent)}
	if rec.Test != nil {
		event.Actor = rec.Test.Actor
	}
	switch err := r.move(r.ctx, StateStarted, event); {
	case errors.Is(err, ErrMoved):
		return d, failure.New(failure.StartLinkUsed)
	case err != nil:
		return d, storeFailed("attempts", "start", err)
	}
	return d, nil
}

// prepare gives the handle and the record of a ticket. Those of a test are made here,
// with the cookie of the browser that opened the link.
func (r *run) prepare(t ticket, d *Departure) (handle string, rec record, err error) {
	if t.Test == nil {
		sealed, err := r.s.Records.Read(r.ctx, Handles, secret.DigestOf(t.Handle))
		switch {
		case errors.Is(err, ErrNoRecord):
			return "", rec, failure.New(failure.AttemptExpired).With("age_s", r.age())
		case errors.Is(err, ErrTaken):
			return "", rec, failure.New(failure.AttemptAlreadyUsed)
		case err != nil:
			return "", rec, storeFailed("records", "start", err)
		}
		claims, rec, err := r.unsealed(t.Handle, sealed)
		if err == nil && claims.Attempt != t.Attempt {
			err = failure.New(failure.AttemptEnvelope).With("reason", "attempt")
		}
		return t.Handle, rec, err
	}
	handle, cookie := secret.Random(), secret.Random()
	rec, err = r.s.draw(stateClaims{
		Intent: connection.Test, Connection: t.Test.Connection, Attempt: t.Attempt, Revision: t.Test.Revision, Binding: bindingOf(cookie),
	})
	if err != nil {
		return "", rec, err
	}
	rec.Locale, rec.Test = t.Test.Locale, t.Test
	d.TestCookie = secret.New(cookie)
	r.attempt.Handle, r.attempt.ExpiresAt = secret.DigestOf(handle), r.s.Now().Add(Lifetime)
	return handle, rec, nil
}

// bindingOf is the bnd of a browser that has a cookie.
func bindingOf(cookie string) string {
	sum := sha256.Sum256([]byte(cookie))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// unsealed opens a record and verifies its envelope, which must be the attempt's own.
// Nothing of either is believed before.
func (r *run) unsealed(handle string, sealed []byte) (c stateClaims, rec record, err error) {
	e, err := r.s.open(handle, sealed, &rec)
	if err != nil {
		return c, record{}, failure.New(failure.AttemptEnvelope).With("reason", "record")
	}
	c, _, err = e.state.Verify(rec.Envelope)
	if refused, ok := errors.AsType[*envelope.RefusedError](err); ok {
		return stateClaims{}, record{}, failure.New(failure.AttemptEnvelope).With("reason", string(refused.Reason)).With("kid", refused.KID).Because(err)
	}
	if err != nil || !c.fits() || (rec.Test != nil) != (c.Intent == connection.Test) {
		return stateClaims{}, record{}, failure.New(failure.AttemptEnvelope).With("reason", string(envelope.Claims))
	}
	return c, rec, nil
}

// serving gives what the attempt works with, as long as it is what it was when the
// attempt began.
func (r *run) serving() (connection.Serving, error) {
	a := r.attempt
	var c connection.Serving
	var err error
	if a.Intent == connection.Test {
		c, err = r.s.Connections.At(r.ctx, a.Connection, a.Revision)
	} else {
		c, err = r.s.Connections.Serving(r.ctx, a.Connection)
	}
	changed := failure.New(failure.ConnectionChanged).With("revision_then", short(a.Revision))
	switch {
	case err == nil:
	case errors.Is(err, connection.ErrUnknown), errors.Is(err, connection.ErrUnknownRevision):
		return c, changed.Because(err)
	default:
		return c, storeFailed("connections", "read", err)
	}
	ready := c.For(a.Intent)
	now := c.Hash
	if a.Intent == connection.Test {
		ready, now = c.DeletedAt == nil, c.Head
	}
	if !ready || now != a.Revision || c.Hash != a.Revision {
		return c, changed.With("revision_now", short(now))
	}
	return c, nil
}

// request gives what a provider is asked, before and after its browser was there.
func (r *run) request(c connection.Serving, handle string, rec record) (Request, error) {
	shared, err := r.s.Connections.SharesCallback(r.ctx, c)
	if err != nil {
		return Request{}, storeFailed("connections", "read", err)
	}
	return Request{
		Serving: c, State: secret.New(handle), RedirectURI: CallbackURL(r.s.Public, c), Shared: shared, Material: rec.material(),
		NextKey: rec.Test != nil && rec.Test.NextKey,
	}, nil
}

// short is how a revision is named to people.
func short(hash string) string { return hash[:min(len(hash), 12)] }

func (r *run) age() string {
	return strconv.Itoa(int(r.s.Now().Sub(r.attempt.CreatedAt).Seconds()))
}

// storeFailed is a store that could not be asked. It is never a verdict.
func storeFailed(store, op string, err error) *failure.Error {
	return failure.New(failure.StoreUnavailable).With("store", store).With("op", op).Because(err)
}

// stopped ends an attempt that was not started.
func (r *run) stopped(f *failure.Error) (Departure, error) {
	r.fail(f)
	return Departure{Reference: r.attempt.Reference}, f
}

// stranded refuses a browser that has no attempt, or none that this refusal ends.
func (r *run) stranded(f *failure.Error) (Departure, error) {
	return Departure{Reference: r.stray(f)}, f
}

// move writes the attempt's next state with its events and repeats them in the log.
func (r *run) move(ctx context.Context, to State, details ...audit.Details) error {
	next := r.attempt
	next.State = to
	events := make([]audit.Event, 0, len(details))
	for _, d := range details {
		events = append(events, audit.New(ctx, r.s.Now(), audit.Anonymous, d))
	}
	if err := r.s.Attempts.Move(ctx, r.attempt.State, next, events...); err != nil {
		return err
	}
	r.attempt = next
	r.s.Recorder.Committed(events...)
	return nil
}

// logLevel: what only we can mend is an error, what a provider or person did a warning.
func logLevel(f *failure.Error) slog.Level {
	switch f.Code {
	case failure.Internal, failure.StoreUnavailable, failure.AuditUnavailable, failure.AttemptEnvelope:
		return slog.LevelError
	}
	return slog.LevelWarn
}
