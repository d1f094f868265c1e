// SPDX-License-Identifier: Apache-2.0

package testserver

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// usualPostgres is where "make deps" leaves a server.
const usualPostgres = "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"

// adminLimit bounds what is asked of a server about its databases.
const adminLimit = 30 * time.Second

// Postgres gives the address of a fresh, empty database that is dropped with the
// test: on the server of TEST_DATABASE_URL, else on 127.0.0.1:5432, else on one that
// this process starts once from its binaries. A server that is named must answer.
func Postgres(t testing.TB) (address string) {
	t.Helper()
	return createDatabase(t, postgresServer(t))
}

// createDatabase makes a database on a server until the test ends.
func createDatabase(t testing.TB, server string) string {
	t.Helper()
	name := databaseName()
	if err := admin(server, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("testserver: %v", err)
	}
	t.Cleanup(func() { drop(t, server, name) })
	return onServer(server, name)
}

func drop(t testing.TB, server, name string) {
	if err := admin(server, dropping(name)); err != nil {
		t.Logf("testserver: database %s is left behind: %v", name, err)
	}
}

const databasePrefix = "sso_test_"

// databaseName carries the process, so that what a killed one left can be told.
func databaseName() string {
	return fmt.Sprintf("%s%d_%s", databasePrefix, os.Getpid(), strings.ToLower(rand.Text()[:10]))
}

func dropping(name string) string { return "DROP DATABASE IF EXISTS " + name + " WITH (FORCE)" }

// onServer gives the address of another database of a server. It always has a query, to
// which a test may add.
func onServer(server, database string) string {
	u, err := url.Parse(server)
	if err != nil {
		panic(err) // it has been connected to
	}
	u.Path = "/" + database
	if u.RawQuery == "" {
		u.RawQuery = "sslmode=prefer"
	}
	return u.String()
}

// admin runs statements on the server's own database.
func admin(server string, statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), adminLimit)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

var shared struct {
	once   sync.Once
	server string
	named  bool // by the environment
	err    error
}

// postgresServer finds or starts the one server of this process.
func postgresServer(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() {
		shared.server, shared.named, shared.err = findPostgres()
		if shared.err == nil && !shared.named { // else the processes may be another machine's
			sweepDatabases(shared.server)
		}
	})
	if shared.err != nil && shared.named {
		t.Fatalf("testserver: TEST_DATABASE_URL: %v", shared.err)
	}
	if shared.err != nil {
		Missing(t, "no Postgres answers at 127.0.0.1:5432 and none could be started", shared.err)
	}
	return shared.server
}

func findPostgres() (server string, named bool, err error) {
	if server = os.Getenv("TEST_DATABASE_URL"); server != "" {
		return server, true, answers(server)
	}
	if err = answers(usualPostgres); err == nil {
		return usualPostgres, false, nil
	}
	// Nobody asks this server to survive a crash, so it writes nothing twice.
	s, err := newPostgresServer("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=400")
	if err != nil {
		return "", false, err
	}
	if err = s.start(); err != nil {
		return "", false, err
	}
	return s.URL(), false, nil
}

// answers reports whether a server lets us in.
func answers(server string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	return conn.Ping(ctx)
}

// sweepDatabases drops what processes of this machine left that are gone: templates,
// and the databases of tests that were killed.
func sweepDatabases(server string) {
	ctx, cancel := context.WithTimeout(context.Background(), adminLimit)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", databasePrefix)
	if err != nil {
		return
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return
	}
	for _, name := range names {
		var pid int
		if _, err := fmt.Sscanf(name, databasePrefix+"%d_", &pid); err == nil && !alive(pid) {
			_, _ = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name) // another process may be faster
		}
	}
}
