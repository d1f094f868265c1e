// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

const jbDay = 24 * time.Hour

// jbRun does every job of the server once, as its workers would.
func jbRun(t *testing.T, s *apitest.Server) (names []string) {
	t.Helper()
	for _, job := range s.App.Jobs() {
		if _, err := job.Do(t.Context()); err != nil {
			t.Fatalf("%s: %v", job.Name, err)
		}
		names = append(names, job.Name)
	}
	return names
}

func TestRetention(t *testing.T) {
	const fences = `SELECT count(*) FROM grant_fences`
	t.Run("TK-19 a token that was ended, and one that ran out, go after OAUTH_ACCESS_TOKEN_RETENTION_DAYS; fences after their hour", func(t *testing.T) {
		s := apitest.Start(t, unlimited(), apitest.Set("OAUTH_ACCESS_TOKEN_RETENTION_DAYS", "2"), apitest.Set("OAUTH_TTL_DAYS", "1"))
		b := s.SignedIn(t)
		ended, _ := tkLogin(t, s, b, "ended")
		_, expired := tkLogin(t, s, b, "left to run out")
		s.Bearer(t, ended, "DELETE", sessionsPath+"/self")
		if names := jbRun(t, s); !slices.Equal(names, []string{"prune.tokens", "prune.sessions", "prune.runs", "runs.lost", "count.tokens"}) {
			t.Fatal(names)
		}
		if n := tokenRows(t, s); n != 2 || sqlInt(t, s, fences) != 2 {
			t.Fatalf("%d rows and %d fences while nothing is due", n, sqlInt(t, s, fences))
		}
		s.Clock.Advance(2*jbDay + time.Minute)
		live, id := tkLogin(t, s, s.SignedIn(t), "live")
		jbRun(t, s)
		if n := tokenRows(t, s); n != 2 || sqlInt(t, s, `SELECT count(*) FROM oauth_access_tokens WHERE revoked_at IS NOT NULL`) != 0 {
			t.Fatalf("%d rows two days after the first was ended", n)
		}
		if n := sqlInt(t, s, fences); n != 1 {
			t.Errorf("%d fences", n)
		}
		s.Clock.Advance(jbDay - 30*time.Second)
		jbRun(t, s)
		if got := sqlText(t, s, `SELECT id FROM oauth_access_tokens`); got != id || got == expired {
			t.Fatalf("three days later %s is left", got)
		}
		tkAsk(t, s, live, 200, "")
	})
	t.Run("switched off, ended tokens stay and fences go", func(t *testing.T) {
		s := apitest.Start(t, unlimited(), apitest.Set("ENABLE_CLEAN_OAUTH_ACCESS_TOKENS_TASK", "false"))
		bearer, _ := tkLogin(t, s, s.SignedIn(t), "ended")
		s.Bearer(t, bearer, "DELETE", sessionsPath+"/self")
		s.Clock.Advance(4000 * jbDay)
		jbRun(t, s)
		if n := tokenRows(t, s); n != 1 || sqlInt(t, s, fences) != 0 {
			t.Fatalf("%d rows, %d fences", n, sqlInt(t, s, fences))
		}
	})
	t.Run("browser sessions go a day after their end", func(t *testing.T) {
		const rows = `SELECT count(*) FROM console_sessions`
		s := apitest.Start(t, unlimited(), apitest.Set("SESSION_MAX_DAYS", "1"))
		s.SignedIn(t)
		s.Clock.Advance(2*jbDay - time.Minute)
		jbRun(t, s)
		if n := sqlInt(t, s, rows); n != 1 {
			t.Fatalf("%d sessions", n)
		}
		s.Clock.Advance(2 * time.Minute)
		jbRun(t, s)
		if n := sqlInt(t, s, rows); n != 0 {
			t.Fatalf("%d sessions", n)
		}
	})
	t.Run("OUT-05 a run whose process was killed ends on record, a quarter of an hour after the longest", func(t *testing.T) {
		s := apitest.Start(t, unlimited(), apitest.Set("RUN_MAX_DURATION", "20m"))
		r := run.Record{
			ID: canon.NewID(), AppID: canon.NewID(), WorkspaceID: canon.NewID(), SubjectKey: token.Subject{Issuer: "i", ID: "s"}.Key(), TokenID: canon.NewID(),
			Mode: apps.Chat, TaskID: canon.NewID(), Status: run.Running, StartedAt: s.Clock.Now(),
		}
		if err := s.App.Stores.Runs.Begin(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			passes time.Duration
			want   string
		}{{35*time.Minute - time.Second, "running"}, {2 * time.Second, "failed"}} {
			s.Clock.Advance(step.passes)
			jbRun(t, s)
			if got := sqlText(t, s, `SELECT status FROM app_runs`); got != step.want {
				t.Errorf("%s after %s, want %s", got, step.passes, step.want)
			}
		}
	})
}
