// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// rnRuntime is a runtime in the place of ours that does what a test says. What it does not
// embed an answer for panics.
type rnRuntime struct {
	run.Runtime

	mu      sync.Mutex
	changed chan struct{}
	runs    []*rnRun
	stops   []rnStop
	refuse  error // what runs fail with before they begin
	begun   func(ctx context.Context) error
	block   func(ctx context.Context, r run.Request) (json.RawMessage, error)
	stop    func(ctx context.Context) error
}

// rnRun is a run that the test feeds.
type rnRun struct {
	target  run.Target
	request run.Request
	events  chan any // run.Event or error
	closed  chan struct{}
	over    <-chan struct{} // the context's end
	once    sync.Once
	ready   bool
}

type rnStop struct {
	task, user string
	at         time.Time
}

func (r *rnRuntime) note(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
	if r.changed != nil {
		close(r.changed)
	}
	r.changed = make(chan struct{})
}

// Stream implements run.Runtime.
func (r *rnRuntime) Stream(ctx context.Context, t run.Target, q run.Request) (run.Stream, error) {
	r.mu.Lock()
	refuse, begun := r.refuse, r.begun
	r.mu.Unlock()
	if refuse != nil {
		return nil, refuse
	}
	if begun != nil {
		if err := begun(ctx); err != nil {
			return nil, err
		}
	}
	one := &rnRun{target: t, request: q, events: make(chan any, 4096), closed: make(chan struct{}), over: ctx.Done()}
	r.note(func() { r.runs = append(r.runs, one) })
	return one, nil
}

// Block implements run.Runtime.
func (r *rnRuntime) Block(ctx context.Context, t run.Target, q run.Request) (json.RawMessage, error) {
	var block func(context.Context, run.Request) (json.RawMessage, error)
	r.note(func() { r.runs, block = append(r.runs, &rnRun{target: t, request: q}), r.block })
	return block(ctx, q)
}

// Stop implements run.Runtime.
func (r *rnRuntime) Stop(ctx context.Context, _ run.Target, task, user string) error {
	var stop func(context.Context) error
	r.note(func() { r.stops, stop = append(r.stops, rnStop{task, user, time.Now()}), r.stop })
	if stop != nil {
		return stop(ctx)
	}
	return nil
}

// await gives what ask finds once that is enough.
func (r *rnRuntime) await(t testing.TB, what string, enough func() bool) {
	t.Helper()
	late := time.After(htPatience)
	for {
		r.mu.Lock()
		done, changed := enough(), r.changed
		if changed == nil {
			r.changed = make(chan struct{})
			changed = r.changed
		}
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatal("the runtime was never ", what)
		}
	}
}

// run waits for the n-th run, counted from 1.
func (r *rnRuntime) run(t testing.TB, n int) *rnRun {
	t.Helper()
	r.await(t, "asked", func() bool { return len(r.runs) >= n })
	return r.runs[n-1]
}

func (r *rnRuntime) asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.runs)
}

func (r *rnRuntime) stopped() []rnStop {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]rnStop(nil), r.stops...)
}

// Next implements run.Stream.
func (r *rnRun) Next() (run.Event, error) {
	select {
	case <-r.closed:
		return run.Event{}, errors.New("closed")
	default:
	}
	select {
	case e := <-r.events:
		if err, ok := e.(error); ok {
			return run.Event{}, err
		}
		return e.(run.Event), nil
	case <-r.closed:
		return run.Event{}, errors.New("closed")
	}
}

// Ready implements run.Stream.
func (r *rnRun) Ready() bool { return r.ready && len(r.events) > 0 }

// Close implements run.Stream.
func (r *rnRun) Close() error { r.once.Do(func() { close(r.closed) }); return nil }

// say sends an event of these data.
func (r *rnRun) say(data string) {
	var e struct {
		Event, Task string
		TaskID      string `json:"task_id"`
		RunID       string `json:"workflow_run_id"`
		Data        struct{ Status string }
	}
	_ = json.Unmarshal([]byte(data), &e)
	r.events <- run.Event{
		Frame: []byte("data: " + data + "\n\n"), Name: e.Event, TaskID: e.TaskID, WorkflowRunID: e.RunID,
		Failed: e.Event == "error" || e.Data.Status == "failed",
	}
}

// end ends the stream as a runtime does, or with a failure.
func (r *rnRun) end(err error) {
	if err == nil {
		err = io.EOF
	}
	r.events <- err
}

// rnWorld is a server with members, and an app of each mode.
type rnWorld struct {
	*wsWorld
	rt     *rnRuntime
	faults storetest.Faults
	apps   map[apps.Mode]apps.App
}

func rnStart(t testing.TB, options ...apitest.Option) *rnWorld {
	t.Helper()
	w := &rnWorld{rt: &rnRuntime{}, apps: map[apps.Mode]apps.App{}}
	s := apitest.Start(t, append([]apitest.Option{unlimited(), apitest.Wrap(w.wrap), apitest.Set("SHUTDOWN_GRACE", "0s")}, options...)...)
	w.wsWorld = &wsWorld{Server: s, ids: map[string]string{"owner": ownerID(t, s)}, bearers: map[string]string{}}
	w.id = sqlText(t, s, `SELECT id FROM workspaces WHERE name = $1`, apitest.Workspace)
	for _, role := range []string{"admin", "editor", "normal"} {
		w.ids[role] = addAccount(t, s, wsEmail(role))
		w.join(t, w.id, w.ids[role], role)
	}
	for name, id := range w.ids {
		w.bearers[name] = rnBearer(t, s, id, wsEmail(name))
	}
	for _, mode := range apps.Modes {
		w.apps[mode] = w.NewApp(t, apps.App{WorkspaceID: w.id, Name: string(mode), Mode: mode, APIEnabled: true})
	}
	return w
}

// rnBearer gives an account a live row, as a device login does in a second, and its token.
func rnBearer(t testing.TB, s *apitest.Server, account, email string) (bearer string) {
	t.Helper()
	bearer = "dfoa_" + secret.Random()
	hash, ref, now := secret.DigestOf(bearer), secret.DigestOf(secret.Random()), s.Clock.Now()
	sqlExec(t, s, `INSERT INTO oauth_access_tokens (id, subject_email, subject_issuer, subject_id, account_id, client_id, device_label, prefix,
		token_hash, created_at, expires_at, approved_at, grant_ref) VALUES ($1, $2, $3, $4, $4, 'difyctl', $1, 'dfoa_', $5, $6, $7, $6, $8)`,
		canon.NewID(), email, token.AccountIssuer, account, hash[:], now, now.Add(14*24*time.Hour), ref[:])
	return bearer
}

func (w *rnWorld) wrap(st *app.Stores) {
	st.Runtimes = map[apps.Runtime]run.Runtime{apps.RuntimeEcho: w.rt}
	st.Bearers, st.Tokens = storetest.FaultyCache(st.Bearers, &w.faults), storetest.FaultyTokens(st.Tokens, &w.faults)
	st.Slots, st.Runs = storetest.FaultySlots(st.Slots, &w.faults), storetest.FaultyRuns(st.Runs, &w.faults)
}

func (w *rnWorld) path(mode apps.Mode, what string) string {
	return "/openapi/v1/apps/" + w.apps[mode].ID + "/" + what
}

const rnHello = `{"inputs":{},"query":"hello"}`

// rnStream is an answer that is read as it comes.
type rnStream struct {
	t     testing.TB
	res   *http.Response
	in    *bufio.Reader
	leave context.CancelFunc // drops the connection
}

// rnClient holds each exchange against the API's document, the events too. No connection
// serves twice: the end of one is the end of a stream.
func rnClient() *http.Client {
	return &http.Client{Transport: apitest.Checked(&http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: apitest.Roots()}})}
}

// open asks for a run and reads the head of its answer.
func (w *rnWorld) open(t testing.TB, who, path, body string) *rnStream {
	t.Helper()
	return rnOpen(t, w.URL, w.bearers[who], path, body)
}

func rnOpen(t testing.TB, base, bearer, path, body string) *rnStream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	res, err := rnClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return &rnStream{t: t, res: res, in: bufio.NewReader(res.Body), leave: cancel}
}

// next reads one event with its blank line, or fails the test.
func (s *rnStream) next() string {
	s.t.Helper()
	frame, err := s.read()
	if err != nil {
		s.t.Fatalf("no event: %v after %q", err, frame)
	}
	return frame
}

func (s *rnStream) read() (frame string, err error) {
	for {
		line, err := s.in.ReadString('\n')
		frame += line
		if err != nil || line == "\n" {
			return frame, err
		}
	}
}

// rest reads the events that are left, to an end in order.
func (s *rnStream) rest() (frames []string) {
	s.t.Helper()
	for {
		frame, err := s.read()
		if err == io.EOF && frame == "" { //nolint:errorlint // nothing else is an end in order
			return frames
		}
		if err != nil {
			s.t.Fatalf("the stream breaks off: %v after %q and %q", err, frames, frame)
		}
		frames = append(frames, frame)
	}
}

// rnFailed is an error event of ours.
type rnFailed struct {
	Event, Code, Message string
	Status               int
	TaskID               string `json:"task_id"`
}

// wantEnd reads the one event that tells of a failure, and the end.
func (s *rnStream) wantEnd(status int, code, task string) {
	s.t.Helper()
	frames := s.rest()
	if len(frames) != 1 {
		s.t.Fatalf("%q", frames)
	}
	var f rnFailed
	data, ok := strings.CutPrefix(frames[0], "data: ")
	if err := json.Unmarshal([]byte(data), &f); !ok || err != nil || !strings.HasSuffix(frames[0], "}\n\n") {
		s.t.Fatalf("%q: %v", frames[0], err)
	}
	if f.Event != "error" || f.Code != code || f.Status != status || f.TaskID != task || f.Message == "" {
		s.t.Fatalf("%+v instead of %d %s", f, status, code)
	}
}

// finish lets the newest run end well.
func (w *rnWorld) finish(t testing.TB, s *rnStream) {
	t.Helper()
	one := w.rt.run(t, w.rt.asked())
	one.say(`{"event":"message_end","task_id":"t"}`)
	one.end(nil)
	s.rest()
}
