// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// MintRequest is an approved grant that a poll has claimed.
type MintRequest struct {
	Grant        secret.Digest // of the device code
	ClaimNo      int64
	GrantExpires time.Time // the fence outlives the grant by an hour
	Prefix       string
	Subject      Subject
	Epoch        int64 // the sum that the approval stored
	WorkspaceID  string
	ClientID     string
	Label        string
	ApprovedAt   time.Time
	IP           string // of the poll
}

// Minted is a fresh credential. Token is the only place where its plaintext is.
type Minted struct {
	Token   secret.Text
	Session Session
	Kind    Kind
	// Name is the account's display name as of the mint.
	Name string
}

// The outcomes of a mint that is refused. Nothing was written.
var (
	// ErrFenced: a later claim of this grant has minted, or what it minted has been
	// ended or replaced since.
	ErrFenced = errors.New("token: fenced by a later claim")
	// ErrPolicy: no registered kind mints for such a subject.
	ErrPolicy = errors.New("token: mint_policy_violation")
)

// Why an external subject may not have a token.
const (
	ReasonEmailIsAccount = "email_collision"
	ReasonIdentityLinked = "identity_linked"
)

// RefusedError says why the subject may no longer have a token.
type RefusedError struct{ Reason string }

// Error implements error.
func (e *RefusedError) Error() string { return "token: subject refused: " + e.Reason }

const fenceKeeps = time.Hour

// Mint turns a claimed grant into a session and its token, in one transaction that
// first locks the subject's epoch, so that a mint and a kill are serial. It returns
// *RefusedError, ErrFenced, ErrPolicy, ErrCommitUnknown (the row may exist) or a
// store failure (nothing was written).
func (s *Service) Mint(ctx context.Context, r MintRequest) (Minted, error) {
	kind, ok := s.Kinds.Kind(r.Prefix)
	if !ok || (kind.SubjectType == SubjectAccount) != (r.Subject.AccountID != "") {
		return Minted{}, fault.ErrInternal.Because(fmt.Errorf("%w: prefix %s for issuer %s", ErrPolicy, r.Prefix, r.Subject.Issuer))
	}
	m, err := s.mintOnce(ctx, kind, r)
	if errors.Is(err, ErrHashTaken) { // 256 random bits collided: draw once more
		m, err = s.mintOnce(ctx, kind, r)
	}
	return m, err
}

func (s *Service) mintOnce(ctx context.Context, kind Kind, r MintRequest) (Minted, error) {
	now := s.Now().Truncate(time.Microsecond)
	text := kind.Prefix + s.NewSecret()
	fresh := Session{
		ID: canon.NewID(), Subject: r.Subject, WorkspaceID: r.WorkspaceID, ClientID: r.ClientID, Label: r.Label, Prefix: kind.Prefix,
		TokenHash: secret.DigestOf(text), CreatedAt: now, ExpiresAt: now.Add(s.TTL), ApprovedAt: r.ApprovedAt, CreatedIP: r.IP, GrantRef: r.Grant,
	}
	m := Minted{Token: secret.New(text), Kind: kind}
	var (
		events []audit.Event
		dead   []secret.Digest
	)
	err := s.Store.InTx(ctx, func(ctx context.Context, tx Tx) error {
		m.Session, events, dead = fresh, nil, nil // it may run again
		var err error
		if m.Name, m.Session.Subject.Email, err = s.recheck(ctx, tx, r, now); err != nil {
			return err
		}
		changed, err := tx.EndChanged(ctx, m.Session, now)
		if err != nil {
			return err
		}
		events = Revocations(ctx, now, audit.System, ReasonSubjectChanged, "", changed...)
		for _, e := range changed {
			dead = append(dead, e.Previous)
		}
		previous, err := write(ctx, tx, r, &m.Session)
		if err != nil {
			return err
		}
		dead = append(dead, previous)
		events = append(events, audit.New(ctx, now, r.Subject.Actor(), minted{
			TokenID: m.Session.ID, Subject: r.Subject.ID, Issuer: r.Subject.Issuer, ClientID: r.ClientID, Label: r.Label,
			Scopes: kind.ScopeText(), ExpiresAt: m.Session.ExpiresAt, Rotated: !previous.IsZero(), ApprovedAt: r.ApprovedAt, ApprovedBy: r.Subject.ID,
		}).About(r.Subject.Key()).Workspace(r.WorkspaceID).Token(m.Session.ID))
		return tx.Append(ctx, events...)
	})
	if err != nil {
		if _, refused := errors.AsType[*RefusedError](err); refused || errors.Is(err, ErrFenced) || errors.Is(err, ErrHashTaken) {
			return Minted{}, err
		}
		return Minted{}, fault.Store(err)
	}
	s.Recorder.Committed(events...)
	s.settleCache(ctx, m.Session.TokenHash, dead)
	return m, nil
}

// settleCache tells the cache of a mint before the answer does: what was rotated out is
// dead, and no "unknown" hides what is new. A cache that is down fails no mint: the
// tombstones follow, and an "unknown" is forgotten after UnknownFor.
func (s *Service) settleCache(ctx context.Context, fresh secret.Digest, dead []secret.Digest) {
	_ = s.Bury(ctx, dead...)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), buryLimit)
	defer cancel()
	if s.Cache.Forget(ctx, fresh) != nil {
		_ = s.Cache.Forget(ctx, fresh)
	}
}

// recheck asks, under the epochs' locks, whether the subject may still have a token,
// and gives name and e-mail as they are now.
func (s *Service) recheck(ctx context.Context, tx Tx, r MintRequest, now time.Time) (name, email string, err error) {
	sum, err := tx.LockEpochs(ctx, r.Subject.EpochKeys(), now)
	if err != nil {
		return "", "", err
	}
	if sum != r.Epoch {
		return "", "", &RefusedError{Reason: "epoch"}
	}
	if r.Subject.AccountID == "" {
		return "", r.Subject.Email, recheckExternal(ctx, tx, r.Subject)
	}
	person, err := tx.Account(ctx, r.Subject.AccountID)
	if errors.Is(err, account.ErrNotFound) {
		return "", "", &RefusedError{Reason: "account_deleted"}
	}
	if err != nil {
		return "", "", err
	}
	if !person.Status.MayHoldTokens() {
		return "", "", &RefusedError{Reason: "account_" + string(person.Status)}
	}
	return person.Name, person.Email, nil
}

// recheckExternal refuses who has an account by now: their e-mail became one's, or
// their identity was linked to one.
func recheckExternal(ctx context.Context, tx Tx, s Subject) error {
	emailIsAccount, linked, err := tx.External(ctx, s)
	switch {
	case err != nil:
		return err
	case emailIsAccount:
		return &RefusedError{Reason: ReasonEmailIsAccount}
	case linked:
		return &RefusedError{Reason: ReasonIdentityLinked}
	}
	return nil
}

// Actor names the subject in audit. A person without an account has no id of ours.
func (s Subject) Actor() audit.Actor {
	if s.AccountID == "" {
		return audit.Anonymous
	}
	return audit.Account(s.AccountID)
}

// write passes the fence and then inserts or rotates the row. mints above one
// means that an earlier mint of this grant did not arrive: only the row that it
// made is rotated, so that neither a slow claim nor a second one revives an ended
// session or overwrites the login of another grant.
func write(ctx context.Context, tx Tx, r MintRequest, session *Session) (previous secret.Digest, err error) {
	mints, err := tx.Fence(ctx, r.Grant, r.ClaimNo, r.GrantExpires.Add(fenceKeeps))
	if err != nil {
		return secret.Digest{}, err
	}
	switch mints {
	case 0:
		return secret.Digest{}, ErrFenced
	case 1:
		session.ID, previous, err = tx.Upsert(ctx, *session)
	default:
		session.ID, previous, err = tx.Replace(ctx, *session)
		if errors.Is(err, ErrUnknown) {
			return secret.Digest{}, ErrFenced
		}
	}
	return previous, err
}
