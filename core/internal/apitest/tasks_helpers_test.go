// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// tsRuntime is a run.Runtime that notes what it is asked for and answers by plan; what has
// no plan is served.
type tsRuntime struct {
	mu    sync.Mutex
	asked []string // method, app, and what it was asked with

	fails    error // of every method but Events and Upload
	outcomes []run.Outcome
	events   func(ctx context.Context) (run.Stream, error)
	upload   func(ctx context.Context, f run.File) (json.RawMessage, error)
	body     json.RawMessage // of forms
}

var _ run.Runtime = (*tsRuntime)(nil)

func (r *tsRuntime) note(parts ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, strings.Join(parts, " "))
}

// take gives what was asked for since the last take.
func (r *tsRuntime) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.asked
	r.asked = nil
	return list
}

func (r *tsRuntime) Parameters(context.Context, run.Target) (json.RawMessage, error) {
	return nil, run.ErrUnavailable
}

func (r *tsRuntime) Stream(context.Context, run.Target, run.Request) (run.Stream, error) {
	return nil, run.ErrUnavailable
}

func (r *tsRuntime) Block(context.Context, run.Target, run.Request) (json.RawMessage, error) {
	return nil, run.ErrUnavailable
}

func (r *tsRuntime) Stop(_ context.Context, t run.Target, taskID, user string) error {
	r.note("Stop", t.AppID, taskID, user)
	return r.fails
}

func (r *tsRuntime) Events(ctx context.Context, t run.Target, workflowRunID, user string, o run.EventOptions) (run.Stream, error) {
	flags := ""
	if o.Snapshot {
		flags += "s"
	}
	if o.ContinueOnPause {
		flags += "c"
	}
	r.note("Events", t.AppID, workflowRunID, user, flags)
	return r.events(ctx)
}

func (r *tsRuntime) Outcome(_ context.Context, t run.Target, workflowRunID string) (run.Outcome, error) {
	r.note("Outcome", t.AppID, workflowRunID)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fails != nil || len(r.outcomes) == 0 {
		return run.Outcome{}, r.fails
	}
	o := r.outcomes[0]
	r.outcomes = r.outcomes[1:]
	return o, nil
}

func (r *tsRuntime) Upload(ctx context.Context, t run.Target, user string, f run.File) (json.RawMessage, error) {
	r.note("Upload", t.AppID, user, f.Name, f.MediaType)
	return r.upload(ctx, f)
}

func (r *tsRuntime) Form(_ context.Context, t run.Target, formToken string) (json.RawMessage, error) {
	r.note("Form", t.AppID, formToken)
	return r.body, r.fails
}

func (r *tsRuntime) Submit(_ context.Context, t run.Target, formToken, user, action string, inputs json.RawMessage) error {
	r.note("Submit", t.AppID, formToken, user, action, string(inputs))
	return r.fails
}

func (r *tsRuntime) DeleteConversation(_ context.Context, t run.Target, conversationID, user string) error {
	r.note("DeleteConversation", t.AppID, conversationID, user)
	return r.fails
}

// tsStream gives events that were made beforehand, then ends as planned.
type tsStream struct {
	list []run.Event
	end  error
}

func (s *tsStream) Next() (run.Event, error) {
	if len(s.list) == 0 {
		return run.Event{}, s.end
	}
	e := s.list[0]
	s.list = s.list[1:]
	return e, nil
}

func (s *tsStream) Ready() bool  { return len(s.list) > 0 }
func (s *tsStream) Close() error { return nil }

func tsEvent(name, more string) run.Event {
	return run.Event{Name: name, Frame: []byte(`data: {"event":"` + name + `"` + more + "}\n\n")}
}

func tsEvents(end error, list ...run.Event) func(context.Context) (run.Stream, error) {
	return func(context.Context) (run.Stream, error) { return &tsStream{list: list, end: end}, nil }
}

// tsWorld is a server with people and apps on a runtime that tells what it is asked for.
type tsWorld struct {
	*wsWorld
	rt     *tsRuntime
	store  *tsRuns
	faults *storetest.Faults
}

// tsRuns counts what the store of runs is asked.
type tsRuns struct {
	run.Runs
	mu    sync.Mutex
	reads int
}

func (s *tsRuns) ByTask(ctx context.Context, appID, subjectKey, taskID string) (run.Record, error) {
	s.count()
	return s.Runs.ByTask(ctx, appID, subjectKey, taskID)
}

func (s *tsRuns) ByWorkflowRun(ctx context.Context, appID, subjectKey, workflowRunID string) (run.Record, error) {
	s.count()
	return s.Runs.ByWorkflowRun(ctx, appID, subjectKey, workflowRunID)
}

func (s *tsRuns) count() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
}

func (s *tsRuns) take() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.reads
	s.reads = 0
	return n
}

func tsStart(t testing.TB, options ...apitest.Option) *tsWorld {
	t.Helper()
	w := &tsWorld{rt: &tsRuntime{}, store: &tsRuns{}, faults: &storetest.Faults{}}
	w.wsWorld = wsStart(t, append(options, apitest.Wrap(func(st *app.Stores) {
		w.store.Runs = storetest.FaultyRuns(st.Runs, w.faults)
		st.Runs = w.store
		st.Runtimes = map[apps.Runtime]run.Runtime{apps.RuntimeDify: w.rt, apps.RuntimeEcho: w.rt}
	}))...)
	return w
}

// app makes an app of the workspace.
func (w *tsWorld) app(t testing.TB, mode apps.Mode, more ...func(*apps.App)) string {
	t.Helper()
	a := apps.App{WorkspaceID: w.id, Mode: mode, Runtime: apps.RuntimeDify, RuntimeURL: "http://runtime.invalid", APIEnabled: true}
	for _, change := range more {
		change(&a)
	}
	return w.NewApp(t, a).ID
}

// subject is one of the people as runs know them.
func (w *tsWorld) subject(who string) token.Subject {
	return token.Subject{Issuer: "dify:account", ID: w.ids[who], AccountID: w.ids[who]}
}

// begun puts a run on record, as a run does that has named its task.
func (w *tsWorld) begun(t testing.TB, appID string, who token.Subject) run.Record {
	t.Helper()
	r := run.Record{
		ID: canon.NewID(), AppID: appID, WorkspaceID: w.id, SubjectKey: who.Key(), TokenID: canon.NewID(), Mode: apps.Workflow,
		TaskID: canon.NewID(), WorkflowRunID: canon.NewID(), Status: run.Running, StartedAt: w.Clock.Now(),
	}
	if err := w.App.Stores.Runs.Begin(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func tsApp(id string) string { return "/openapi/v1/apps/" + id }

// wantAsked compares what the runtime was asked since the last time.
func (w *tsWorld) wantAsked(t testing.TB, want ...string) {
	t.Helper()
	got := w.rt.take()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the runtime was asked %q instead of %q", got, want)
	}
}

// tsHidden are ids of apps of which this person learns nothing.
func (w *tsWorld) hidden(t testing.TB) map[string]string {
	t.Helper()
	return map[string]string{
		"unknown": canon.NewID(), "malformed": "x", "not lower case": strings.ToUpper(canon.NewID()),
		"archived":  w.app(t, apps.Workflow, func(a *apps.App) { a.Status = apps.StatusArchived }),
		"another's": w.app(t, apps.Workflow, func(a *apps.App) { a.WorkspaceID = w.foreign }),
	}
}

var errTS = errors.New("ts: injected")

// tsWantBody compares an answer byte for byte.
func tsWantBody(t testing.TB, a apitest.Answer, status int, body string) {
	t.Helper()
	if a.Status != status || a.Body != body || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Content-Disposition") != "" {
		t.Fatalf("%d %v %q instead of %d %q", a.Status, a.Header, a.Body, status, body)
	}
}

func tsReadAll(f run.File) (int64, error) { return io.Copy(io.Discard, f.Content) }

const tsDone = `{"result":"success"}`
