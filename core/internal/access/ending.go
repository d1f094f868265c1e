// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Ending is what has ended in a transaction that is somebody else's. Its events are for
// that one to write and to record; once it is committed, Bury finishes it.
type Ending struct {
	Receipt Receipt
	Events  []audit.Event
	bury    []secret.Digest
}

// KeysOf are the epochs that a transaction locks, before anything else, in which an
// account becomes active.
func KeysOf(accountID, email string) []string {
	return token.LockOrder(token.AccountKey(accountID), token.EmailKey(email))
}

// BecameActive ends, in a transaction that has made an account active, what SetStatus
// ends: an account takes its e-mail over. The transaction has locked KeysOf the account.
func (s *Service) BecameActive(ctx context.Context, tx Tx, a account.Account, actor audit.Actor) (Ending, error) {
	var out outcome
	k := s.begin(&out, token.ReasonEmailBecameAccount, "", actor)
	err := k.active(ctx, tx, a)
	return Ending{Receipt: k.receipt, Events: out.events, bury: out.bury}, err
}

// Bury writes the tombstones of what has ended, whose transaction is committed. It
// returns a 503 while one of them does not stand.
func (s *Service) Bury(ctx context.Context, e Ending) error {
	if len(e.bury) == 0 {
		return nil
	}
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), buryLimit)
	defer cancel()
	return fault.Store(s.Tombs.Bury(work, e.bury...))
}
