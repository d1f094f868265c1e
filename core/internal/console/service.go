// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Deps is what a Service needs; all fields are required.
type Deps struct {
	Store     Store
	Accounts  account.Store
	Passwords *account.Passwords
	Recorder  *audit.Recorder
	Now       func() time.Time
	// CSRFKey signs CSRF tokens.
	CSRFKey []byte
	// CSRFKeyPrevious is the former one, for pages that were loaded under it; nil when
	// there is none.
	CSRFKeyPrevious []byte
	// Idle ends a session that was not seen for so long, unless it is remembered.
	Idle time.Duration
	// Max ends every session.
	Max time.Duration
}

// Service signs people in and out. It is safe for concurrent use.
type Service struct{ Deps }

// New checks the dependencies.
func New(d Deps) (*Service, error) {
	if d.Store == nil || d.Accounts == nil || d.Passwords == nil || d.Recorder == nil || d.Now == nil {
		return nil, errors.New("console: store, accounts, passwords, recorder and clock are required")
	}
	if len(d.CSRFKey) != secret.KeySize || d.Idle <= 0 || d.Max <= 0 {
		return nil, errors.New("console: a CSRF key of 32 bytes and both expiries are required")
	}
	return &Service{d}, nil
}

// SignIn is a sign-in by password.
type SignIn struct {
	Email    string
	Password secret.Text
	Remember bool
	// Presented is the cookie value that came along; that session ends.
	Presented secret.Text
	IP        string
	UserAgent string
}

// SignIn verifies and begins a session under a new value. Every refusal (unknown
// e-mail, wrong password, account not active, no password) is ErrInvalidCredentials
// after the same work; a store that cannot be asked, or a full queue of password
// hashes, is a 503.
func (s *Service) SignIn(ctx context.Context, in SignIn) (Issued, error) {
	email, wellFormed := canon.Email(in.Email)
	a, err := s.find(ctx, email, wellFormed)
	if err != nil {
		return Issued{}, err
	}
	ok, rehash, err := s.Passwords.Verify(ctx, in.Password, a.PasswordHash)
	if err != nil {
		return Issued{}, fault.Store(err)
	}
	now := s.Now()
	if !ok || a.Status != account.Active {
		s.Recorder.Later(audit.New(ctx, now, audit.Anonymous, signInFailed{AccountID: a.ID, Cause: refusal(a, ok)}))
		return Issued{}, ErrInvalidCredentials
	}
	if rehash {
		if hash, err := s.Passwords.Hash(ctx, in.Password); err == nil {
			_ = s.Accounts.SetPasswordHash(ctx, a.ID, a.PasswordHash, hash, now) // the old one still verifies
		}
	}
	return s.Begin(ctx, a, HowPassword, Browser{Remember: in.Remember, Presented: in.Presented, IP: in.IP, UserAgent: in.UserAgent})
}

// find gives the zero account for an e-mail that nobody has, so that its password
// is verified all the same, against nothing.
func (s *Service) find(ctx context.Context, email string, wellFormed bool) (account.Account, error) {
	if !wellFormed {
		return account.Account{}, nil
	}
	a, err := s.Accounts.ByEmail(ctx, email)
	if errors.Is(err, account.ErrNotFound) {
		return account.Account{}, nil
	}
	return a, fault.Store(err)
}

func refusal(a account.Account, passwordFits bool) string {
	switch {
	case a.ID == "":
		return "unknown"
	case !passwordFits:
		return "password"
	default:
		return "status"
	}
}

// Browser is what a beginning session keeps of its request.
type Browser struct {
	Remember  bool
	Presented secret.Text
	IP        string
	UserAgent string
}

// Begin starts a session for an account that has just proven itself. The presented
// session ends: no value that existed before the sign-in is good after it.
func (s *Service) Begin(ctx context.Context, a account.Account, how How, b Browser) (Issued, error) {
	issued := s.Fresh(a, how, b)
	session := issued.Session
	event := SignedIn(ctx, issued)
	if err := s.Store.Begin(ctx, session, presented(b.Presented), event); err != nil {
		return Issued{}, fault.Store(err)
	}
	s.Recorder.Committed(event)
	return issued, nil
}

// Fresh draws a session that nothing has stored yet, for whoever begins it together
// with another change.
func (s *Service) Fresh(a account.Account, how How, b Browser) Issued {
	now := s.Now().UTC().Truncate(time.Microsecond)
	value := secret.New(secret.Random())
	b.UserAgent = canon.Claim(b.UserAgent, audit.MaxUserAgent)
	return Issued{Cookie: value, Signed: Signed{Account: a, Session: Session{
		ID: canon.NewID(), AccountID: a.ID, TokenHash: secret.DigestOf(value.Reveal()), CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(s.Max),
		Remember: b.Remember, How: how, AuthAt: now, IP: b.IP, UserAgent: b.UserAgent,
	}}}
}

// SignedIn is account.signed_in, for whoever begins a fresh session together with
// another change.
func SignedIn(ctx context.Context, i Issued) audit.Event {
	return audit.New(ctx, i.Session.CreatedAt, audit.Account(i.Account.ID), signedIn{How: i.Session.How, SessionID: i.Session.ID})
}

// Presented is the digest of the session that a browser brought along, zero for none.
func Presented(b Browser) secret.Digest { return presented(b.Presented) }

func presented(value secret.Text) secret.Digest {
	if value.IsZero() {
		return secret.Digest{}
	}
	return secret.DigestOf(value.Reveal())
}

// Authenticate finds the live session of a cookie value. It returns ErrUnauthorized
// for every value that is not live, and a 503 when SQL cannot be asked: an outage
// never reads "signed out".
func (s *Service) Authenticate(ctx context.Context, value secret.Text) (Signed, error) {
	if len(value.Reveal()) != 43 { // base64url of 32 bytes
		return Signed{}, ErrUnauthorized
	}
	signed, err := s.Store.ByDigest(ctx, secret.DigestOf(value.Reveal()))
	if errors.Is(err, ErrUnknown) {
		return Signed{}, ErrUnauthorized
	}
	if err != nil {
		return Signed{}, fault.Store(err)
	}
	now := s.Now()
	if !s.live(signed.Session, now) || signed.Account.Status != account.Active {
		return Signed{}, ErrUnauthorized
	}
	if now.Sub(signed.Session.LastSeenAt) >= touchEvery {
		_ = s.Store.Touch(ctx, signed.Session.ID, now) // the idle limit only gets stricter
	}
	return signed, nil
}

func (s *Service) live(session Session, now time.Time) bool {
	if !session.ExpiresAt.After(now) {
		return false
	}
	return session.Remember || now.Sub(session.LastSeenAt) < s.Idle
}

// SignOut ends the session on the server. A value that is not live is no failure.
func (s *Service) SignOut(ctx context.Context, value secret.Text) error {
	signed, err := s.Authenticate(ctx, value)
	if errors.Is(err, ErrUnauthorized) {
		return nil
	}
	if err != nil {
		return err
	}
	now := s.Now()
	event := audit.New(ctx, now, audit.Account(signed.Account.ID), signedOut{SessionID: signed.Session.ID})
	if err := s.Store.End(ctx, signed.Account.ID, signed.Session.ID, "", now, event); err != nil && !errors.Is(err, ErrUnknown) {
		return fault.Store(err)
	}
	s.Recorder.Committed(event)
	return nil
}

// List gives an account's live sessions, newest first.
func (s *Service) List(ctx context.Context, accountID string) ([]Session, error) {
	rows, err := s.Store.List(ctx, accountID)
	if err != nil {
		return nil, fault.Store(err)
	}
	now, live := s.Now(), make([]Session, 0, len(rows))
	for _, r := range rows {
		if s.live(r, now) {
			live = append(live, r)
		}
	}
	return live, nil
}

// End ends another browser of the account. The epoch moves too: an approval given on
// it and not yet redeemed dies with it. It returns ErrSessionNotFound for a session
// that the account does not have.
func (s *Service) End(ctx context.Context, a account.Account, id string, epochKey string) error {
	now := s.Now()
	event := audit.New(ctx, now, audit.Account(a.ID), signedOut{SessionID: id})
	err := s.Store.End(ctx, a.ID, id, epochKey, now, event)
	if errors.Is(err, ErrUnknown) {
		return ErrSessionNotFound
	}
	if err != nil {
		return fault.Store(err)
	}
	s.Recorder.Committed(event)
	return nil
}

// EndOthers ends all of the account's browsers but the one named, and gives their
// number.
func (s *Service) EndOthers(ctx context.Context, a account.Account, but, epochKey string) (int, error) {
	now := s.Now()
	event := audit.New(ctx, now, audit.Account(a.ID), signedOut{SessionID: "others"})
	n, err := s.Store.EndOthers(ctx, a.ID, but, epochKey, now, event)
	if err != nil {
		return 0, fault.Store(err)
	}
	s.Recorder.Committed(event)
	return n, nil
}

// KnownAt reports whether an account was last signed in to from this address, or has
// a live session there: a flood of wrong passwords for one e-mail must not lock its
// owner out from where they work.
func (s *Service) KnownAt(ctx context.Context, email, ip string) (bool, error) {
	a, err := s.Accounts.ByEmail(ctx, email)
	if errors.Is(err, account.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fault.Store(err)
	}
	if a.LastLoginIP == ip {
		return true, nil
	}
	live, err := s.List(ctx, a.ID)
	for _, session := range live {
		if session.IP == ip {
			return true, err
		}
	}
	return false, err
}
