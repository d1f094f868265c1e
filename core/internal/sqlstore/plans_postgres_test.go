// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// step is a node of a plan of Postgres that has been run.
type step struct {
	Kind     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Loops    float64 `json:"Actual Loops"`
	Below    []step  `json:"Plans"`
}

// repeated names the scans of tables that ran more than once.
func (s step) repeated() (found []string) {
	if s.Relation != "" && s.Loops > 1 {
		found = append(found, s.Kind+" on "+s.Relation)
	}
	for _, b := range s.Below {
		found = append(found, b.repeated()...)
	}
	return found
}

// A plan that was made while the tables were empty stays until they are analyzed. Each
// mint runs this statement, so it must not look through the sessions of everybody once
// for each of them.
func TestChangedPeopleAreLookedForOnceWithoutStatistics(t *testing.T) {
	db, _ := storetest.NewPostgresPair(t)
	statements := &recorder{seen: map[string]bool{}}
	err := storetest.OnSQL(recording{db.DB, statements}).Tokens.InTx(t.Context(), func(ctx context.Context, tx token.Tx) error {
		_, err := tx.EndChanged(ctx, token.Session{Subject: token.AccountSubject("id", "ada@example.com"), ClientID: "difyctl", Label: "l"}, time.Now())
		return err
	})
	if err != nil || len(statements.seen) != 1 {
		t.Fatalf("%v, %d statements", err, len(statements.seen))
	}
	statement := slices.Collect(maps.Keys(statements.seen))[0]

	const run = ` EXECUTE changed(now(), 'subject_changed', 'ada@example.com', 'dify:account', 'id', 'difyctl', 'l')`
	var text string
	err = db.DB.InTx(t.Context(), func(ctx context.Context, tx sqldb.Querier) error {
		for _, sql := range []string{
			`SET LOCAL plan_cache_mode = force_generic_plan`, `PREPARE changed AS ` + statement, `EXPLAIN` + run,
			`INSERT INTO oauth_access_tokens (id, subject_email, subject_issuer, subject_id, client_id, device_label, prefix, token_hash,
				created_at, expires_at, approved_at, grant_ref)
			SELECT gen_random_uuid()::text, i || '@example.com', 'dify:account', i::text, 'difyctl', 'l', 'dfoa_', sha256(i::text::bytea),
				now(), now() + interval '1 day', now(), sha256(i::text::bytea) FROM generate_series(1, 100) i`,
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return tx.QueryRow(ctx, `EXPLAIN (ANALYZE, FORMAT JSON)`+run).Scan(&text)
	})
	var plans []struct{ Plan step }
	if err != nil || json.Unmarshal([]byte(text), &plans) != nil || len(plans) != 1 {
		t.Fatalf("no plan: %v %s", err, text)
	}
	if found := plans[0].Plan.repeated(); len(found) > 0 {
		t.Errorf("run more than once: %q\n%s", found, text)
	}
}

// whole names the tables of which a plan reads every row.
func (s step) whole() (found []string) {
	if s.Kind == "Seq Scan" {
		found = append(found, s.Relation)
	}
	for _, b := range s.Below {
		found = append(found, b.whole()...)
	}
	return found
}

// One app is asked for before each run and a list by each client: among the apps of many
// workspaces neither costs more than the apps of its own.
func TestAppsAreFoundAmongThoseOfMany(t *testing.T) {
	d := storetest.NewPostgres(t)
	statements := &recorder{seen: map[string]bool{}}
	of := storetest.OnSQL(recording{d.DB, statements}).Apps
	_, err1 := of.Place(t.Context(), "app", "account")
	_, _, err2 := of.Usable(t.Context(), "workspace", "account", apps.Search{Limit: 20})
	_, _, err3 := of.Permitted(t.Context(), apps.Search{Limit: 20})
	_, _, err4 := of.Kept(t.Context(), "workspace", 0, 20)
	if err := errors.Join(err2, err3, err4); err != nil || !errors.Is(err1, apps.ErrNotFound) || len(statements.seen) != 7 {
		t.Fatalf("%v, %v, %d statements", err1, err, len(statements.seen))
	}
	for _, sql := range []string{
		`INSERT INTO accounts (id, email, name, status, deployment_admin, created_at, updated_at)
			SELECT lpad(i::text, 36, '0'), i || '@example.com', 'n', 'active', false, now(), now() FROM generate_series(1, 2000) i`,
		`INSERT INTO workspaces (id, name, status, created_at, updated_at) SELECT lpad(i::text, 36, '0'), 'w', 'normal', now(), now() FROM generate_series(1, 2000) i`,
		`INSERT INTO memberships (id, workspace_id, account_id, role, current, created_at, updated_at)
			SELECT lpad(i::text, 36, '0'), lpad(i::text, 36, '0'), lpad(i::text, 36, '0'), 'normal', true, now(), now() FROM generate_series(1, 2000) i`,
		`INSERT INTO apps (id, workspace_id, name, name_folded, description, mode, tags, author, runtime, runtime_url, runtime_features, api_enabled, access_mode, max_active,
				status, created_at, updated_at)
			SELECT lpad(i::text, 36, '0'), lpad((i / 5 + 1)::text, 36, '0'), 'n', 'n', '', 'chat', '[]', '', 'echo', '', '{}', true, CASE WHEN i % 500 = 0 THEN 'public' ELSE 'internal' END, 0,
				'normal', now(), now() FROM generate_series(1, 9000) i`,
		`INSERT INTO app_access (app_id, account_id, created_at) SELECT id, workspace_id, now() FROM apps`,
		`ANALYZE`,
	} {
		if _, err := d.DB.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for sql := range statements.seen {
		var text string
		err := d.DB.InTx(t.Context(), func(ctx context.Context, tx sqldb.Querier) error {
			if _, err := tx.Exec(ctx, `SET LOCAL plan_cache_mode = force_generic_plan`); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `PREPARE asked AS `+sql); err != nil {
				return err
			}
			var n int
			if err := tx.QueryRow(ctx, `SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'asked'`).Scan(&n); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, `EXPLAIN (FORMAT JSON) EXECUTE asked(`+strings.Join(slices.Repeat([]string{"NULL"}, n), ", ")+`)`).Scan(&text); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `DEALLOCATE asked`)
			return err
		})
		var plans []struct{ Plan step }
		if err != nil || json.Unmarshal([]byte(text), &plans) != nil || len(plans) != 1 {
			t.Fatalf("no plan: %v %s", err, text)
		}
		if found := plans[0].Plan.whole(); slices.Contains(found, "apps") || slices.Contains(found, "app_access") || slices.Contains(found, "memberships") {
			t.Errorf("whole tables %q are read\n%s\n%s", found, sql, text)
		}
	}
}
