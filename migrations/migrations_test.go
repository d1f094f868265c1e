// SPDX-License-Identifier: Apache-2.0

package migrations_test

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/migrations"
)

// names gives the files of one engine, in order.
func names(t *testing.T, engine string) []string {
	t.Helper()
	list, err := fs.Glob(migrations.Core, "core/"+engine+"/*.sql")
	if err != nil || len(list) == 0 {
		t.Fatalf("%s: %v, %v", engine, list, err)
	}
	for i := range list {
		list[i] = path.Base(list[i])
	}
	return list
}

func TestBothEnginesHaveTheSameNumbersWithoutAGap(t *testing.T) {
	sqlite, postgres := names(t, "sqlite"), names(t, "postgres")
	if !slices.Equal(sqlite, postgres) {
		t.Fatalf("SQLite has %v, Postgres %v", sqlite, postgres)
	}
	shape := regexp.MustCompile(`^([0-9]{5})_[a-z0-9_]+\.sql$`)
	for i, name := range sqlite {
		m := shape.FindStringSubmatch(name)
		if m == nil {
			t.Errorf("%s is not named NNNNN_what.sql", name)
			continue
		}
		if n, _ := strconv.Atoi(m[1]); n != i+1 {
			t.Errorf("%s stands at place %d", name, i+1)
		}
	}
}

func TestEveryMigrationGoesBothWays(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, name := range names(t, engine) {
			raw, err := fs.ReadFile(migrations.Core, "core/"+engine+"/"+name)
			if err != nil {
				t.Fatal(err)
			}
			text := string(raw)
			up, down := strings.Index(text, "-- +goose Up\n"), strings.Index(text, "-- +goose Down\n")
			if up != 0 || down < up {
				t.Errorf("%s/%s: up at %d, down at %d", engine, name, up, down)
				continue
			}
			// Outside of a transaction a failure would leave half a schema.
			if strings.Contains(text, "NO TRANSACTION") {
				t.Errorf("%s/%s runs outside of a transaction", engine, name)
			}
			// Whatever one migration makes it takes back, the last first.
			made := regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`).FindAllStringSubmatch(text[:down], -1)
			dropped := regexp.MustCompile(`(?m)^DROP TABLE (\w+);`).FindAllStringSubmatch(text[down:], -1)
			var a, b []string
			for _, m := range made {
				a = append(a, m[1])
			}
			for _, m := range dropped {
				b = append(b, m[1])
			}
			slices.Reverse(b)
			if !slices.Equal(a, b) {
				t.Errorf("%s/%s makes %v and drops %v", engine, name, a, b)
			}
		}
	}
}

// A table of SQLite without STRICT takes a text where a number belongs, which
// Postgres would refuse.
func TestTablesOfSQLiteAreStrict(t *testing.T) {
	for _, name := range names(t, "sqlite") {
		raw, err := fs.ReadFile(migrations.Core, "core/sqlite/"+name)
		if err != nil {
			t.Fatal(err)
		}
		made := strings.Count(string(raw), "\nCREATE TABLE ")
		if strict := strings.Count(string(raw), "\n) STRICT;"); strict != made {
			t.Errorf("%s: %d tables, %d of them strict", name, made, strict)
		}
	}
}
