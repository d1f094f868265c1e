// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"errors"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// ErrOtherClient refuses a revocation by a client that the token was not issued to
// (RFC 7009 section 2.1).
var ErrOtherClient = fault.Verdict(fault.Invalid, "invalid_grant")

// errRotated takes an end back: the row has a newer credential than the presented one.
var errRotated = errors.New("token: the row was rotated meanwhile")

// Revoke ends the session of a presented token (RFC 7009), which proves itself. What is
// not live any more, or never was a token of ours, is a success too. A client id, when
// given, must be the token's. When Revoke returns nil every process refuses the token at
// its next request, also when this is the repeat of a call that failed.
func (s *Service) Revoke(ctx context.Context, presented, clientID string) error {
	_, d, err := s.Kinds.Parse(presented)
	if err != nil {
		return nil //nolint:nilerr // RFC 7009 section 2.2: an invalid token is no failure
	}
	r, err := s.Store.ByDigest(ctx, d)
	now := s.Now()
	switch {
	case errors.Is(err, ErrUnknown):
		return s.buryAgainOnRequest(ctx, d)
	case err != nil:
		return fault.Store(err)
	case !r.Session.ExpiresAt.After(now): // it ran out before; no reason is written over that
		return s.expire(ctx, r.Session, now)
	case clientID != "" && clientID != r.Session.ClientID:
		return ErrOtherClient
	}
	err = s.endTx(ctx, func(ctx context.Context, tx Tx) ([]audit.Event, []secret.Digest, error) {
		ended, won, err := tx.End(ctx, r.Session.ID, ReasonRFC7009, now)
		switch {
		case err != nil:
			return nil, nil, err
		case won && ended.Previous != d:
			// A login rotated the row since it was read. The presented token is dead by
			// that, and its holder is not asking for the end of the new one.
			return nil, nil, errRotated
		case !won:
			return nil, []secret.Digest{d}, nil
		}
		return Revocations(ctx, now, r.Session.Subject.Actor(), ReasonRFC7009, "", ended), []secret.Digest{d}, nil
	})
	if errors.Is(err, errRotated) {
		return s.buryAgainOnRequest(ctx, d)
	}
	return err
}

// buryAgainOnRequest writes the tombstone of a token that the registry no longer knows:
// the call may be the repeat of a revoke whose tombstone failed, perhaps on another
// process, and the row tells nothing more, for ended hashes are not looked up. A
// stranger can have a tombstone written for a token that never was. That costs what an
// "unknown" does, is bounded by the route's limit, and hides nobody's token, for a mint
// forgets what is known of its new hash. It is not repeated in the background: whoever
// gets the failure does that.
func (s *Service) buryAgainOnRequest(ctx context.Context, d secret.Digest) error {
	ctx, cancel := context.WithTimeout(ctx, buryLimit)
	defer cancel()
	return fault.Store(s.Cache.Bury(ctx, s.Now(), d))
}
