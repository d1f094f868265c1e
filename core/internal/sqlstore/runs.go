// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Runs implements run.Runs.
type Runs struct{ DB sqldb.DB }

var _ run.Runs = Runs{}

const runColumns = `id, app_id, workspace_id, subject_key, token_id, mode, task_id, workflow_run_id, status, started_at, finished_at`

// Begin implements run.Runs.
func (s Runs) Begin(ctx context.Context, r run.Record) error {
	_, err := s.DB.Exec(ctx, `INSERT INTO app_runs (`+runColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (app_id, task_id) DO NOTHING`,
		r.ID, r.AppID, r.WorkspaceID, r.SubjectKey, r.TokenID, string(r.Mode), null(r.TaskID), null(r.WorkflowRunID), string(r.Status), r.StartedAt, r.FinishedAt)
	return err
}

// Settle implements run.Runs. What is over stays so: of two that watch a run the slower one
// changes nothing.
func (s Runs) Settle(ctx context.Context, id, workflowRunID string, status run.Status, at time.Time) error {
	var over *time.Time
	if status.Over() {
		over = &at
	}
	_, err := s.DB.Exec(ctx, `UPDATE app_runs SET workflow_run_id = COALESCE($1, workflow_run_id), status = $2, finished_at = $3
		WHERE id = $4 AND finished_at IS NULL`, null(workflowRunID), string(status), over, id)
	return err
}

// Lose implements run.Runs. Its rows are chosen first and once, as those of Prune are.
func (s Runs) Lose(ctx context.Context, before, at time.Time, limit int) (int64, error) {
	return s.DB.Exec(ctx, `WITH over AS MATERIALIZED (SELECT id FROM app_runs
		WHERE status = 'running' AND started_at < $1 LIMIT $2`+s.DB.Dialect().SkipLocked()+`)
		UPDATE app_runs SET status = 'failed', finished_at = $3 WHERE id IN (SELECT id FROM over)`, before, limit, at)
}

// ByTask implements run.Runs.
func (s Runs) ByTask(ctx context.Context, appID, subjectKey, taskID string) (run.Record, error) {
	return s.one(ctx, `task_id = $3`, appID, subjectKey, taskID)
}

// ByWorkflowRun implements run.Runs. A run that was resumed may go on as another task: the
// latest counts.
func (s Runs) ByWorkflowRun(ctx context.Context, appID, subjectKey, workflowRunID string) (run.Record, error) {
	return s.one(ctx, `workflow_run_id = $3 ORDER BY started_at DESC, id DESC LIMIT 1`, appID, subjectKey, workflowRunID)
}

func (s Runs) one(ctx context.Context, by, appID, subjectKey, id string) (r run.Record, err error) {
	err = s.DB.QueryRow(ctx, `SELECT `+runColumns+` FROM app_runs WHERE app_id = $1 AND subject_key = $2 AND `+by, appID, subjectKey, id).
		Scan(&r.ID, &r.AppID, &r.WorkspaceID, &r.SubjectKey, &r.TokenID, &r.Mode, text{&r.TaskID}, text{&r.WorkflowRunID}, &r.Status, &r.StartedAt, &r.FinishedAt)
	if errors.Is(err, sqldb.ErrNoRows) {
		return run.Record{}, run.ErrNoRun
	}
	return r, err
}
