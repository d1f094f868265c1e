// SPDX-License-Identifier: Apache-2.0

package testserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PostgresLike is Postgres with what make leaves in a database: it runs once per process
// and name, and the schema is copied for each test. Copies are used again after a test:
// rows are deleted, but in the tables that had some at first, and a database whose schema
// or first rows a test has changed is dropped. make closes what it opens.
func PostgresLike(t testing.TB, name string, make func(address string) error) (address string) {
	t.Helper()
	server := postgresServer(t)
	templates.Lock()
	tpl := templates.made[name]
	if tpl == nil {
		tpl = &template{server: server}
		templates.made[name] = tpl
	}
	templates.Unlock()
	tpl.once.Do(func() { tpl.err = tpl.prepare(make) })
	if tpl.err != nil {
		t.Fatalf("testserver: template %s: %v", name, tpl.err)
	}
	copied, err := tpl.take()
	if err != nil {
		t.Fatalf("testserver: a copy of template %s: %v", name, err)
	}
	t.Cleanup(func() {
		if tpl.wipe(copied) == nil {
			tpl.Lock()
			defer tpl.Unlock()
			tpl.free = append(tpl.free, copied)
			return
		}
		drop(t, server, copied)
	})
	return onServer(server, copied)
}

// templates outlive the tests of this process; the sweep of a later one drops them.
var templates = struct {
	sync.Mutex
	made map[string]*template
}{made: map[string]*template{}}

type template struct {
	server string
	once   sync.Once
	err    error
	name   string
	kept   []string // tables that have rows
	print  string

	sync.Mutex
	free []string
}

func (p *template) prepare(make func(address string) error) error {
	p.name = databaseName()
	if err := admin(p.server, "CREATE DATABASE "+p.name); err != nil {
		return err
	}
	if err := make(onServer(p.server, p.name)); err != nil {
		return errors.Join(err, admin(p.server, dropping(p.name)))
	}
	return inside(onServer(p.server, p.name), func(ctx context.Context, conn *pgx.Conn) error {
		all, err := tables(ctx, conn)
		if err != nil {
			return err
		}
		for _, table := range all {
			var some bool
			if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+table+")").Scan(&some); err != nil {
				return err
			}
			if some {
				p.kept = append(p.kept, table)
			}
		}
		p.print, err = p.fingerprint(ctx, conn)
		return err
	})
}

// take gives a copy.
func (p *template) take() (string, error) {
	p.Lock()
	if n := len(p.free); n > 0 {
		name := p.free[n-1]
		p.free = p.free[:n-1]
		p.Unlock()
		return name, nil
	}
	p.Unlock()
	name := databaseName()
	return name, admin(p.server, "CREATE DATABASE "+name+" TEMPLATE "+p.name)
}

// errChanged: a test has left more than rows.
var errChanged = errors.New("it is no copy any more")

// wipe makes a copy as it was.
func (p *template) wipe(name string) error {
	return inside(onServer(p.server, name), func(ctx context.Context, conn *pgx.Conn) error {
		// Nobody may write after this: a test that ended has nothing to do here.
		if _, err := conn.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"); err != nil {
			return err
		}
		all, err := tables(ctx, conn)
		if err != nil {
			return err
		}
		var statements strings.Builder
		statements.WriteString("SET session_replication_role = replica;") // the order does not matter
		for _, table := range all {
			if !slices.Contains(p.kept, table) {
				statements.WriteString("DELETE FROM " + table + ";")
			}
		}
		if _, err := conn.Exec(ctx, statements.String()); err != nil {
			return err
		}
		if now, err := p.fingerprint(ctx, conn); err != nil || now != p.print {
			return errors.Join(errChanged, err)
		}
		return nil
	})
}

// fingerprint changes with every relation, column, right and rule of the schema, and with
// the rows of the tables that had some.
func (p *template) fingerprint(ctx context.Context, conn *pgx.Conn) (print string, err error) {
	parts := []string{
		"SELECT string_agg(concat_ws(' ', relname, relkind, relowner, relacl), ',' ORDER BY relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace",
		"SELECT string_agg(concat_ws(' ', c.relname, a.attnum, a.attname, a.atttypid, a.attnotnull), ',' ORDER BY c.relname, a.attnum) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = 'public'::regnamespace",
		"SELECT string_agg(concat_ws(' ', conname, pg_get_constraintdef(oid)), ',' ORDER BY conname) FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
		"SELECT string_agg(pg_get_indexdef(indexrelid), ',' ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)",
		"SELECT string_agg(tgname, ',' ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal",
	}
	for _, table := range p.kept {
		parts = append(parts, "SELECT string_agg(t::text, ',' ORDER BY t::text) FROM "+table+" t")
	}
	err = conn.QueryRow(ctx, "SELECT md5(concat_ws('|', ("+strings.Join(parts, "), (")+")))").Scan(&print)
	return print, err
}

func tables(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, "SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// inside connects to a database while fn runs.
func inside(address string, fn func(ctx context.Context, conn *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), adminLimit)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	return fn(ctx, conn)
}
