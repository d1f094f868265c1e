// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dify-sso/dify-sso/migrations"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

const (
	// rotated is how many tokens warm requests and logins go around in.
	rotated   = 5000
	tokenLife = 14 * 24 * time.Hour
)

// tokenOf is the text of the i-th seeded token.
func tokenOf(i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "bench token %d", i))
	return "dfoa_" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func rowID(i int) string { return fmt.Sprintf("00000000-0000-7000-9000-%012x", i) }

// bulk inserts rows from 0 to below n, many in one statement.
func bulk(ctx context.Context, tx sqldb.Querier, table string, columns []string, n int, row func(i int) []any) error {
	const rows = 200
	for from := 0; from < n; from += rows {
		var values []string
		var args []any
		for i := from; i < min(from+rows, n); i++ {
			marks := make([]string, len(columns))
			for j := range marks {
				marks[j] = fmt.Sprintf("$%d", len(args)+j+1)
			}
			values = append(values, "("+strings.Join(marks, ", ")+")")
			args = append(args, row(i)...)
		}
		if _, err := tx.Exec(ctx, "INSERT INTO "+table+" ("+strings.Join(columns, ", ")+") VALUES "+strings.Join(values, ", "), args...); err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
	}
	return nil
}

// people is how many accounts own the tokens: one person has few devices, and what a
// mint asks about a person must not be asked of thousands of rows.
const people = rotated

func accountID(i int) string { return rowID(1<<41 + i) }
func emailOf(i int) string   { return fmt.Sprintf("user%d@example.com", i) }

// cookieOf is the value of a person's browser session.
func cookieOf(i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "bench browser %d", i))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// seedPeople puts accounts, members of the one workspace and signed in, and n live
// tokens of theirs into a database.
func seedPeople(ctx context.Context, db sqldb.DB, n int) error {
	var workspace string
	if err := db.QueryRow(ctx, "SELECT id FROM workspaces").Scan(&workspace); err != nil {
		return err
	}
	now := time.Now().UTC()
	end := now.Add(tokenLife)
	return db.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		return errors.Join(
			bulk(ctx, tx, "accounts", []string{"id", "email", "name", "status", "deployment_admin", "created_at", "updated_at"}, people, func(i int) []any {
				return []any{accountID(i), emailOf(i), fmt.Sprint("User ", i), "active", false, now, now}
			}),
			bulk(ctx, tx, "memberships", []string{"id", "workspace_id", "account_id", "role", "current", "created_at", "updated_at"}, people, func(i int) []any {
				return []any{rowID(i), workspace, accountID(i), "normal", true, now, now}
			}),
			bulk(ctx, tx, "console_sessions", []string{"id", "account_id", "token_hash", "created_at", "last_seen_at", "expires_at", "remember", "how", "auth_at", "ip", "user_agent"}, people, func(i int) []any {
				hash := sha256.Sum256([]byte(cookieOf(i)))
				return []any{rowID(i), accountID(i), hash[:], now, now, end, true, "password", now, "127.0.0.1", "bench"}
			}),
			seedTokens(ctx, tx, n, now),
		)
	})
}

func seedTokens(ctx context.Context, tx sqldb.Querier, n int, now time.Time) error {
	columns := []string{"id", "subject_email", "subject_issuer", "subject_id", "account_id", "client_id", "device_label", "prefix", "token_hash", "grant_ref", "created_at", "expires_at", "approved_at"}
	return bulk(ctx, tx, "oauth_access_tokens", columns, n, func(i int) []any {
		hash, who := sha256.Sum256([]byte(tokenOf(i))), accountID(i%people)
		return []any{rowID(i), emailOf(i % people), "dify:account", who, who, "difyctl", fmt.Sprint("seeded ", i), "dfoa_", hash[:], hash[:], now, now.Add(tokenLife), now}
	})
}

// seedFloors makes the floors' database: the schema as it is, people, tokens.
func seedFloors(ctx context.Context, url string, tokens int) error {
	db, err := sqldb.OpenPostgres(ctx, url, sqldb.PostgresOptions{})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	files, err := fs.Glob(migrations.Core, "core/postgres/*.sql")
	if err != nil {
		return err
	}
	slices.Sort(files)
	for _, file := range files {
		text, err := fs.ReadFile(migrations.Core, file)
		if err != nil {
			return err
		}
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		for statement := range strings.SplitSeq(up, ";\n") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			if _, err := db.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	if _, err := db.Exec(ctx, `INSERT INTO workspaces (id, name, status, created_at, updated_at) VALUES ($1, 'Engines', 'normal', $2, $2)`, rowID(0), time.Now().UTC()); err != nil {
		return err
	}
	if err := seedPeople(ctx, db, tokens); err != nil {
		return err
	}
	_, err = db.Exec(ctx, "VACUUM ANALYZE")
	return err
}

// seedRedis puts what the floors read: contexts of the usual size, and grants.
func seedRedis(ctx context.Context, address string) error {
	client := redis.NewClient(redisOptions(address))
	defer func() { _ = client.Close() }()
	pipe := client.Pipeline()
	for i := range rotated {
		pipe.Set(ctx, contextKey(sha256.Sum256([]byte(tokenOf(i)))), `{"pad":"`+strings.Repeat("x", 280)+`"}`, 0)
	}
	for i := range pendingCodes {
		pipe.HSet(ctx, fmt.Sprintf("p:%d", i), grantFields...)
	}
	_, err := pipe.Exec(ctx)
	return err
}

// forget removes the keys of a pattern.
func forget(ctx context.Context, address, pattern string) error {
	client := redis.NewClient(redisOptions(address))
	defer func() { _ = client.Close() }()
	n := 0
	for at := client.Scan(ctx, 0, pattern, 1000).Iterator(); at.Next(ctx); n++ {
		if err := client.Unlink(ctx, at.Val()).Err(); err != nil {
			return err
		}
	}
	if n == 0 {
		return fmt.Errorf("no key fits %s: is that how core names them?", pattern)
	}
	return nil
}
