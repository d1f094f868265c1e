// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// aboutEmbedded keeps what is about the embedded stores out of a run on a fleet: the
// other run has it.
func aboutEmbedded(t testing.TB) {
	t.Helper()
	if apitest.OnFleet() {
		t.Skip("about the embedded stores: the run without " + apitest.StoresEnv + "=fleet has it")
	}
}

// aboutFleet keeps what is about several servers on shared stores for the run on a fleet.
func aboutFleet(t testing.TB) {
	t.Helper()
	if !apitest.OnFleet() {
		t.Skip("about a fleet: the run with " + apitest.StoresEnv + "=fleet has it")
	}
}

// sqlInt runs a query that gives one integer.
func sqlInt(t testing.TB, s *apitest.Server, query string, args ...any) int {
	t.Helper()
	return sqlOne[int](t, s, query, args...)
}

// sqlText runs a query that gives one text.
func sqlText(t testing.TB, s *apitest.Server, query string, args ...any) string {
	t.Helper()
	return sqlOne[string](t, s, query, args...)
}

// sqlTime runs a query that gives one time.
func sqlTime(t testing.TB, s *apitest.Server, query string, args ...any) time.Time {
	t.Helper()
	return sqlOne[time.Time](t, s, query, args...)
}

// sqlDigest runs a query that gives one digest.
func sqlDigest(t testing.TB, s *apitest.Server, query string, args ...any) secret.Digest {
	t.Helper()
	d, err := secret.DigestFrom(sqlOne[[]byte](t, s, query, args...))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func sqlOne[T any](t testing.TB, s *apitest.Server, query string, args ...any) (v T) {
	t.Helper()
	if err := s.App.Stores.DB.QueryRow(context.Background(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// sqlExec runs a statement that must change something.
func sqlExec(t testing.TB, s *apitest.Server, query string, args ...any) {
	t.Helper()
	n, err := s.App.Stores.DB.Exec(context.Background(), query, args...)
	if err != nil || n == 0 {
		t.Fatalf("%s changed %d rows: %v", query, n, err)
	}
}

// sqlPlan gives how the engine would run a statement. Postgres decides by what a table
// holds, so there fill makes rows first, which are gone afterwards.
func sqlPlan(t testing.TB, s *apitest.Server, fill, statement string, args ...any) (plan string) {
	t.Helper()
	undo := errors.New("as it was")
	err := s.App.Stores.DB.InTx(t.Context(), func(ctx context.Context, tx sqldb.Querier) error {
		explain, columns := "EXPLAIN QUERY PLAN ", 4
		if s.App.Stores.DB.Dialect() == sqldb.Postgres {
			explain, columns = "EXPLAIN ", 1
			for _, first := range []string{fill, "ANALYZE"} {
				if _, err := tx.Exec(ctx, first); err != nil {
					return err
				}
			}
		}
		rows, err := tx.Query(ctx, explain+statement, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		var steps []string
		for rows.Next() {
			var step string
			dest := make([]any, columns)
			for i := range dest {
				dest[i] = new(any)
			}
			dest[columns-1] = &step
			if err := rows.Scan(dest...); err != nil {
				return err
			}
			steps = append(steps, step)
		}
		plan = strings.Join(steps, "\n")
		return errors.Join(rows.Err(), undo)
	})
	if !errors.Is(err, undo) {
		t.Fatal(err)
	}
	return plan
}

// sqlReadOnly lets the database take no writes, as a standby does after a failover, or
// take them again.
func sqlReadOnly(t testing.TB, s *apitest.Server, on bool) {
	t.Helper()
	ctx, db := context.Background(), s.App.Stores.DB
	if db.Dialect() == sqldb.SQLite {
		if _, err := db.Exec(ctx, fmt.Sprintf("PRAGMA query_only = %t", on)); err != nil {
			t.Fatal(err)
		}
		return
	}
	// What is set for the database holds for the connections that are opened then.
	err := db.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		name := ""
		_, err := tx.Exec(ctx, "SET TRANSACTION READ WRITE")
		if err == nil {
			err = tx.QueryRow(ctx, "SELECT current_database()").Scan(&name)
		}
		if err == nil {
			_, err = tx.Exec(ctx, fmt.Sprintf("ALTER DATABASE %s SET default_transaction_read_only = %t", name, on))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sqlReconnect(t, s)
}

// sqlReconnect ends the connections of a Postgres and waits until the pool holds none
// that is dead.
func sqlReconnect(t testing.TB, s *apitest.Server) {
	t.Helper()
	db := s.App.Stores.DB
	_ = db.QueryRow(context.Background(), `SELECT count(pg_terminate_backend(pid)) FROM (
		SELECT pid FROM pg_stat_activity WHERE datname = current_database() ORDER BY pid = pg_backend_pid() OFFSET 0) its_own_last`).Scan(new(int))
	eventually(t, func() (bool, string) {
		answered := tkAtOnce(pairConns, func(int) bool { // each on a connection of its own
			return db.QueryRow(context.Background(), "SELECT 1 FROM pg_sleep(0.05)").Scan(new(int)) == nil
		})
		return tkCount(answered, true) == pairConns, "the pool holds dead connections"
	})
}

// pairConns is how many connections a server of a pair holds at most.
const pairConns = 4

// addAccount adds an account with the owner's password and no workspace.
func addAccount(t testing.TB, s *apitest.Server, email string) (id string) {
	t.Helper()
	return addAccountLike(t, s, apitest.OwnerEmail, email, "Name of "+email)
}

// addAccountLike adds an account with the password of another.
func addAccountLike(t testing.TB, s *apitest.Server, other, email, name string) (id string) {
	t.Helper()
	id = canon.NewID()
	sqlExec(t, s, `INSERT INTO accounts (id, email, name, password_hash, status, deployment_admin, created_at, updated_at)
		SELECT $1, $2, $3, password_hash, 'active', $4, created_at, updated_at FROM accounts WHERE email = $5`, id, email, name, false, other)
	return id
}

// sharedCounters gives the scopes that Redis counts, none on the embedded stores.
func sharedCounters(t testing.TB, s *apitest.Server) (scopes []string) {
	t.Helper()
	if s.Pair == nil {
		return nil
	}
	for _, key := range testserver.RedisKeys(t, s.Pair.Client, s.Pair.Prefix+"rl:") {
		_, scope, _ := strings.Cut(strings.TrimSuffix(key, "}"), "{")
		scopes = append(scopes, scope)
	}
	return scopes
}
