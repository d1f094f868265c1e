// SPDX-License-Identifier: Apache-2.0

package echo

import (
	"context"
	"encoding/json"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
)

// body is the form as it is read.
func (f *form) body() map[string]any {
	defaults := f.pause.Defaults
	if defaults == nil {
		defaults = json.RawMessage("{}")
	}
	return map[string]any{
		"form_content": f.pause.Content, "inputs": some(f.pause.Inputs), "resolved_default_values": defaults,
		"user_actions": some(f.pause.Actions), "expiration_time": f.expires.Unix(),
	}
}

// some is never null on the wire.
func some[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

// expire ends a run whose form nobody has answered in time.
func (r *Runtime) expire(j *job) {
	now := time.Now()
	if !j.waits(now) || r.Now().Before(j.form.expires) {
		return
	}
	f := j.form
	j.lapsed = f.token
	events := append([]event{j.make("human_input_form_timeout", 0, map[string]any{"data": map[string]any{
		"node_id": f.node, "node_title": f.pause.Title, "expiration_time": f.expires.Unix(),
	}})}, j.ending("failed", "Nobody has answered the form in time.")...)
	j.begin(now, nil, events...)
}

// form finds the form of a token and locks its job; unlock is called in every case.
func (r *Runtime) form(t run.Target, token string) (j *job, unlock func(), err error) {
	now := r.Now()
	j, ok := r.jobs.get(now, owned(t, "", "form:"+token))
	if !ok {
		return nil, func() {}, run.ErrFormNotFound
	}
	j.mu.Lock()
	r.expire(j)
	switch {
	case j.lapsed == token:
		err = run.ErrFormExpired
	case j.form == nil || j.form.token != token:
		err = run.ErrFormSubmitted // a job has one form at a time
	case !j.waits(time.Now()):
		err = run.ErrFormNotFound // nobody was told of it yet
	}
	return j, j.mu.Unlock, err
}

// Form implements run.Runtime.
func (r *Runtime) Form(_ context.Context, t run.Target, formToken string) (json.RawMessage, error) {
	j, unlock, err := r.form(t, formToken)
	defer unlock()
	if err != nil {
		return nil, err
	}
	return encode(j.form.body()), nil
}

// Submit implements run.Runtime. The run goes on at once; who follows it sees the rest.
func (r *Runtime) Submit(_ context.Context, t run.Target, formToken, user, action string, inputs json.RawMessage) error {
	j, unlock, err := r.form(t, formToken)
	defer unlock()
	if j != nil && j.user != user {
		return run.ErrFormNotFound
	}
	if err != nil {
		return err
	}
	f := j.form
	title, ok := f.title(action)
	if !ok {
		return run.ErrFormData.Saying("Invalid action")
	}
	given := map[string]json.RawMessage{}
	if len(inputs) > 0 && json.Unmarshal(inputs, &given) != nil {
		return run.ErrFormData
	}
	for _, in := range f.pause.Inputs {
		if v, ok := given[in.Variable]; !in.Optional && (!ok || string(v) == "null") {
			return run.ErrFormData.Saying(short("Missing required inputs: " + in.Variable))
		}
	}
	told := make(map[string]any, len(given))
	for name, value := range given {
		if told[name], err = r.tell(t, user, value); err != nil {
			return err
		}
	}
	f.done = true
	j.answers = append(j.answers, map[string]any{"action": action, "inputs": told})
	j.paused++
	filled := j.make("human_input_form_filled", 0, map[string]any{"data": map[string]any{
		"node_id": f.node, "node_title": f.pause.Title, "rendered_content": f.pause.Content, "action_id": action, "action_text": title,
	}})
	r.advance(j, filled, j.node("node_finished", f.node, f.pause.Title, 0, map[string]any{"outputs": told, "status": "succeeded", "error": nil}))
	key := ""
	if j.form != nil {
		key = owned(t, "", "form:"+j.form.token)
	}
	r.jobs.grow(r.Now(), j.size(), owned(t, "", "run:"+j.id), key)
	return nil
}

// title gives the words of an action; a form without actions takes the empty one.
func (f *form) title(action string) (string, bool) {
	for _, a := range f.pause.Actions {
		if a.ID == action {
			return a.Title, true
		}
	}
	return "", len(f.pause.Actions) == 0 && action == ""
}
