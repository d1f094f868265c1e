// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

func TestFollowingARunAgain(t *testing.T) {
	w := tsStart(t)
	one, other := w.app(t, apps.Workflow), w.app(t, apps.AdvancedChat)
	who := w.subject("normal")
	user := run.UserOf(who)
	events := func(who, appID, runID, query string) apitest.Answer {
		path := tsApp(appID) + "/tasks/" + runID + "/events"
		if query != "" {
			path += "?" + query
		}
		return w.as(t, who, http.MethodGet, path, "")
	}
	ended := func(status string) []run.Outcome {
		return []run.Outcome{{Finished: true, Event: json.RawMessage(`{"id":"x","status":"` + status + `","outputs":{"n":1.50}}`)}}
	}
	status := func(r run.Record) string {
		return sqlText(t, w.Server, `SELECT status FROM app_runs WHERE id = $1`, r.ID)
	}
	wantStream := func(t *testing.T, a apitest.Answer, body string) {
		t.Helper()
		if a.Status != http.StatusOK || a.Header.Get("Content-Type") != "text/event-stream" || a.Header.Get("Cache-Control") != "no-cache" || a.Body != body {
			t.Fatalf("%d %v %q instead of %q", a.Status, a.Header, a.Body, body)
		}
	}

	for said, noted := range map[string]string{"succeeded": "finished", "failed": "failed", "partial-succeeded": "finished", "stopped": "stopped"} {
		t.Run("API-23 a run that is over ("+said+"): one workflow_finished, its end noted", func(t *testing.T) {
			mine := w.begun(t, one, who)
			w.rt.outcomes = ended(said)
			wantStream(t, events("normal", one, mine.WorkflowRunID, ""), `data: {"event":"workflow_finished","task_id":"`+mine.TaskID+`","workflow_run_id":"`+mine.WorkflowRunID+
				`","data":{"id":"x","status":"`+said+`","outputs":{"n":1.50}}}`+"\n\n")
			w.wantAsked(t, "Outcome "+one+" "+mine.WorkflowRunID)
			if got := status(mine); got != noted {
				t.Errorf("on record as %s", got)
			}
		})
	}
	t.Run("API-23 a run that goes on: its events as they come, and its end noted", func(t *testing.T) {
		mine := w.begun(t, other, who)
		for query, flags := range map[string]string{
			"": "", "include_state_snapshot=false&continue_on_pause=false": "", "include_state_snapshot=true": "s", "continue_on_pause=true": "c",
			"include_state_snapshot=true&continue_on_pause=true&unknown=1": "sc",
		} {
			list := []run.Event{tsEvent("node_started", `,"of":"nobody knows"`), tsEvent("workflow_finished", `,"data":{}`)}
			w.rt.events = tsEvents(io.EOF, list...)
			wantStream(t, events("normal", other, mine.WorkflowRunID, query), string(list[0].Frame)+string(list[1].Frame))
			w.wantAsked(t, "Outcome "+other+" "+mine.WorkflowRunID, "Events "+other+" "+mine.WorkflowRunID+" "+user+" "+flags)
		}
		if got := status(mine); got != "finished" {
			t.Errorf("on record as %s", got)
		}
	})
	t.Run("API-23 a pause ends the stream and is no end of the run", func(t *testing.T) {
		mine := w.begun(t, one, who)
		w.rt.events = tsEvents(io.EOF, tsEvent("workflow_paused", ""))
		wantStream(t, events("normal", one, mine.WorkflowRunID, ""), string(tsEvent("workflow_paused", "").Frame))
		if got := status(mine); got != "running" {
			t.Errorf("on record as %s", got)
		}
		w.rt.take()
	})
	t.Run("API-23 one that ends between the two questions: asked once more", func(t *testing.T) {
		mine := w.begun(t, one, who)
		w.rt.outcomes = append([]run.Outcome{{}}, ended("succeeded")...)
		w.rt.events = func(context.Context) (run.Stream, error) { return nil, run.ErrNoWorkflowRun }
		if a := events("normal", one, mine.WorkflowRunID, ""); a.Status != http.StatusOK || !strings.HasPrefix(a.Body, `data: {"event":"workflow_finished"`) {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		w.wantAsked(t, "Outcome "+one+" "+mine.WorkflowRunID, "Events "+one+" "+mine.WorkflowRunID+" "+user+" ", "Outcome "+one+" "+mine.WorkflowRunID)
		// One of which the runtime cannot say it any more.
		w.rt.events = func(context.Context) (run.Stream, error) {
			w.rt.fails = run.ErrTimeout
			return nil, run.ErrNoWorkflowRun
		}
		wantAnswer(t, events("normal", one, mine.WorkflowRunID, ""), http.StatusGatewayTimeout, "runtime_timeout")
		w.rt.fails = nil
		w.rt.events = func(context.Context) (run.Stream, error) { return nil, run.ErrNoWorkflowRun }
		// And one that the runtime has forgotten.
		wantAnswer(t, events("normal", one, mine.WorkflowRunID, ""), http.StatusNotFound, "workflow_run_not_found")
		w.rt.take()
	})

	mine := w.begun(t, one, who)
	t.Run("API-23 TOK-11 another subject's, another app's, a task's id and an unknown run are equally none", func(t *testing.T) {
		want := events("normal", one, canon.NewID(), "")
		wantAnswer(t, want, http.StatusNotFound, "workflow_run_not_found")
		theirs, elsewhere := w.begun(t, one, w.subject("admin")), w.begun(t, other, who)
		for name, c := range map[string][3]string{
			"another subject's": {"normal", one, theirs.WorkflowRunID}, "even to the owner": {"owner", one, mine.WorkflowRunID},
			"another app's": {"normal", one, elsewhere.WorkflowRunID}, "this one's of another app": {"normal", other, mine.WorkflowRunID},
			"the task's id": {"normal", one, mine.TaskID},
		} {
			if a := events(c[0], c[1], c[2], ""); a.Status != want.Status || a.Body != want.Body {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
		w.wantAsked(t)
	})
	t.Run("API-3 what is no UUID reaches neither the store nor a runtime", func(t *testing.T) {
		w.store.take()
		for _, id := range []string{"x", "a%2Fb", "%00", strings.ToUpper(mine.WorkflowRunID), mine.WorkflowRunID + "x"} {
			wantAnswer(t, events("normal", one, id, ""), http.StatusNotFound, "workflow_run_not_found")
		}
		if n := w.store.take(); n != 0 {
			t.Errorf("the store was asked %d times", n)
		}
		w.wantAsked(t)
	})
	t.Run("API-23 modes whose runs are not followed", func(t *testing.T) {
		for _, mode := range apps.Modes {
			if mode == apps.Workflow || mode == apps.AdvancedChat {
				continue
			}
			wantAnswer(t, events("normal", w.app(t, mode), mine.WorkflowRunID, ""), http.StatusUnprocessableEntity, "mode_not_supported_for_event_reconnect")
		}
		w.wantAsked(t)
	})
	t.Run("API-23 flags are true or false, once", func(t *testing.T) {
		for _, query := range []string{
			"include_state_snapshot=1", "include_state_snapshot=True", "include_state_snapshot=", "continue_on_pause=yes", "continue_on_pause=true&continue_on_pause=true", "continue_on_pause=%ff",
		} {
			a := events("normal", one, mine.WorkflowRunID, query)
			wantAnswer(t, a, http.StatusUnprocessableEntity, "invalid_param")
			wantFailureShape(t, a)
		}
		w.wantAsked(t)
	})
	t.Run("a runtime that cannot say, and a store that is down", func(t *testing.T) {
		w.rt.fails = run.ErrTimeout.Because(errTS)
		wantAnswer(t, events("normal", one, mine.WorkflowRunID, ""), http.StatusGatewayTimeout, "runtime_timeout")
		w.rt.fails = nil
		w.faults.Plan(storetest.Fault{Method: "Runs.ByWorkflowRun"})
		wantAnswer(t, events("normal", one, mine.WorkflowRunID, ""), http.StatusServiceUnavailable, "service_unavailable")
		w.faults.Clear()
	})
	t.Run("an end that cannot be noted costs the follower nothing", func(t *testing.T) {
		w.faults.Plan(storetest.Fault{Method: "Runs.Settle"})
		defer w.faults.Clear()
		w.rt.outcomes = ended("succeeded")
		if a := events("normal", one, mine.WorkflowRunID, ""); a.Status != http.StatusOK || !strings.HasSuffix(a.Body, "}\n\n") {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("API-23 API-17 a runtime that ends without an end: an error event", func(t *testing.T) {
		w.rt.outcomes, w.rt.events = nil, tsEvents(io.EOF, tsEvent("node_started", ""))
		a := events("normal", one, mine.WorkflowRunID, "")
		if a.Status != http.StatusOK || !strings.HasPrefix(a.Body, string(tsEvent("node_started", "").Frame)+`data: {"event":"error","code":"runtime_unavailable","status":502,`) || !strings.HasSuffix(a.Body, "}\n\n") {
			t.Errorf("%d %q", a.Status, a.Body)
		}
		w.rt.take()
	})
	t.Run("API-23 who leaves ends what is followed and not the run, nor keeps another from following", func(t *testing.T) {
		open := make(chan *tsOpen, 2)
		w.rt.events = func(context.Context) (run.Stream, error) {
			s := &tsOpen{closed: make(chan struct{}), next: make(chan run.Event, 1)}
			open <- s
			return s, nil
		}
		follow := func() (*htConn, *tsOpen) {
			c := htDial(t, w.URL)
			c.send("GET " + tsApp(one) + "/tasks/" + mine.WorkflowRunID + "/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + w.bearers["normal"] + "\r\n\r\n")
			s := <-open
			s.next <- tsEvent("node_started", "")
			if line, err := c.in.ReadString('\n'); err != nil || line != "HTTP/1.1 200 OK\r\n" {
				t.Fatal(line, err)
			}
			return c, s
		}
		leaves, first := follow()
		_, second := follow()
		w.rt.take()
		left := time.Now()
		_ = leaves.conn.Close()
		<-first.closed
		if took := time.Since(left); took > 2*time.Second {
			t.Errorf("it was followed for another %s", took)
		}
		select {
		case <-second.closed:
			t.Error("the other one's ended too")
		default:
		}
		second.next <- tsEvent("workflow_finished", "")
		eventually(t, func() (bool, string) { return status(mine) == "finished", "the end is not on record" })
		second.next <- run.Event{} // its end
		<-second.closed
		w.wantAsked(t)
	})
}

// tsOpen is a stream that goes on until it is closed.
type tsOpen struct {
	closed chan struct{}
	next   chan run.Event // one without a name is the end
	once   sync.Once
}

func (s *tsOpen) Next() (run.Event, error) {
	select {
	case e := <-s.next:
		if e.Name == "" {
			return e, io.EOF
		}
		return e, nil
	case <-s.closed:
		return run.Event{}, run.ErrUnavailable.Because(context.Canceled)
	}
}

func (s *tsOpen) Ready() bool { return len(s.next) > 0 }

func (s *tsOpen) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}
