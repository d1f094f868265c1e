// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// sqlDump gives every row of every table of a Postgres; bytes are in hex.
func sqlDump(t testing.TB, s *apitest.Server) (dump []byte) {
	t.Helper()
	tables := sqlTexts(t, s, `SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`)
	if len(tables) < 10 {
		t.Fatalf("only the tables %q", tables)
	}
	for _, table := range tables {
		for _, row := range sqlTexts(t, s, `SELECT row_to_json(r)::text FROM `+table+` r`) {
			dump = fmt.Appendf(dump, "%s %s\n", table, row)
		}
	}
	return dump
}

// sqlTexts runs a query that gives texts.
func sqlTexts(t testing.TB, s *apitest.Server, query string, args ...any) (list []string) {
	t.Helper()
	rows, err := s.App.Stores.DB.Query(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// redisDump gives every key of a pair with its value. None may live for ever, or longer
// than a day.
func redisDump(t testing.TB, p *apitest.Pair) (dump []byte) {
	t.Helper()
	ctx := t.Context()
	for _, key := range testserver.RedisKeys(t, p.Client, p.Prefix) {
		dump = fmt.Appendf(dump, "%s\n", key)
		switch kind := p.Client.Type(ctx, key).Val(); kind {
		case "string":
			dump = fmt.Appendf(dump, "%s\n", p.Client.Get(ctx, key).Val())
		case "hash":
			for name, value := range p.Client.HGetAll(ctx, key).Val() {
				dump = fmt.Appendf(dump, "%s=%s\n", name, value)
			}
		case "none": // its time was over just now
			continue
		default:
			t.Fatalf("%s is a %s, which nobody looks into", key, kind)
		}
		if life := p.Client.PTTL(ctx, key).Val(); life == -1 || life > 24*time.Hour {
			t.Errorf("%s lives for %s", key, life)
		}
	}
	return dump
}
