// SPDX-License-Identifier: Apache-2.0

package echo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// prefix begins every answer.
const prefix = "echo:"

// drawn gives what nobody guesses.
func drawn() string { return strings.ToLower(rand.Text()) }

// start checks a request and begins its run.
func (r *Runtime) start(ctx context.Context, t run.Target, q run.Request) (*job, error) {
	s, err := r.script(t)
	if err != nil {
		return nil, err
	}
	if !t.Mode.Runnable() {
		return nil, run.ErrAppUnavailable
	}
	given, err := r.inputs(s, t, q)
	if err != nil {
		return nil, err
	}
	files, err := r.tell(t, q.User, q.Files)
	if err != nil {
		return nil, err
	}
	now := r.Now()
	j := &job{target: t, user: q.User, task: canon.NewID(), script: s, given: given, changed: make(chan struct{})}
	j.names = names{message: canon.NewID(), created: now.Unix(), workflowID: t.AppID}
	if q.WorkflowID != "" {
		j.workflowID = q.WorkflowID
	}
	if t.Mode == apps.Workflow || t.Mode == apps.AdvancedChat {
		j.id = canon.NewID()
	}
	if t.Mode.Chats() {
		if j.conversation, err = r.conversation(t, q); err != nil {
			return nil, err
		}
	}
	j.answer = answer(q, given, files)
	if err := slow(ctx, s); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	r.advance(j)
	keys := []string{owned(t, j.user, "task:"+j.task)}
	if j.id != "" {
		keys = append(keys, owned(t, j.user, "run:"+j.id), owned(t, "", "run:"+j.id))
	}
	if j.form != nil {
		keys = append(keys, owned(t, "", "form:"+j.form.token))
	}
	r.jobs.put(now, j.size(), j, keys...)
	return j, nil
}

// answer is what messages say: the query, or for a completion without one the inputs, and
// the files that came along.
func answer(q run.Request, given map[string]any, files any) string {
	text := ""
	if q.Query != nil {
		text = *q.Query
	}
	if strings.TrimSpace(text) == "" && len(given) > 0 {
		text = string(encode(given))
	}
	if list, ok := files.([]any); ok && len(list) > 0 {
		text += " " + string(encode(list))
	}
	return prefix + text
}

// advance begins the next segment after what comes first of it, within what the script lets
// the run come to.
func (r *Runtime) advance(j *job, first ...event) {
	list, f := j.plan(r.Now(), r.Interval)
	list = append(first, list...)
	all := len(j.events) + len(list)
	if n := j.script.FailAfter; n > 0 && n < all {
		list, f = list[:max(0, n-len(j.events))], nil
		at := last(list)
		for _, e := range j.ending("failed", failure) {
			e.after = at
			list = append(list, e)
		}
	}
	if n := j.script.CutAfter; n > 0 && n < all {
		list, f, j.final = list[:max(0, n-len(j.events))], nil, nil
	}
	j.begin(time.Now(), f, list...)
}

func last(list []event) time.Duration {
	if len(list) == 0 {
		return 0
	}
	return list[len(list)-1].after
}

func (j *job) size() int {
	n := 4096 + len(j.answer) + len(j.target.Config)
	for _, e := range j.events[j.first:] {
		n += 2 * len(e.Frame)
	}
	return n
}

// Stream implements run.Runtime.
func (r *Runtime) Stream(ctx context.Context, t run.Target, q run.Request) (run.Stream, error) {
	j, err := r.start(ctx, t, q)
	if err != nil {
		return nil, err
	}
	return r.follow(ctx, j, 0, false), nil
}

// Block implements run.Runtime.
func (r *Runtime) Block(ctx context.Context, t run.Target, q run.Request) (json.RawMessage, error) {
	j, err := r.start(ctx, t, q)
	if err != nil {
		return nil, err
	}
	events := r.follow(ctx, j, 0, false)
	defer func() { _ = events.Close() }()
	var ended run.Event
	var body struct {
		Data json.RawMessage `json:"data"`
	}
	for {
		e, err := events.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if e.Name == "error" {
			return nil, run.ErrCompletion.Saying(failure)
		}
		if e.Final() {
			ended = e
		}
		if e.Name == "workflow_finished" || e.Name == "workflow_paused" {
			_ = json.Unmarshal(e.Frame[len("data: "):], &body) // our own
		}
	}
	switch {
	case ended.Name == "":
		return nil, run.ErrUnavailable.Because(errors.New("echo: the script cuts the run off"))
	case !j.talks() || ended.Name == "workflow_paused":
		return encode(map[string]any{"task_id": j.task, "workflow_run_id": j.id, "data": body.Data}), nil
	}
	return encode(j.said(map[string]any{
		"event": "message", "task_id": j.task, "id": j.message, "mode": j.target.Mode, "answer": j.answer, "metadata": metadata(),
	})), nil
}

// Stop implements run.Runtime. A task that is over or not this user's stays as it is.
func (r *Runtime) Stop(_ context.Context, t run.Target, taskID, user string) error {
	if j, ok := r.jobs.get(r.Now(), owned(t, user, "task:"+taskID)); ok {
		j.stop(time.Now())
	}
	return nil
}

// Events implements run.Runtime. Without a snapshot it begins where the run has last gone
// on, so that who answers a form and then follows misses nothing.
func (r *Runtime) Events(ctx context.Context, t run.Target, workflowRunID, user string, o run.EventOptions) (run.Stream, error) {
	j, ok := r.jobs.get(r.Now(), owned(t, user, "run:"+workflowRunID))
	if !ok {
		return nil, run.ErrNoWorkflowRun
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	r.expire(j)
	from := j.first
	if o.Snapshot {
		from = 0
	}
	return r.follow(ctx, j, from, o.ContinueOnPause), nil
}

// Outcome implements run.Runtime.
func (r *Runtime) Outcome(_ context.Context, t run.Target, workflowRunID string) (run.Outcome, error) {
	j, ok := r.jobs.get(r.Now(), owned(t, "", "run:"+workflowRunID))
	if !ok {
		return run.Outcome{}, run.ErrNoWorkflowRun
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	r.expire(j)
	if n, _ := j.sent(time.Now()); !j.over || n < len(j.events) || j.final == nil {
		return run.Outcome{}, nil
	}
	return run.Outcome{Finished: true, Event: j.final}, nil
}
