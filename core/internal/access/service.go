// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Tombs writes the tombstones of tokens that have ended.
type Tombs interface {
	// Bury returns nil once every tombstone stands. Those that cannot be written now it
	// keeps trying to write, and returns fault.ErrUnavailable.
	Bury(ctx context.Context, digests ...secret.Digest) error
}

// Deps is what a Service needs; all fields are required.
type Deps struct {
	Store     Store
	Accounts  account.Store
	Passwords *account.Passwords
	Console   *console.Service
	Tombs     Tombs
	Recorder  *audit.Recorder
	Now       func() time.Time
}

// Service ends access. It is safe for concurrent use.
type Service struct{ Deps }

// New checks the dependencies.
func New(d Deps) (*Service, error) {
	if d.Store == nil || d.Accounts == nil || d.Passwords == nil || d.Console == nil || d.Tombs == nil || d.Recorder == nil || d.Now == nil {
		return nil, errors.New("access: every dependency is required")
	}
	return &Service{d}, nil
}

// outcome is what a transaction leaves to be done after its commit.
type outcome struct {
	events []audit.Event
	bury   []secret.Digest
}

// buryLimit bounds the tombstones of an act that is over, whatever became of its
// caller.
const buryLimit = 5 * time.Second

// act runs fn in one transaction, puts its events on record with it, and then writes
// the tombstones. The error is that of the transaction; buried is nil when every
// tombstone stands, and else a 503 after an act that took place.
func (s *Service) act(ctx context.Context, fn func(ctx context.Context, tx Tx, out *outcome) error) (buried, err error) {
	var out outcome
	err = s.Store.InTx(ctx, func(ctx context.Context, tx Tx) error {
		out = outcome{}
		if err := fn(ctx, tx, &out); err != nil {
			return err
		}
		return tx.Append(ctx, out.events...)
	})
	if err != nil {
		return nil, fault.Store(err)
	}
	s.Recorder.Committed(out.events...)
	return s.Bury(ctx, Ending{bury: out.bury}), nil
}

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }
