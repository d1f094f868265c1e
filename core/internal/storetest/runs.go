// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/prune"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
)

// runOf is a run of an app by a subject, with every member set that a run begins with.
func runOf(app string, who token.Subject) run.Record {
	return run.Record{
		ID: canon.NewID(), AppID: app, WorkspaceID: canon.NewID(), SubjectKey: who.Key(), TokenID: canon.NewID(), Mode: apps.Workflow,
		TaskID: canon.NewID(), WorkflowRunID: canon.NewID(), Status: run.Running, StartedAt: start,
	}
}

func (d Durable) begun(t *testing.T, r run.Record) run.Record {
	t.Helper()
	if err := d.Runs.Begin(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// Runs is the contract of run.Runs.
func Runs(t *testing.T, open OpenDurable) {
	ada, bob := token.Subject{Issuer: "dify:account", ID: canon.NewID()}, token.Subject{Issuer: "https://idp.example", ID: "bob"}
	task := func(d Durable, r run.Record) (run.Record, error) {
		return d.Runs.ByTask(context.Background(), r.AppID, r.SubjectKey, r.TaskID)
	}
	workflow := func(d Durable, r run.Record) (run.Record, error) {
		return d.Runs.ByWorkflowRun(context.Background(), r.AppID, r.SubjectKey, r.WorkflowRunID)
	}

	t.Run("a run is found as it was put on record, by its task and by its workflow run", func(t *testing.T) {
		a, b := open(t)
		over := after(time.Minute)
		whole := runOf(canon.NewID(), ada)
		whole.Status, whole.FinishedAt = run.Finished, &over
		for _, r := range []run.Record{a.begun(t, runOf(canon.NewID(), ada)), a.begun(t, whole)} {
			for _, by := range []func(Durable, run.Record) (run.Record, error){task, workflow} {
				got, err := by(b, r)
				if err != nil {
					t.Fatal(err)
				}
				same(t, "run", got, r)
			}
		}
	})

	t.Run("API-22 API-23 TOK-11 another subject's, another app's and an unknown one are equally not on record", func(t *testing.T) {
		a, b := open(t)
		r := a.begun(t, runOf(canon.NewID(), ada))
		other := a.begun(t, runOf(canon.NewID(), bob))
		for name, ask := range map[string]run.Record{
			"another subject": {AppID: r.AppID, SubjectKey: bob.Key(), TaskID: r.TaskID, WorkflowRunID: r.WorkflowRunID},
			"another app":     {AppID: other.AppID, SubjectKey: ada.Key(), TaskID: r.TaskID, WorkflowRunID: r.WorkflowRunID},
			"unknown":         {AppID: r.AppID, SubjectKey: ada.Key(), TaskID: canon.NewID(), WorkflowRunID: canon.NewID()},
			// The one is not the other.
			"crossed": {AppID: r.AppID, SubjectKey: ada.Key(), TaskID: r.WorkflowRunID, WorkflowRunID: r.TaskID},
			"empty":   {AppID: r.AppID, SubjectKey: ada.Key()},
		} {
			for _, by := range []func(Durable, run.Record) (run.Record, error){task, workflow} {
				if got, err := by(b, ask); !errors.Is(err, run.ErrNoRun) || got != (run.Record{}) {
					t.Errorf("%s: %v, %v", name, got, err)
				}
			}
		}
	})

	t.Run("of several that put a task on record the first is kept, and an app's tasks are its own", func(t *testing.T) {
		a, b := open(t)
		handles := []Durable{a, b}
		r := runOf(canon.NewID(), ada)
		records := make([]run.Record, 8)
		for i := range records {
			records[i] = r
			records[i].ID = canon.NewID()
		}
		atOnce(len(records), func(i int) error { return handles[i%2].Runs.Begin(context.Background(), records[i]) })
		first, err := task(a, r)
		if err != nil || a.Count(t, `SELECT count(*) FROM app_runs`) != 1 {
			t.Fatal(first, err)
		}
		late := r
		late.ID, late.SubjectKey, late.Status = canon.NewID(), bob.Key(), run.Paused
		b.begun(t, late)
		got, err := task(a, r)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "the first", got, first)
		if _, err := task(a, late); !errors.Is(err, run.ErrNoRun) {
			t.Errorf("somebody else has taken it over: %v", err)
		}
		elsewhere := runOf(canon.NewID(), bob)
		elsewhere.TaskID = r.TaskID
		if _, err := task(b, a.begun(t, elsewhere)); err != nil {
			t.Errorf("the same task of another app: %v", err)
		}
	})

	t.Run("runs without a task do not stand in each other's way", func(t *testing.T) {
		a, b := open(t)
		app := canon.NewID()
		for range 2 {
			r := runOf(app, ada)
			r.TaskID = ""
			got, err := workflow(b, a.begun(t, r))
			if err != nil {
				t.Fatal(err)
			}
			same(t, "run", got, r)
		}
	})

	t.Run("a workflow run that has become known is noted, and what is over stays so", func(t *testing.T) {
		a, b := open(t)
		r := runOf(canon.NewID(), ada)
		known := r.WorkflowRunID
		r.WorkflowRunID = ""
		a.begun(t, r)
		settle := func(d Durable, workflowRun string, s run.Status, at time.Time) {
			t.Helper()
			if err := d.Runs.Settle(t.Context(), r.ID, workflowRun, s, at); err != nil {
				t.Fatal(err)
			}
		}
		want := func(id string, s run.Status, at *time.Time) {
			t.Helper()
			r.WorkflowRunID, r.Status, r.FinishedAt = id, s, at
			got, err := task(b, r)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "run", got, r)
		}
		settle(a, "", run.Running, after(time.Second))
		want("", run.Running, nil)
		settle(a, known, run.Paused, after(time.Second))
		want(known, run.Paused, nil)
		over := after(time.Hour)
		settle(b, "", run.Finished, over)
		want(known, run.Finished, &over)
		for _, s := range []run.Status{run.Running, run.Paused, run.Failed, run.Stopped} {
			settle(a, canon.NewID(), s, after(2*time.Hour))
			want(known, run.Finished, &over)
		}
		if err := a.Runs.Settle(t.Context(), canon.NewID(), "", run.Finished, over); err != nil {
			t.Errorf("a run that is not on record: %v", err)
		}
	})

	t.Run("runs that nobody has ended are lost, the others stay as they are", func(t *testing.T) {
		a, b := open(t)
		of := func(s run.Status, began time.Time) run.Record {
			r := runOf(canon.NewID(), ada)
			r.StartedAt, r.Status = began, s
			if s.Over() {
				r.FinishedAt = &began
			}
			return a.begun(t, r)
		}
		before, at := after(time.Hour), after(2*time.Hour)
		lost := []run.Record{of(run.Running, start), of(run.Running, start), of(run.Running, after(time.Hour-time.Second))}
		stay := []run.Record{of(run.Running, before), of(run.Paused, start), of(run.Finished, start), of(run.Stopped, start)}
		for _, want := range []int64{2, 1, 0} {
			if n, err := b.Runs.Lose(t.Context(), before, at, 2); err != nil || n != want {
				t.Fatalf("%d, %v, want %d", n, err, want)
			}
		}
		for i := range lost {
			lost[i].Status, lost[i].FinishedAt = run.Failed, &at
		}
		for _, r := range append(lost, stay...) {
			got, err := task(b, r)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "run", got, r)
		}
	})

	t.Run("of two tasks of one workflow run the later counts", func(t *testing.T) {
		a, b := open(t)
		first := a.begun(t, runOf(canon.NewID(), ada))
		second := first
		second.ID, second.TaskID, second.StartedAt = canon.NewID(), canon.NewID(), after(time.Minute)
		a.begun(t, second)
		got, err := workflow(b, first)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "run", got, second)
	})

	t.Run("a cancelled context writes nothing and finds nothing", func(t *testing.T) {
		a, b := open(t)
		r := a.begun(t, runOf(canon.NewID(), ada))
		_, byTask := a.Runs.ByTask(cancelled(t), r.AppID, r.SubjectKey, r.TaskID)
		_, byWorkflow := a.Runs.ByWorkflowRun(cancelled(t), r.AppID, r.SubjectKey, r.WorkflowRunID)
		_, lose := a.Runs.Lose(cancelled(t), after(time.Hour), start, 1)
		for what, err := range map[string]error{
			"Lose":   lose,
			"Begin":  a.Runs.Begin(cancelled(t), runOf(r.AppID, ada)),
			"Settle": a.Runs.Settle(cancelled(t), r.ID, "", run.Failed, start),
			"ByTask": byTask, "ByWorkflowRun": byWorkflow,
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", what, err)
			}
		}
		got, err := task(b, r)
		if err != nil || b.Count(t, `SELECT count(*) FROM app_runs`) != 1 {
			t.Fatal(err)
		}
		same(t, "run", got, r)
	})
}

func pruneRuns(t *testing.T, open OpenDurable) {
	t.Run("runs that began too long ago go, over or not", func(t *testing.T) {
		a, b := open(t)
		who, limit := token.Subject{Issuer: "dify:account", ID: canon.NewID()}, start.Add(-keep)
		left := []string{}
		for at, stays := range map[time.Time]bool{limit.Add(-time.Hour): false, limit.Add(-time.Microsecond): false, limit: true, start: true} {
			for _, s := range []run.Status{run.Paused, run.Finished} {
				r := runOf(canon.NewID(), who)
				r.StartedAt, r.Status = at, s
				if s.Over() {
					r.FinishedAt = &start
				}
				if a.begun(t, r); stays {
					left = append(left, r.ID)
				}
			}
		}
		if n, err := prune.Runs(a.Prune, func() time.Time { return start }, keep).Do(t.Context()); err != nil || n != 4 {
			t.Fatalf("%d, %v", n, err)
		}
		if n := b.Count(t, `SELECT count(*) FROM app_runs WHERE id IN ($1, $2, $3, $4)`, left[0], left[1], left[2], left[3]); n != 4 || b.Count(t, `SELECT count(*) FROM app_runs`) != 4 {
			t.Errorf("%d are left of those that stay", n)
		}
	})
}

// FaultyRuns wraps what is on record of runs; the methods are "Runs.ByTask" and so on.
func FaultyRuns(s run.Runs, f *Faults) run.Runs { return faultyRuns{s, f} }

type faultyRuns struct {
	s run.Runs
	f *Faults
}

func (w faultyRuns) Begin(ctx context.Context, r run.Record) error {
	_, err := faulttest.Get(ctx, w.f, "Runs.Begin", func() (struct{}, error) { return struct{}{}, w.s.Begin(ctx, r) })
	return err
}

func (w faultyRuns) Settle(ctx context.Context, id, workflowRunID string, s run.Status, at time.Time) error {
	_, err := faulttest.Get(ctx, w.f, "Runs.Settle", func() (struct{}, error) { return struct{}{}, w.s.Settle(ctx, id, workflowRunID, s, at) })
	return err
}

func (w faultyRuns) Lose(ctx context.Context, before, at time.Time, limit int) (int64, error) {
	return faulttest.Get(ctx, w.f, "Runs.Lose", func() (int64, error) { return w.s.Lose(ctx, before, at, limit) })
}

func (w faultyRuns) ByTask(ctx context.Context, appID, subjectKey, taskID string) (run.Record, error) {
	return faulttest.Get(ctx, w.f, "Runs.ByTask", func() (run.Record, error) { return w.s.ByTask(ctx, appID, subjectKey, taskID) })
}

func (w faultyRuns) ByWorkflowRun(ctx context.Context, appID, subjectKey, workflowRunID string) (run.Record, error) {
	return faulttest.Get(ctx, w.f, "Runs.ByWorkflowRun", func() (run.Record, error) {
		return w.s.ByWorkflowRun(ctx, appID, subjectKey, workflowRunID)
	})
}
