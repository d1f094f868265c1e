// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// TokenFilter says whose live sessions are listed: of an e-mail (of accounts and of
// people without one), of an account, or, when empty, of everybody.
type TokenFilter struct {
	Email     string `json:"email,omitempty"`
	AccountID string `json:"account_id,omitempty"`
}

// The page of a list, as everywhere.
const (
	DefaultPage = 20
	MaxPage     = 200
)

// TokenSession is a live session as an administrator sees it: everything but the token.
type TokenSession struct {
	ID           string     `json:"id"`
	Prefix       string     `json:"prefix"`
	Issuer       string     `json:"subject_issuer"`
	SubjectID    string     `json:"subject_id"`
	Email        string     `json:"subject_email"`
	AccountID    string     `json:"account_id,omitempty"`
	ConnectionID string     `json:"connection_id,omitempty"`
	ClientID     string     `json:"client_id"`
	Label        string     `json:"device_label"`
	CreatedAt    time.Time  `json:"created_at"`
	ApprovedAt   time.Time  `json:"approved_at"`
	ExpiresAt    time.Time  `json:"expires_at"`
	LastUsedAt   *time.Time `json:"last_used_at"`
	CreatedIP    string     `json:"created_ip,omitempty"`
	LastUsedIP   string     `json:"last_used_ip,omitempty"`
}

// TokenPage is one page of live sessions, newest first.
type TokenPage struct {
	Page    int            `json:"page"`
	Limit   int            `json:"limit"`
	Total   int            `json:"total"`
	HasMore bool           `json:"has_more"`
	Data    []TokenSession `json:"data"` // never null
}

// ListTokens gives a page (from 1) of at most limit live sessions (1 to MaxPage). It
// returns ErrTarget for a page, limit or filter that nothing can fit.
func (s *Service) ListTokens(ctx context.Context, f TokenFilter, page, limit int) (TokenPage, error) {
	if email, ok := canon.Email(f.Email); ok {
		f.Email = email
	} else if f.Email != "" {
		return TokenPage{}, ErrTarget
	}
	if f.AccountID != "" && !canon.IsID(f.AccountID) || page < 1 || page > maxPages || limit < 1 || limit > MaxPage {
		return TokenPage{}, ErrTarget
	}
	list, total, err := s.Store.List(ctx, f, s.now(), (page-1)*limit, limit)
	if err != nil {
		return TokenPage{}, fault.Store(err)
	}
	out := TokenPage{Page: page, Limit: limit, Total: total, HasMore: page*limit < total, Data: make([]TokenSession, 0, len(list))}
	for _, t := range list {
		out.Data = append(out.Data, TokenSession{
			ID: t.ID, Prefix: t.Prefix, Issuer: t.Subject.Issuer, SubjectID: t.Subject.ID, Email: t.Subject.Email, AccountID: t.Subject.AccountID,
			ConnectionID: t.Subject.ConnectionID, ClientID: t.ClientID, Label: t.Label, CreatedAt: t.CreatedAt, ApprovedAt: t.ApprovedAt,
			ExpiresAt: t.ExpiresAt, LastUsedAt: t.LastUsedAt, CreatedIP: t.CreatedIP, LastUsedIP: t.LastUsedIP,
		})
	}
	return out, nil
}

// maxPages keeps an offset within what every engine counts.
const maxPages = 1 << 30

// Revoked says what became of one session.
type Revoked struct {
	ID string `json:"id"`
	// Before: it had ended already.
	Before bool `json:"ended_before"`
}

// RevokeSession ends one session of whomever, reason admin. Ending it again succeeds
// and writes the tombstone again. It returns token.ErrSessionNotFound for an id that no
// session has, or a 503 as Kill does.
func (s *Service) RevokeSession(ctx context.Context, id string, actor audit.Actor) (Revoked, error) {
	if !canon.IsID(id) {
		return Revoked{}, token.ErrSessionNotFound
	}
	r := Revoked{ID: id}
	now := s.now()
	buried, err := s.act(ctx, func(ctx context.Context, tx Tx, out *outcome) error {
		ended, won, err := tx.EndToken(ctx, id, token.ReasonAdmin, now)
		if err != nil {
			return err
		}
		if r.Before = !won; won {
			out.events = token.Revocations(ctx, now, actor, token.ReasonAdmin, "", ended)
		}
		if !ended.Previous.IsZero() {
			out.bury = append(out.bury, ended.Previous)
		}
		return nil
	})
	if err != nil {
		return Revoked{}, err
	}
	return r, buried
}
