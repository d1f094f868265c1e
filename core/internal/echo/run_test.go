// SPDX-License-Identifier: Apache-2.0

package echo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/echo"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

const twice = `{"echo":{"pauses":[
	{"title":"Review","content":"Is it **good**?","inputs":[{"type":"paragraph","output_variable_name":"comment"},{"type":"text_input","output_variable_name":"more","optional":true}],
	 "actions":[{"id":"yes","title":"Yes","button_style":"primary"},{"id":"no","title":"No"}],"defaults":{"comment":"fine"},"expires_in":60},
	{"title":"Sign"}]}}`

// paused starts a workflow that pauses and gives the event that says so.
func paused(t *testing.T, r *echo.Runtime, on run.Target) seen {
	t.Helper()
	q := asking("")
	q.Inputs = json.RawMessage(`{"a":1}`)
	all := stream(t, r, on, q)
	if got := eventNames(all); got != "workflow_started node_started human_input_required workflow_paused" {
		t.Fatal(got)
	}
	return all[2]
}

func token(e seen) string { s, _ := e.Data["form_token"].(string); return s }

func events(t *testing.T, r *echo.Runtime, on run.Target, id string, o run.EventOptions) []seen {
	t.Helper()
	s, err := r.Events(t.Context(), on, id, ada, o)
	if err != nil {
		t.Fatal(err)
	}
	return drain(t, s)
}

func finished(t *testing.T, r *echo.Runtime, on run.Target, id string) (seen, bool) {
	t.Helper()
	o, err := r.Outcome(t.Context(), on, id)
	if err != nil {
		t.Fatal(err)
	}
	var e seen
	if o.Finished {
		if err := json.Unmarshal(o.Event, &e.Data); err != nil || e.Data["id"] != id || e.Data["workflow_id"] == nil {
			t.Fatalf("%s, %v", o.Event, err)
		}
	}
	return e, o.Finished
}

func TestAWorkflowThatPausesTwice(t *testing.T) {
	r, c := begin(t, echo.AtOnce)
	on := target(apps.Workflow, twice)
	asked := paused(t, r, on)
	for member, want := range map[string]string{
		"form_content": `"Is it **good**?"`, "node_title": `"Review"`, "display_in_ui": "true", "resolved_default_values": `{"comment":"fine"}`,
		"actions":         `[{"button_style":"primary","id":"yes","title":"Yes"},{"button_style":"","id":"no","title":"No"}]`,
		"inputs":          `[{"output_variable_name":"comment","type":"paragraph"},{"optional":true,"output_variable_name":"more","type":"text_input"}]`,
		"expiration_time": fmt.Sprint(c.now().Add(time.Minute).Unix()),
	} {
		if got := string(marshal(t, asked.Data[member])); got != want {
			t.Errorf("%s is %s, want %s", member, got, want)
		}
	}
	if _, over := finished(t, r, on, asked.Run); over {
		t.Error("a paused run is over")
	}
	body, err := r.Form(t.Context(), on, token(asked))
	var form map[string]json.RawMessage
	if err != nil || json.Unmarshal(body, &form) != nil || len(form) != 5 || string(form["user_actions"]) != `[{"id":"yes","title":"Yes","button_style":"primary"},{"id":"no","title":"No","button_style":""}]` {
		t.Fatalf("%s, %v", body, err)
	}
	other := on
	other.AppID = canon.NewID()
	_, err = r.Form(t.Context(), other, token(asked))
	says(t, err, run.ErrFormNotFound, "")
	for _, tc := range []struct {
		on                  run.Target
		token, user, action string
		inputs, say         string
		want                error
	}{
		{on, "x", ada, "yes", `{}`, "", run.ErrFormNotFound},
		{other, token(asked), ada, "yes", `{"comment":"c"}`, "", run.ErrFormNotFound},
		{on, token(asked), bob, "yes", `{"comment":"c"}`, "", run.ErrFormNotFound},
		{on, token(asked), ada, "perhaps", `{"comment":"c"}`, "Invalid action", run.ErrFormData},
		{on, token(asked), ada, "", `{"comment":"c"}`, "Invalid action", run.ErrFormData},
		{on, token(asked), ada, "yes", `{}`, "Missing required inputs: comment", run.ErrFormData},
		{on, token(asked), ada, "yes", `{"comment":null}`, "Missing required inputs: comment", run.ErrFormData},
		{on, token(asked), ada, "yes", `[]`, "", run.ErrFormData},
		{on, token(asked), ada, "yes", `{"comment":{"upload_file_id":"x"}}`, "Invalid upload file", run.ErrRefused},
	} {
		err := r.Submit(t.Context(), tc.on, tc.token, tc.user, tc.action, json.RawMessage(tc.inputs))
		if !errors.Is(err, tc.want) {
			t.Errorf("%+v: %v", tc, err)
		}
	}

	if err := r.Submit(t.Context(), on, token(asked), ada, "yes", json.RawMessage(`{"comment":"well done"}`)); err != nil {
		t.Fatal(err)
	}
	_, err = r.Form(t.Context(), on, token(asked))
	says(t, err, run.ErrFormSubmitted, "")
	says(t, r.Submit(t.Context(), on, token(asked), ada, "yes", json.RawMessage(`{"comment":"x"}`)), run.ErrFormSubmitted, "")
	second := events(t, r, on, asked.Run, run.EventOptions{})
	if got := eventNames(second); got != "human_input_form_filled node_finished node_started human_input_required workflow_paused" || second[0].Data["action_text"] != "Yes" {
		t.Fatal(got)
	}
	sign := second[3]
	if token(sign) == token(asked) || string(marshal(t, sign.Data["actions"])) != "[]" || string(marshal(t, sign.Data["inputs"])) != "[]" {
		t.Errorf("%+v", sign)
	}
	if err := r.Submit(t.Context(), on, token(sign), ada, "", nil); err != nil {
		t.Fatal(err)
	}
	rest := events(t, r, on, asked.Run, run.EventOptions{})
	if got := eventNames(rest); got != "human_input_form_filled node_finished node_started node_finished workflow_finished" {
		t.Fatal(got)
	}
	end, over := finished(t, r, on, asked.Run)
	if out := string(marshal(t, end.Data["outputs"])); !over || out != `{"a":1,"human_input":[{"action":"yes","inputs":{"comment":"well done"}},{"action":"","inputs":{}}]}` {
		t.Errorf("%v, %s", over, out)
	}
	whole := events(t, r, on, asked.Run, run.EventOptions{Snapshot: true, ContinueOnPause: true})
	if len(whole) != 4+len(second)+len(rest) {
		t.Errorf("%s", eventNames(whole))
	}
	if got := events(t, r, on, asked.Run, run.EventOptions{Snapshot: true}); len(got) != 4 {
		t.Errorf("a follower that does not stay through pauses sees %s", eventNames(got))
	}
	for name, err := range map[string]error{
		"bob follows":         second1(r.Events(t.Context(), on, asked.Run, bob, run.EventOptions{})),
		"another app follows": second1(r.Events(t.Context(), other, asked.Run, ada, run.EventOptions{})),
		"no such run":         second1(r.Events(t.Context(), on, canon.NewID(), ada, run.EventOptions{})),
		"another app asks":    second1(r.Outcome(t.Context(), other, asked.Run)),
	} {
		if !errors.Is(err, run.ErrNoWorkflowRun) {
			t.Errorf("%s: %v", name, err)
		}
	}
	body, err = r.Block(t.Context(), on, asking(""))
	if err != nil || !strings.Contains(string(body), `"status":"paused"`) {
		t.Errorf("%s, %v", body, err)
	}
}

func second1[T any](_ T, err error) error { return err }

func TestAFormThatNobodyAnswers(t *testing.T) {
	r, c := begin(t, echo.AtOnce)
	on := target(apps.Workflow, twice)
	asked := paused(t, r, on)
	c.pass(time.Minute)
	says(t, r.Submit(t.Context(), on, token(asked), ada, "yes", json.RawMessage(`{"comment":"x"}`)), run.ErrFormExpired, "")
	_, err := r.Form(t.Context(), on, token(asked))
	says(t, err, run.ErrFormExpired, "")
	end, over := finished(t, r, on, asked.Run)
	if !over || end.Data["status"] != "failed" {
		t.Errorf("%v, %+v", over, end)
	}
	if got := eventNames(events(t, r, on, asked.Run, run.EventOptions{})); got != "human_input_form_timeout workflow_finished" {
		t.Error(got)
	}
}

func TestAFollowerThatStaysThroughAPause(t *testing.T) {
	r, _ := begin(t, echo.AtOnce)
	on := target(apps.Workflow, twice)
	asked := paused(t, r, on)
	s, err := r.Events(t.Context(), on, asked.Run, ada, run.EventOptions{Snapshot: true, ContinueOnPause: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if !s.Ready() {
			t.Fatal("not ready")
		}
		if _, err := s.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if s.Ready() {
		t.Error("ready in a pause")
	}
	next := make(chan string)
	go func() {
		e, err := s.Next()
		next <- fmt.Sprint(e.Name, err)
		_, err = s.Next()
		for err == nil {
			_, err = s.Next()
		}
		next <- err.Error()
	}()
	if err := r.Submit(t.Context(), on, token(asked), ada, "no", json.RawMessage(`{"comment":"x"}`)); err != nil {
		t.Fatal(err)
	}
	if got := <-next; got != "human_input_form_filled<nil>" {
		t.Error(got)
	}
	if err := s.Close(); err != nil { // while Next waits for the second form, or is about to
		t.Fatal(err)
	}
	if got := <-next; !strings.HasPrefix(got, "runtime_unavailable") {
		t.Error(got)
	}
}

func TestOneOfManyAnswersAForm(t *testing.T) {
	r, _ := begin(t, echo.AtOnce)
	on := target(apps.Workflow, twice)
	for range 20 {
		asked := paused(t, r, on)
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				err := r.Submit(t.Context(), on, token(asked), ada, "yes", json.RawMessage(`{"comment":"x"}`))
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, run.ErrFormSubmitted) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d have answered", won.Load())
		}
	}
}

func TestChunksAreApart(t *testing.T) {
	const interval = 20 * time.Millisecond
	r, _ := begin(t, interval)
	s, err := r.Stream(t.Context(), target(apps.Chat, ""), asking("one two"))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	all := drain(t, s)
	if took := time.Since(began); eventNames(all) != "message message message message_end" || took < 2*interval-time.Millisecond {
		t.Errorf("%s in %s", eventNames(all), took)
	}
}

func TestAStop(t *testing.T) {
	r, _ := begin(t, time.Hour)
	for mode, want := range map[apps.Mode]string{
		apps.Chat: "message_end", apps.Completion: "message_end", apps.Workflow: "node_started workflow_finished", apps.AdvancedChat: "node_started message workflow_finished message_end",
	} {
		on := target(mode, "")
		s, err := r.Stream(t.Context(), on, asking("hello"))
		if err != nil {
			t.Fatal(err)
		}
		e, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		other := on
		other.AppID = canon.NewID()
		for name, err := range map[string]error{
			"bob": r.Stop(t.Context(), on, e.TaskID, bob), "another app": r.Stop(t.Context(), other, e.TaskID, ada), "unknown": r.Stop(t.Context(), on, canon.NewID(), ada),
		} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if mode == apps.Chat && s.Ready() {
			t.Error("somebody else has stopped it")
		}
		rest := make(chan []seen, 1)
		go func() { rest <- drain(t, s) }()
		if err := r.Stop(t.Context(), on, e.TaskID, ada); err != nil {
			t.Fatal(err)
		}
		got := <-rest
		if eventNames(got) != want {
			t.Errorf("%s ends with %s", mode, eventNames(got))
		}
		if e.WorkflowRunID != "" {
			if end, over := finished(t, r, on, e.WorkflowRunID); !over || end.Data["status"] != "stopped" {
				t.Errorf("%v, %+v", over, end)
			}
		}
		if err := r.Stop(t.Context(), on, e.TaskID, ada); err != nil { // again
			t.Error(err)
		}
	}
}

func TestAStreamEndsWithItsContext(t *testing.T) {
	r, _ := begin(t, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := r.Stream(ctx, target(apps.Chat, ""), asking("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { _, err := s.Next(); ended <- err }()
	cancel()
	says(t, <-ended, run.ErrUnavailable, "")
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = r.Block(ctx, target(apps.Chat, ""), asking("hello"))
	says(t, err, run.ErrTimeout, "")
}

func TestRunsThatFail(t *testing.T) {
	r, _ := begin(t, echo.AtOnce)
	for _, tc := range []struct {
		mode         apps.Mode
		acts, events string
		block        error
	}{
		{apps.Chat, `"fail_after":1`, "message error", run.ErrCompletion},
		{apps.Chat, `"fail_after":99`, "message message message_end", nil},
		{apps.Completion, `"fail_after":2`, "message message error", run.ErrCompletion},
		{apps.Workflow, `"fail_after":2`, "workflow_started node_started workflow_finished", nil},
		{apps.AdvancedChat, `"fail_after":3`, "workflow_started node_started message workflow_finished error", run.ErrCompletion},
		{apps.Chat, `"cut_after":1`, "message", run.ErrUnavailable},
		{apps.Workflow, `"cut_after":3`, "workflow_started node_started node_finished", run.ErrUnavailable},
		{apps.Workflow, `"fail_after":3,"pauses":[{}]`, "workflow_started node_started human_input_required workflow_finished", nil},
	} {
		on := target(tc.mode, `{"echo":{`+tc.acts+`}}`)
		q := asking("hello")
		s, err := r.Stream(t.Context(), on, q)
		if err != nil {
			t.Fatal(err)
		}
		failed := false
		var all []seen
		for {
			e, err := s.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			failed = failed || e.Failed
			all = append(all, read(t, e))
		}
		last := all[len(all)-1]
		if eventNames(all) != tc.events || failed != strings.Contains(tc.acts, "fail_after\":") && !failed != strings.HasSuffix(tc.events, "message_end") {
			t.Errorf("%s %s: %s, failed %v", tc.mode, tc.acts, eventNames(all), failed)
		}
		if last.Event == "error" && (last.Status != 400 || last.Code != "completion_request_error" || last.Message == "") {
			t.Errorf("%+v", last)
		}
		if last.Event == "workflow_finished" && last.Data["status"] != "failed" {
			t.Errorf("%+v", last)
		}
		if _, err = r.Block(t.Context(), on, q); !errors.Is(err, tc.block) {
			t.Errorf("%s %s: %v", tc.mode, tc.acts, err)
		}
	}
}
