// SPDX-License-Identifier: Apache-2.0

package testserver_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dify-sso/dify-sso/pkg/testserver"
)

func postgres(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func do(t *testing.T, address string, statements ...string) {
	t.Helper()
	conn := postgres(t, address)
	for _, s := range statements {
		if _, err := conn.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	var first string
	t.Run("one", func(t *testing.T) {
		first = testserver.Postgres(t)
		do(t, first, "CREATE TABLE t (id int)", "INSERT INTO t VALUES (1)")
		do(t, testserver.Postgres(t), "CREATE TABLE t (id int)")
	})
	if conn, err := pgx.Connect(t.Context(), first); err == nil {
		_ = conn.Close(t.Context())
		t.Fatal("it outlived its test")
	}
}

func TestATemplateIsMadeOnceAndItsCopiesAreUsedAgain(t *testing.T) {
	made, used := 0, map[string]int{}
	like := func(t *testing.T) string {
		t.Helper()
		address := testserver.PostgresLike(t, "test", func(address string) error {
			made++
			conn, err := pgx.Connect(t.Context(), address)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(t.Context()) }()
			_, err = conn.Exec(t.Context(), "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int REFERENCES t); CREATE TABLE version (id int); INSERT INTO version VALUES (1)")
			return err
		})
		var n, version int
		if err := postgres(t, address).QueryRow(t.Context(), "SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM u), (SELECT sum(id) FROM version)").Scan(&n, &version); err != nil || n != 0 || version != 1 {
			t.Fatalf("%d rows, version %d, %v", n, version, err)
		}
		used[address]++
		return address
	}
	for _, leave := range []string{
		"INSERT INTO t VALUES (1); INSERT INTO u VALUES (1)", "SELECT 1", // a copy
		"INSERT INTO version VALUES (2)",    // another, for the first is gone
		"ALTER TABLE t ADD COLUMN more int", // and so on
		"GRANT SELECT ON t TO PUBLIC", "SELECT 1",
	} {
		t.Run(leave, func(t *testing.T) { do(t, like(t), leave) })
	}
	if made != 1 || len(used) != 4 {
		t.Fatalf("made %d times, %d copies", made, len(used))
	}
	t.Run("two at once", func(t *testing.T) {
		if one, other := like(t), like(t); one == other {
			t.Fatal("one copy for two")
		}
	})
}

// What was committed outlives the process, and a server comes back at its address.
func TestAServerOfItsOwn(t *testing.T) {
	s := testserver.StartPostgres(t)
	address := s.Database(t)
	do(t, address, "CREATE TABLE t (id int)", "INSERT INTO t VALUES (1)")
	s.Kill()
	if conn, err := pgx.Connect(t.Context(), address); err == nil {
		_ = conn.Close(t.Context())
		t.Fatal("a killed server answers")
	}
	s.Start(t)
	do(t, address, "INSERT INTO t VALUES (2)")
	s.Stop(t)
	s.Start(t)
	var n int
	if err := postgres(t, address).QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil || n != 2 {
		t.Fatalf("%d rows, %v", n, err)
	}
}
