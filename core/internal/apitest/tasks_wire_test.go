// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/runtimetest"
	"github.com/dify-sso/dify-sso/core/internal/serviceapi"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/egress"
)

// What goes with runs, through the client of Dify's Service API to a runtime that speaks it.
func TestTasksOverTheWire(t *testing.T) {
	const key = "app-key-of-the-runtime"
	rt := runtimetest.New(t, key)
	guard, err := egress.NewRuntime(egress.RuntimeOptions{Allowed: []string{"127.0.0.1"}, Connect: 5 * time.Second, Header: 5 * time.Second, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	client, err := serviceapi.New(serviceapi.Deps{Egress: guard, Answer: 5 * time.Second, Idle: 5 * time.Second, Blocking: 5 * time.Second, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	w := wsStart(t, apitest.Set("UPLOAD_FILE_SIZE_LIMIT", "1"), apitest.Wrap(func(st *app.Stores) {
		st.Runtimes = map[apps.Runtime]run.Runtime{apps.RuntimeDify: client}
	}))
	id := canon.NewID()
	sealed := w.App.Registry.Sealing.Seal([]byte(key), apps.KeyPlace(id))
	w.NewApp(t, apps.App{ID: id, WorkspaceID: w.id, Mode: apps.Workflow, Runtime: apps.RuntimeDify, RuntimeURL: rt.URL, SealedKey: sealed, APIEnabled: true})
	wantAnswer(t, w.as(t, "normal", http.MethodPost, tsApp(id)+"/run", `{"inputs":{}}`), http.StatusOK, "")
	ran := rt.Wait(t, runtimetest.Workflow, 1)[0]
	defer func() {
		if strings.Contains(w.Log.String(), key) {
			t.Error("the log has the key")
		}
	}()

	t.Run("API-22 the task that a run has named is stopped at its runtime by who ran it, once, and by nobody else", func(t *testing.T) {
		for _, who := range []string{"admin", "normal", "owner"} {
			tsWantBody(t, w.as(t, who, http.MethodPost, tsApp(id)+"/tasks/"+ran.Task+"/stop", ""), http.StatusOK, tsDone)
		}
		stops := rt.Calls(runtimetest.StopWorkflow)
		if len(stops) != 1 || !strings.Contains(stops[0].Path, ran.Task) || stops[0].User != ran.User || stops[0].User == "" {
			t.Errorf("%d calls: %+v", len(stops), stops)
		}
	})
	t.Run("API-22 a runtime that does not take it, or the key", func(t *testing.T) {
		rt.On(runtimetest.StopWorkflow, runtimetest.Script{runtimetest.Status(500, "x", "no")}, runtimetest.Script{runtimetest.Cut()})
		defer rt.On(runtimetest.StopWorkflow)
		for range 2 {
			tsWantBody(t, w.as(t, "normal", http.MethodPost, tsApp(id)+"/tasks/"+ran.Task+"/stop", ""), http.StatusOK, tsDone)
		}
	})
	t.Run("API-23 the run that it named is followed by who ran it: over, one event", func(t *testing.T) {
		a := w.as(t, "normal", http.MethodGet, tsApp(id)+"/tasks/"+ran.Run+"/events?include_state_snapshot=false&continue_on_pause=false", "")
		if a.Status != http.StatusOK || !strings.HasPrefix(a.Body, `data: {"event":"workflow_finished","task_id":"`+ran.Task+`","workflow_run_id":"`+ran.Run+`","data":{`) || strings.Count(a.Body, "\n\n") != 1 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		wantAnswer(t, w.as(t, "owner", http.MethodGet, tsApp(id)+"/tasks/"+ran.Run+"/events", ""), http.StatusNotFound, "workflow_run_not_found")
	})
	t.Run("API-23 and one that goes on, live", func(t *testing.T) {
		rt.On(runtimetest.Detail, runtimetest.Script{runtimetest.Answer(200, `{"id":"`+ran.Run+`","status":"running"}`)})
		rt.On(runtimetest.Events, runtimetest.Script{runtimetest.Begin(), runtimetest.Event(`{"event":"node_finished","task_id":"x"}`), runtimetest.Event(`{"event":"workflow_finished","data":{"status":"succeeded"}}`)})
		a := w.as(t, "normal", http.MethodGet, tsApp(id)+"/tasks/"+ran.Run+"/events?continue_on_pause=true", "")
		want := `data: {"event":"node_finished","task_id":"x"}` + "\n\n" + `data: {"event":"workflow_finished","data":{"status":"succeeded"}}` + "\n\n"
		if a.Status != http.StatusOK || a.Body != want {
			t.Errorf("%d %q", a.Status, a.Body)
		}
		if q := rt.Calls(runtimetest.Events)[0].Query; q.Get("continue_on_pause") != "true" || q.Get("include_state_snapshot") != "false" || q.Get("user") != ran.User {
			t.Errorf("%v", q)
		}
	})
	upload := func(body string) apitest.Answer {
		return w.Call(t, http.MethodPost, tsApp(id)+"/files/upload", body, "Authorization", "Bearer "+w.bearers["normal"], "Content-Type", tsMultipart)
	}
	t.Run("API-24 a file arrives whole, in the caller's name", func(t *testing.T) {
		wantAnswer(t, upload(tsForm("a.txt", "text/plain", strings.Repeat("x", 1<<20))), http.StatusCreated, "")
		c := rt.Wait(t, runtimetest.Upload, 1)[0]
		if c.File == nil || c.File.Name != "a.txt" || c.File.MediaType != "text/plain" || c.File.Size != 1<<20 || !c.File.Whole || c.User != ran.User {
			t.Errorf("%+v by %q", c.File, c.User)
		}
	})
	t.Run("API-24 one that is refused on its way never does", func(t *testing.T) {
		for body, code := range map[string]string{
			tsForm("a.txt", "text/plain", strings.Repeat("x", 1<<20+1)):                                                  "file_too_large",
			tsHead("a.txt", "text/plain") + "x\r\n" + tsForm("b.txt", "text/plain", "y"):                                 "too_many_files",
			strings.TrimSuffix(tsForm("a.txt", "text/plain", strings.Repeat("x", 100<<10)), "--b--\r\n") + "--b\r\nX: y": "bad_request",
		} {
			before := len(rt.Calls(runtimetest.Upload))
			if a := upload(body); reasonOf(a) != code {
				t.Errorf("%d %s instead of %s", a.Status, a.Body, code)
			}
			for _, c := range rt.Calls(runtimetest.Upload)[before:] {
				<-c.Done()
				if c.File != nil && c.File.Whole {
					t.Errorf("%s: the runtime has %+v", code, c.File)
				}
			}
		}
	})
	t.Run("API-25 API-26 what a runtime says of forms and conversations it does not have", func(t *testing.T) {
		wantAnswer(t, w.as(t, "normal", http.MethodGet, tsApp(id)+"/form/human_input/tok", ""), http.StatusOK, "")
		tsWantBody(t, w.as(t, "normal", http.MethodPost, tsApp(id)+"/form/human_input/tok", `{"inputs":{"a":1},"action":"yes"}`), http.StatusOK, `{}`)
		if c := rt.Calls(runtimetest.Submit)[0]; c.User != ran.User || string(c.Body) != `{"inputs":{"a":1},"action":"yes","user":"`+ran.User+`"}` {
			t.Errorf("%s", c.Body)
		}
		for status, code := range map[int]string{404: "form_not_found", 412: "human_input_form_expired"} {
			rt.On(runtimetest.Form, runtimetest.Script{runtimetest.Status(status, code, "of this runtime")})
			wantAnswer(t, w.as(t, "normal", http.MethodGet, tsApp(id)+"/form/human_input/tok", ""), status, code)
		}
	})
}

func TestRunsOnRecordAreKeptForTheirTime(t *testing.T) {
	t.Run("a task can be stopped until RUN_RETENTION_DAYS after it began", func(t *testing.T) {
		w := tsStart(t, apitest.Set("RUN_RETENTION_DAYS", "2"))
		one := w.app(t, apps.Workflow)
		mine := w.begun(t, one, w.subject("normal"))
		stopped := func() int {
			tsWantBody(t, w.as(t, "normal", http.MethodPost, tsApp(one)+"/tasks/"+mine.TaskID+"/stop", ""), http.StatusOK, tsDone)
			return len(w.rt.take())
		}
		w.Clock.Advance(2*jbDay - time.Minute)
		jbRun(t, w.Server)
		if stopped() != 1 {
			t.Error("it is gone before its time")
		}
		w.Clock.Advance(2 * time.Minute)
		jbRun(t, w.Server)
		if stopped() != 0 || sqlInt(t, w.Server, `SELECT count(*) FROM app_runs`) != 0 {
			t.Error("it is still on record")
		}
	})
}
