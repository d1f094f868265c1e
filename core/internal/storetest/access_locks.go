// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// accessLocks lets everything that takes several rows happen to the same few people at
// once, on two replicas. Each act may lose to another, and none is an outage: who waits
// for whom is always in one order.
func accessLocks(t *testing.T, open OpenDurable) {
	t.Run("OUT-02 INV-10 acts on the same rows at once never wait for each other in a circle", func(t *testing.T) {
		a, b := open(t)
		replicas := []replica{a.replica(t, a.Access, start), b.replica(t, b.Access, start)}
		handles := []Durable{a, b}
		people := make([]account.Account, 2)
		for i := range people {
			people[i] = a.AddActive(t, fmt.Sprintf("ada-%d@example.com", i))
			a.AddIdentity(t, people[i].ID, idp, fmt.Sprint("ada-", i))
		}
		before := deadlocks(t, a)
		acts := []func(ctx context.Context, r replica, d Durable, who account.Account, n int) error{
			0: func(ctx context.Context, r replica, _ Durable, who account.Account, n int) error {
				s := token.AccountSubject(who.ID, who.Email)
				epoch, err := r.minter.Epoch(ctx, s)
				if err != nil {
					return err
				}
				_, err = r.minter.Mint(ctx, token.MintRequest{
					Grant: digestOf(fmt.Sprint("lock ", n)), ClaimNo: 1, GrantExpires: start.Add(time.Hour), Prefix: token.AccountKind.Prefix, Subject: s, Epoch: epoch,
					ClientID: "difyctl", Label: fmt.Sprint(n % 3), ApprovedAt: start, IP: "192.0.2.1",
				})
				return err
			},
			1: func(ctx context.Context, r replica, _ Durable, who account.Account, _ int) error {
				_, err := r.minter.EndOthers(ctx, token.AccountSubject(who.ID, who.Email), "", audit.Account(who.ID))
				return err
			},
			2: func(ctx context.Context, r replica, _ Durable, who account.Account, n int) error {
				targets := []access.Target{{AccountID: who.ID}, {Issuer: idp, SubjectID: who.Email[:5]}, {Issuer: token.AccountIssuer, Email: who.Email}}
				_, err := r.access.Kill(ctx, targets[n%len(targets)], "test", audit.Operator)
				return err
			},
			3: func(ctx context.Context, r replica, _ Durable, who account.Account, n int) error {
				status := []account.Status{account.Banned, account.Active}[n%2]
				_, err := r.access.SetStatus(ctx, who.ID, status, audit.Operator)
				return err
			},
			4: func(ctx context.Context, r replica, _ Durable, who account.Account, n int) error {
				issued, err := r.access.Console.Begin(ctx, who, console.HowPassword, console.Browser{IP: "192.0.2.1", UserAgent: "Firefox"})
				if err != nil || n%2 == 0 {
					return err
				}
				_, err = r.access.Console.EndOthers(ctx, who, issued.Session.ID, token.AccountKey(who.ID))
				return err
			},
			5: func(ctx context.Context, _ replica, d Durable, who account.Account, _ int) error {
				list, _, err := d.Tokens.List(ctx, token.AccountSubject(who.ID, who.Email), start, 0, 10)
				var uses []token.Use
				for _, s := range list {
					uses = append(uses, token.Use{ID: s.ID, At: start.Add(time.Second), IP: "192.0.2.1"})
				}
				return errors.Join(err, d.Tokens.TouchUsed(ctx, uses))
			},
			6: func(ctx context.Context, _ replica, d Durable, _ account.Account, _ int) error {
				_, err := d.Prune.Tokens(ctx, start.Add(time.Minute), 5) // rows that have ended by then
				return err
			},
		}
		const workers = 14
		for _, err := range atOnce(workers, func(w int) error {
			for n := range accessRounds(150) {
				i := w*1000 + n
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				err := acts[w%len(acts)](ctx, replicas[n%2], handles[n%2], people[(w+n)%len(people)], i)
				cancel()
				if _, refused := errors.AsType[*token.RefusedError](err); err != nil && !refused {
					return fmt.Errorf("act %d: %w", w%len(acts), err)
				}
			}
			return nil
		}) {
			if err != nil {
				t.Error(err)
			}
		}
		if n := deadlocks(t, a) - before; n > 0 {
			t.Errorf("%d deadlocks", n)
		}
	})
}

// deadlocks counts those that Postgres has broken in this database.
func deadlocks(t *testing.T, d Durable) int {
	t.Helper()
	if d.DB.Dialect() != sqldb.Postgres {
		return 0
	}
	return d.Count(t, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`)
}
