// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/pkg/config"
)

const (
	dbKey   = "SECRET_KEY=0123456789abcdef0123456789abcdef"
	dbRedis = "REDIS_URL=redis://u:canary7f3a@r:6379"
)

func TestSettingsOfASharedDatabase(t *testing.T) {
	const canary = "canary7f3a"
	good := "DATABASE_URL=postgres://u:" + canary + "@db:5432/x"
	for _, tc := range []struct {
		name    string
		environ []string
		alone   bool
		want    []string // problems
	}{
		{name: "M-18 one store address alone", environ: []string{good, dbKey, "SEALING_KEY_FILE=/k", "REDIS_URL="}, want: []string{"REDIS_URL"}},
		{name: "M-18 the other store address alone", environ: []string{"DATABASE_URL="}, want: []string{"DATABASE_URL"}},
		{name: "Redis settings that do not hold", environ: []string{good, dbKey, "SEALING_KEY_FILE=/k", "REDIS_URL=http://u:" + canary + "@r", "REDIS_MODE=ring", "REDIS_KEY_PREFIX=a b"},
			want: []string{"REDIS_KEY_PREFIX", "REDIS_MODE", "REDIS_URL"}},
		{name: "M-18 its keys are given, for they are the same everywhere", environ: []string{good}, want: []string{"SEALING_KEY_FILE", "SECRET_KEY"}},
		{name: "everything is there", environ: []string{good, dbKey, "SEALING_KEY_FILE=/k", "DATA_DIR="}},
		{name: "several hosts", environ: []string{"DATABASE_URL=postgresql://u:" + canary + "@a:1,b:2/x?target_session_attrs=read-write", dbKey, "SEALING_KEY_FILE=/k"}},
		{name: "a command on the database alone needs no key", environ: []string{good, "MIGRATE_DATABASE_URL=postgres://o:" + canary + "@db/x"}, alone: true},
		{name: "another scheme", environ: []string{"DATABASE_URL=mysql://u:" + canary + "@db/x", dbKey, "SEALING_KEY_FILE=/k"}, want: []string{"DATABASE_URL"}},
		{name: "keys and values", environ: []string{"DATABASE_URL=host=db password=" + canary, dbKey, "SEALING_KEY_FILE=/k"}, want: []string{"DATABASE_URL"}},
		{name: "a parameter that does not hold", environ: []string{good + "?sslmode=perhaps", dbKey, "SEALING_KEY_FILE=/k"}, want: []string{"DATABASE_URL"}},
		{name: "an owner's address that does not parse", environ: []string{good, "MIGRATE_DATABASE_URL=" + canary}, alone: true, want: []string{"MIGRATE_DATABASE_URL"}},
		{name: "an owner's address of nothing", environ: []string{"MIGRATE_DATABASE_URL=postgres://o:" + canary + "@db/x", "REDIS_URL="}, want: []string{"MIGRATE_DATABASE_URL"}},
		{name: "no connections", environ: []string{"DATABASE_MAX_CONNS=0", "REDIS_URL="}, want: []string{"DATABASE_MAX_CONNS"}},
		{name: "too many connections", environ: []string{"DATABASE_MAX_CONNS=1001", "REDIS_URL="}, want: []string{"DATABASE_MAX_CONNS"}},
		{name: "no directory and no database", environ: []string{"DATA_DIR=", "REDIS_URL="}, want: []string{"DATA_DIR"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := app.Load(app.Sources{Environ: append([]string{dbRedis}, tc.environ...), DatabaseAlone: tc.alone})
			if err == nil {
				if len(tc.want) > 0 {
					t.Fatalf("taken, want %v", tc.want)
				}
				var out bytes.Buffer
				if err := config.Print(&out, &s.Config); err != nil || strings.Contains(out.String()+fmt.Sprintf("%v %+v", s.Config, s.Config), canary) {
					t.Fatalf("printed %s, %v", out.String(), err)
				}
				if s.Embedded() {
					t.Fatal("embedded")
				}
				return
			}
			if got := keysOf(t, err); !slices.Equal(got, tc.want) {
				t.Fatalf("refused %v, want %v", got, tc.want)
			}
			if strings.Contains(err.Error(), canary) {
				t.Fatal(err)
			}
		})
	}
	t.Run("the address is read from a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "url")
		if err := os.WriteFile(file, []byte("postgres://u:p@db/x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := app.Load(app.Sources{Environ: []string{"DATABASE_URL_FILE=" + file, dbRedis, dbKey, "SEALING_KEY_FILE=/k"}})
		if err != nil || s.DatabaseURL.Reveal() != "postgres://u:p@db/x" {
			t.Fatal(err)
		}
	})
}
