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

func TestATemplateIsMadeOnce(t *testing.T) {
	made := 0
	for range 3 {
		address := testserver.PostgresLike(t, "test", func(address string) error {
			made++
			conn, err := pgx.Connect(t.Context(), address)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(t.Context()) }()
			_, err = conn.Exec(t.Context(), "CREATE TABLE t (id int PRIMARY KEY)")
			return err
		})
		do(t, address, "INSERT INTO t VALUES (1)")
	}
	if made != 1 {
		t.Fatalf("made %d times", made)
	}
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
