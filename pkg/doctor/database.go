// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"os"

	"github.com/dify-sso/dify-sso/pkg/schema"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Database is the database of a service, and what of it has to fit this program. Looking at
// it changes nothing.
type Database struct {
	Program string // whose commands mend what is wrong
	// File is that of SQLite; empty where Postgres keeps everything.
	File string
	// Open opens it beside whoever serves on it.
	Open     func(ctx context.Context) (sqldb.DB, error)
	Rights   Rights
	MaxConns int // the pool of a process
	Migrator func(db sqldb.DB) (*schema.Migrator, error)
	// Canary compares our keys with those of the database: the ids of the sealing keys, and
	// whether only the former key fits. It returns ErrNoCanary.
	Canary func(ctx context.Context, db sqldb.DB) (ids []string, previous bool, err error)
}

// Look is the check of the database, the schema and the keys.
func (d Database) Look(ctx context.Context) []Finding {
	embedded := d.File != ""
	if embedded {
		if _, err := os.Stat(d.File); errors.Is(err, os.ErrNotExist) {
			return []Finding{{Check: Schema, Status: Skipped, Text: "There is no database in DATA_DIR yet: the first start makes it."}}
		}
	}
	db, err := d.Open(ctx)
	if err != nil {
		if embedded {
			return JudgeSchema(schema.Status{}, err, "", true)
		}
		return PostgresDown(err)
	}
	defer func() { _ = db.Close() }()
	var found []Finding
	if !embedded {
		p, err := ReadPostgres(ctx, db, d.Rights)
		if err != nil {
			return PostgresDown(err)
		}
		found = append(JudgePostgres(p, d.MaxConns), JudgeClock("Postgres", p.Now, p.Before, p.Answered, 0)...)
	}
	migrator, err := d.Migrator(db)
	if err != nil {
		return append(found, JudgeSchema(schema.Status{}, err, "", embedded)...)
	}
	status, err := migrator.Status(ctx)
	found = append(found, JudgeSchema(status, err, d.Program+" migrate up", embedded)...)
	if err != nil || status.Current == 0 {
		return found
	}
	ids, previous, err := d.Canary(ctx, db)
	found = append(found, JudgeCanary(previous, err, d.Program+" admin rotate-secret-key")...)
	return append(found, JudgeSealing(ids, d.Program+" admin rotate-sealing-key")...)
}

// Usable reports whether a service can be built on the database without changing it.
func (d Database) Usable(ctx context.Context) bool {
	for _, f := range d.Look(ctx) {
		if f.Status == Fail || (f.Check == Schema || f.Check == KeysCanary) && f.Status != OK {
			return false
		}
	}
	return true
}
