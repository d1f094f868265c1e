// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
)

// recorded gives what is on record of a task.
func (w *rnWorld) recorded(t testing.TB, mode apps.Mode, task string) (r run.Record, found bool) {
	t.Helper()
	r, err := w.App.Stores.Runs.ByTask(t.Context(), w.apps[mode].ID, token.AccountKey(w.ids["normal"]), task)
	return r, err == nil
}

func TestRunRecords(t *testing.T) {
	w := rnStart(t)
	path := w.path(apps.Workflow, "run")
	const flow = `{"inputs":{}}`
	t.Run("API-22 API-23 a run is on record before its client knows the task, and how it ended when the stream has", func(t *testing.T) {
		for i, tc := range []struct {
			last   string
			end    error
			status run.Status
		}{
			{`{"event":"workflow_finished","data":{"status":"succeeded"}}`, nil, run.Finished},
			{`{"event":"workflow_finished","data":{"status":"failed"}}`, nil, run.Failed},
			{`{"event":"error","message":"x"}`, nil, run.Failed},
			{`{"event":"workflow_paused"}`, nil, run.Paused},
			{`{"event":"human_input_required"}`, nil, run.Paused},
			{`{"event":"node_started"}`, nil, run.Failed},
			{`{"event":"node_started"}`, run.ErrTimeout, run.Failed},
		} {
			task, flowRun := fmt.Sprint("task-", i), fmt.Sprint("run-", i)
			s := w.open(t, "normal", path, flow)
			one := w.rt.run(t, w.rt.asked())
			one.say(`{"event":"workflow_started","task_id":"` + task + `","workflow_run_id":"` + flowRun + `"}`)
			s.next()
			r, found := w.recorded(t, apps.Workflow, task)
			if !found || r.Status != run.Running || r.WorkflowRunID != flowRun || r.Mode != apps.Workflow || r.WorkspaceID != w.id || r.TokenID == "" || r.FinishedAt != nil {
				t.Fatalf("%+v, %t", r, found)
			}
			one.say(tc.last)
			one.end(tc.end)
			s.rest()
			if r, _ := w.recorded(t, apps.Workflow, task); r.Status != tc.status || (r.FinishedAt == nil) != (tc.status == run.Paused) {
				t.Errorf("after %s it is %s, finished at %v", tc.last, r.Status, r.FinishedAt)
			}
		}
	})
	t.Run("API-22 a run whose client leaves is stopped", func(t *testing.T) {
		s := w.open(t, "normal", path, flow)
		w.rt.run(t, w.rt.asked()).say(`{"event":"workflow_started","task_id":"left"}`)
		s.next()
		s.leave()
		eventually(t, func() (bool, string) {
			r, _ := w.recorded(t, apps.Workflow, "left")
			return r.Status == run.Stopped, "it is " + string(r.Status)
		})
	})
	t.Run("API-23 the id of a workflow run that becomes known later is on record from then on", func(t *testing.T) {
		s := w.open(t, "normal", path, flow)
		one := w.rt.run(t, w.rt.asked())
		one.say(`{"event":"a","task_id":"later"}`)
		one.say(`{"event":"b","workflow_run_id":"later-run"}`)
		s.next()
		s.next()
		if r, _ := w.recorded(t, apps.Workflow, "later"); r.WorkflowRunID != "later-run" || r.Status != run.Running {
			t.Errorf("%+v", r)
		}
		w.finish(t, s)
	})
	t.Run("API-22 OUT-01 a record that fails breaks no stream, and is tried again at the end", func(t *testing.T) {
		for _, mode := range []storetest.Mode{storetest.Fail, storetest.Hang} {
			w.faults.Clear()
			w.faults.Plan(storetest.Fault{Method: "Runs.Begin", On: 1, Mode: mode})
			task := fmt.Sprint("unrecorded-", mode)
			s := w.open(t, "normal", path, flow)
			one := w.rt.run(t, w.rt.asked())
			one.say(`{"event":"workflow_started","task_id":"` + task + `"}`)
			s.next()
			if _, found := w.recorded(t, apps.Workflow, task); found {
				t.Fatal("on record")
			}
			one.say(`{"event":"human_input_required","workflow_run_id":"r"}`)
			one.end(nil)
			s.rest()
			if r, _ := w.recorded(t, apps.Workflow, task); r.Status != run.Paused || r.WorkflowRunID != "r" || r.FinishedAt != nil {
				t.Errorf("%+v", r)
			}
		}
		w.faults.Clear()
		w.faults.Plan(storetest.Fault{Method: "Runs.Begin"}, storetest.Fault{Method: "Runs.Settle"})
		w.finish(t, w.open(t, "normal", path, flow))
		w.faults.Clear()
		if !strings.Contains(w.Log.String(), "a run is not on record") {
			t.Error("nobody is told")
		}
	})
	t.Run("API-22 OUT-02 an end that cannot be noted, as in a failover, is noted later", func(t *testing.T) {
		w.faults.Clear()
		w.faults.Plan(storetest.Fault{Method: "Runs.Settle", On: 1, Mode: storetest.Fail})
		s := w.open(t, "normal", path, flow)
		one := w.rt.run(t, w.rt.asked())
		one.say(`{"event":"workflow_started","task_id":"ends-later","workflow_run_id":"r-later"}`)
		s.next()
		one.say(`{"event":"workflow_finished","task_id":"ends-later","workflow_run_id":"r-later","data":{"status":"succeeded"}}`)
		one.end(nil)
		s.rest()
		if w.faults.Calls("Runs.Settle") == 0 {
			t.Fatal("nobody noted an end")
		}
		eventually(t, func() (bool, string) {
			r, found := w.recorded(t, apps.Workflow, "ends-later")
			return found && r.Status == run.Finished && r.FinishedAt != nil, "the end is not on record"
		})
	})
}

func TestRunsInOnePiece(t *testing.T) {
	w := rnStart(t, apitest.Set("RUN_BLOCKING_TIMEOUT", "150ms"))
	const blocking = `,"response_mode":"blocking"}`
	ask := map[apps.Mode]string{}
	for _, mode := range []apps.Mode{apps.Chat, apps.AgentChat, apps.AdvancedChat, apps.Completion} {
		ask[mode] = `{"inputs":{},"query":"x"` + blocking
	}
	ask[apps.Workflow] = `{"inputs":{}` + blocking
	answer := func(body string, err error) {
		w.rt.block = func(context.Context, run.Request) (json.RawMessage, error) { return json.RawMessage(body), err }
	}
	t.Run("API-18 in each mode the runtime's object comes back byte for byte, and is on record", func(t *testing.T) {
		for mode, body := range ask {
			task := "blocked-" + string(mode)
			want := `{ "event":"message","task_id":"` + task + `","workflow_run_id":"r-` + task + `","n":1.50,"data":{"status":"succeeded"},"x":"` + strings.Repeat("ü", 5000) + `"}`
			answer(want, nil)
			a := w.as(t, "normal", http.MethodPost, w.path(mode, "run"), body)
			wantAnswer(t, a, http.StatusOK, "")
			if a.Body != want || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %v %.100s", mode, a.Header, a.Body)
			}
			if r, found := w.recorded(t, mode, task); !found || r.Status != run.Finished || r.WorkflowRunID != "r-"+task || r.FinishedAt == nil {
				t.Errorf("%s: %+v", mode, r)
			}
		}
	})
	t.Run("API-18 a workflow that failed or paused is on record as such", func(t *testing.T) {
		for said, want := range map[string]run.Status{"failed": run.Failed, "stopped": run.Stopped, "paused": run.Paused, "succeeded": run.Finished} {
			answer(`{"task_id":"`+said+`","workflow_run_id":"r","data":{"status":"`+said+`"}}`, nil)
			wantAnswer(t, w.as(t, "normal", http.MethodPost, w.path(apps.Workflow, "workflows/run"), ask[apps.Workflow]), http.StatusOK, "")
			if r, _ := w.recorded(t, apps.Workflow, said); r.Status != want {
				t.Errorf("%s is %s", said, r.Status)
			}
		}
	})
	t.Run("API-18 HTTP-22 ids that are none are kept nowhere, as those of events", func(t *testing.T) {
		long := strings.Repeat("l", 129)
		for task, run := range map[string]string{"good-id": long, long: "r", "": "r", "a b": "r", `\u0000`: "r", "line\\n": "r", strings.Repeat("x", 1<<20): strings.Repeat("y", 1<<20)} {
			answer(`{"task_id":"`+task+`","workflow_run_id":"`+run+`"}`, nil)
			a := w.as(t, "normal", http.MethodPost, w.path(apps.Workflow, "run"), ask[apps.Workflow])
			wantAnswer(t, a, http.StatusOK, "")
			if r, found := w.recorded(t, apps.Workflow, task); found != (task == "good-id") || r.WorkflowRunID != "" {
				t.Errorf("%.20q %v: %+v", task, found, r)
			}
		}
		if strings.Contains(w.Log.String(), "a run is not on record") {
			t.Error("a store was asked to keep what it cannot")
		}
	})
	t.Run("API-18 what a runtime refuses, and a body too long", func(t *testing.T) {
		for _, tc := range []struct {
			err    error
			status int
			code   string
		}{{run.ErrProviderQuota, 400, "provider_quota_exceeded"}, {run.ErrUnavailable, 502, "runtime_unavailable"}, {run.ErrKeyRejected, 502, "runtime_key_rejected"}} {
			answer("", tc.err)
			wantAnswer(t, w.as(t, "normal", http.MethodPost, w.path(apps.Chat, "run"), ask[apps.Chat]), tc.status, tc.code)
		}
	})
	t.Run("API-18 a runtime that takes too long", func(t *testing.T) {
		w.rt.block = func(ctx context.Context, _ run.Request) (json.RawMessage, error) { <-ctx.Done(); return nil, ctx.Err() }
		at := time.Now()
		wantAnswer(t, w.as(t, "normal", http.MethodPost, w.path(apps.Chat, "run"), ask[apps.Chat]), http.StatusGatewayTimeout, "runtime_timeout")
		if took := time.Since(at); took < 150*time.Millisecond || took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
