// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

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
