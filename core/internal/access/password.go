// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"errors"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// PasswordChange is a person's own, on a browser that is signed in.
type PasswordChange struct {
	Signed   console.Signed
	Old, New secret.Text
	// RevokeTokens ends the person's live tokens too.
	RevokeTokens bool
	IP           string
	UserAgent    string
}

// errRehashed: the stored hash changed between its reading and the transaction.
var errRehashed = errors.New("access: the password hash has changed")

// ErrTombstones is a 503 after a change of password that took place: what it ended is
// ended, and its tombstones are still being written. It is a sentinel of its own: any
// other 503 has changed nothing.
var ErrTombstones = fault.New(fault.Unavailable, fault.ErrUnavailable.Code(), fault.ErrUnavailable.Text()).
	RetryAfter(fault.ErrUnavailable.Retry()).Hinted("The password has been changed. Sign in with the new one.")

// ChangePassword sets a new password. The epoch moves and every browser of the account
// is signed out but the present one, which goes on under a new value: nobody who knew
// the old password or took a cookie keeps anything, and an approval given with either
// dies unredeemed. It returns console.ErrInvalidCredentials for a wrong old password,
// console.ErrUnauthorized when the session has ended meanwhile, one of
// account.ErrPassword… for a new one that does not do, ErrTombstones, or a 503.
func (s *Service) ChangePassword(ctx context.Context, c PasswordChange) (console.Issued, error) {
	for range moves {
		issued, err := s.changePassword(ctx, c)
		if !errors.Is(err, errRehashed) {
			return issued, err
		}
	}
	return console.Issued{}, fault.ErrUnavailable.Because(errRehashed)
}

func (s *Service) changePassword(ctx context.Context, c PasswordChange) (console.Issued, error) {
	none := console.Issued{}
	a, err := s.Accounts.ByID(ctx, c.Signed.Account.ID)
	switch {
	case errors.Is(err, account.ErrNotFound), err == nil && a.Status != account.Active:
		return none, console.ErrUnauthorized
	case err != nil:
		return none, fault.Store(err)
	}
	fits, _, err := s.Passwords.Verify(ctx, c.Old, a.PasswordHash)
	if err != nil {
		return none, fault.Store(err)
	}
	if !fits {
		return none, console.ErrInvalidCredentials
	}
	if err := s.Passwords.Check(c.New, a.Email); err != nil {
		return none, err
	}
	hash, err := s.Passwords.Hash(ctx, c.New)
	if err != nil {
		return none, fault.Store(err)
	}
	issued := s.Console.Fresh(a, console.HowPassword, console.Browser{Remember: c.Signed.Session.Remember, IP: c.IP, UserAgent: c.UserAgent})
	buried, err := s.act(ctx, func(ctx context.Context, tx Tx, out *outcome) error {
		return s.rotate(ctx, tx, out, c, a, hash, issued.Session)
	})
	switch {
	case err != nil:
		return none, err
	case buried != nil:
		return none, ErrTombstones.Because(buried)
	}
	return issued, nil
}

// rotate writes the new hash and begins the fresh session in place of all others.
func (s *Service) rotate(ctx context.Context, tx Tx, out *outcome, c PasswordChange, a account.Account, hash string, fresh console.Session) error {
	actor, key := audit.Account(a.ID), token.AccountKey(a.ID)
	k := s.begin(out, token.ReasonUser, "", actor)
	if _, err := tx.LockEpochs(ctx, token.LockOrder(key), k.now); err != nil {
		return err
	}
	if ok, err := tx.SetPassword(ctx, a.ID, a.PasswordHash, hash, k.now); err != nil {
		return err
	} else if !ok {
		return errRehashed // a sign-in rehashed it, another change won, or the account is not active any more
	}
	if ok, err := tx.EndBrowser(ctx, a.ID, c.Signed.Session.ID); err != nil {
		return err
	} else if !ok {
		return console.ErrUnauthorized
	}
	others, err := tx.EndBrowsers(ctx, a.ID)
	if err != nil {
		return err
	}
	if err := tx.BeginBrowser(ctx, fresh); err != nil {
		return err
	}
	if err := tx.BumpEpoch(ctx, key, "password_changed", k.now); err != nil {
		return err
	}
	tokens := 0
	if c.RevokeTokens {
		if tokens, err = k.tokens(ctx, tx, rowsOf(a.ID)); err != nil {
			return err
		}
	}
	out.events = append(out.events, audit.New(ctx, k.now, actor,
		passwordChanged{SessionID: fresh.ID, ConsoleSessionsEnded: others, TokensRevoked: tokens}).About(key))
	return nil
}
