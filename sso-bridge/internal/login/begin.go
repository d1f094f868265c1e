// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/pkg/trace"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// Begin draws an attempt for a device login: its row, then its records. It returns
// connection.ErrNotConfigured, ErrUnknown, ErrUnroutable or ErrChoiceRequired, or a store
// failure: nothing that a browser could use was begun then.
func (s *Service) Begin(ctx context.Context, o Order) (Begun, error) {
	if o.Intent != connection.DeviceFlow {
		return Begun{}, connection.ErrNotConfigured
	}
	c, err := s.Connections.Choose(ctx, o.Intent, o.Connection, o.Email)
	if err != nil {
		if _, domain, ok := strings.Cut(o.Email, "@"); ok && errors.Is(err, connection.ErrUnroutable) {
			s.Log.InfoContext(ctx, "login not begun", "request_id", o.RequestID, "code", string(failure.EmailUnroutable), "domain_hash", s.hash.of(strings.ToLower(domain)))
		}
		return Begun{}, fault.Store(err)
	}
	a := s.newAttempt(c, o.Intent, o.RequestID)
	trace.Of(ctx).Attempt(a.Reference)
	handle, opener := secret.Random(), secret.Random()
	a.Handle = secret.DigestOf(handle)
	rec, err := s.draw(stateClaims{
		Intent: o.Intent, Connection: c.ID, Attempt: a.Reference, Revision: c.Hash,
		UserCodeDigest: o.UserCodeDigest, Nonce: o.Nonce, Binding: o.Binding,
	})
	if err != nil {
		return Begun{}, err
	}
	rec.ForceAuthn, rec.Locale, rec.LoginHint = o.ForceAuthn || c.Config.ForceAuthn, o.Locale, o.Email
	if err := s.Attempts.Create(ctx, a); err != nil {
		return Begun{}, s.unavailable(ctx, "attempts", a, err)
	}
	if err := s.keep(ctx, Handles, handle, rec); err != nil {
		return Begun{}, s.unavailable(ctx, "records", a, err)
	}
	if err := s.keep(ctx, Tickets, opener, ticket{Attempt: a.Reference, Handle: handle}); err != nil {
		return Begun{}, s.unavailable(ctx, "records", a, err)
	}
	return s.begun(a, opener), nil
}

// BeginTest draws the test of a connection's newest revision, in whatever state the
// connection is, and gives a link for 15 minutes. The attempt takes its form when the
// link is opened, so that it is bound to the tester's browser. It returns
// connection.ErrUnknown, ErrUnknownRevision or ErrIncomplete, or a store failure.
func (s *Service) BeginTest(ctx context.Context, o TestOrder) (Begun, error) {
	c, err := s.Connections.ForTest(ctx, o.Connection, o.Revision)
	if err != nil {
		return Begun{}, fault.Store(err)
	}
	if c.Hash != c.Head {
		return Begun{}, connection.ErrIncomplete.Hinted("Only the newest revision is tested.")
	}
	if o.NextKey && c.Config.Protocol != connection.SAML {
		return Begun{}, connection.ErrIncomplete.Hinted("Only requests of SAML are signed with a staged key.")
	}
	a, opener := s.newAttempt(c, connection.Test, o.RequestID), secret.Random()
	if err := s.Attempts.Create(ctx, a); err != nil {
		return Begun{}, s.unavailable(ctx, "attempts", a, err)
	}
	t := ticket{Attempt: a.Reference, Test: &testOrder{
		Connection: c.ID, Revision: c.Hash, Actor: o.Actor, ExpectRefusal: o.ExpectRefusal, NextKey: o.NextKey, Locale: o.Locale,
	}}
	if err := s.keep(ctx, Tickets, opener, t); err != nil {
		return Begun{}, s.unavailable(ctx, "records", a, err)
	}
	return s.begun(a, opener), nil
}

func (s *Service) begun(a Attempt, opener string) Begun {
	return Begun{AttemptID: a.ID, Reference: a.Reference, StartURL: s.Public + "/sso/start/" + opener, ExpiresAt: a.ExpiresAt}
}

func (s *Service) newAttempt(c connection.Serving, intent connection.Intent, requestID string) Attempt {
	now := s.Now()
	return Attempt{
		ID: canon.NewID(), Reference: ssocode.NewReference(), Connection: c.ID, Revision: c.Hash, Intent: intent, State: StateCreated,
		CreatedAt: now, ExpiresAt: now.Add(Lifetime),
		Trace: Trace{RequestID: requestID, Protocol: string(c.Config.Protocol), Preset: c.Config.Preset},
	}
}

// draw signs an envelope and draws what the protocols need beside it.
func (s *Service) draw(c stateClaims) (record, error) {
	message, _, err := s.eras[0].state.Sign(c)
	if err != nil {
		return record{}, fault.ErrInternal.Because(err)
	}
	return record{Envelope: message, Verifier: secret.Random(), Nonce: newNonce(), RequestID: newRequestID(), RequestedAt: s.Now()}, nil
}

// newNonce is 128 bits: it is compared, never guessed offline.
func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// newRequestID is 128 bits behind the underscore that makes it an XML ID
// (saml-core-2.0-os section 1.3.4).
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return "_" + hex.EncodeToString(b[:])
}

// keep seals a value under its opener and puts it where the opener's digest says.
func (s *Service) keep(ctx context.Context, shelf Shelf, opener string, value any) error {
	d, sealed, err := s.eras[0].seal(opener, value)
	if err != nil {
		return fault.ErrInternal.Because(err)
	}
	life := Lifetime
	switch v := value.(type) {
	case ticket:
		if life = ticketFor; v.Test != nil {
			life = testTicketFor
		}
	case kept:
		life = resultFor
	}
	return s.Records.Put(ctx, shelf, d, sealed, life)
}

// unavailable words a failed creation: the row, if there is one, is over by itself.
func (s *Service) unavailable(ctx context.Context, store string, a Attempt, err error) error {
	s.Log.LogAttrs(ctx, slog.LevelError, "attempt not begun", slog.String("attempt", a.Reference), slog.String("connection", a.Connection),
		slog.String("revision", a.Revision), slog.String("code", string(failure.StoreUnavailable)), slog.String("store", store),
		slog.String("error", err.Error()))
	if errors.Is(err, ErrFull) {
		return fault.ErrUnavailable.Because(err)
	}
	return fault.Store(err)
}
