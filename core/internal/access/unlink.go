// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// Link ties an identity of an identity provider to an account.
type Link struct {
	AccountID    string
	Issuer       string
	SubjectID    string
	ConnectionID string // through which it was made; may be empty
}

// UnlinkIssuer takes every identity of an issuer from its account and gives their number,
// each on record, in one transaction. Tokens and browsers stay: they end with the
// connection that they began through (Kill). No epoch moves, for an approval of a linked
// identity is refused for the link alone. It returns ErrTarget for what is no issuer, or
// a reason outside 1 to MaxReason characters.
func (s *Service) UnlinkIssuer(ctx context.Context, issuer, reason string, actor audit.Actor) (int, error) {
	reason, ok := canon.Text(reason, MaxReason)
	if !ok || issuer == "" || !plain(issuer, MaxIdentity) {
		return 0, ErrTarget
	}
	var links []Link
	_, err := s.act(ctx, func(ctx context.Context, tx Tx, out *outcome) (err error) {
		if links, err = tx.Unlink(ctx, issuer); err != nil {
			return err
		}
		now := s.now()
		for _, l := range links {
			out.events = append(out.events, audit.New(ctx, now, actor, identityUnlinked{
				AccountID: l.AccountID, Issuer: l.Issuer, SubjectID: l.SubjectID, ConnectionID: l.ConnectionID, Reason: reason,
			}).About(token.ExternalKey(l.Issuer, l.SubjectID)))
		}
		return nil
	})
	return len(links), err
}

// identityUnlinked is sso.identity_unlinked.
type identityUnlinked struct {
	AccountID    string `json:"account_id"`
	Issuer       string `json:"issuer"`
	SubjectID    string `json:"subject_id"`
	ConnectionID string `json:"connection_id,omitempty"`
	Reason       string `json:"reason"`
}

// EventName implements audit.Details.
func (identityUnlinked) EventName() string { return "sso.identity_unlinked" }
