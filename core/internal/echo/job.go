// SPDX-License-Identifier: Apache-2.0

package echo

import (
	"bytes"
	"encoding/json"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
)

// event is one that a job will have sent once its time has come.
type event struct {
	run.Event
	after time.Duration // since its segment has begun
}

// job is a run. Its events are known from the beginning of a segment, which ends with the
// run or with a pause; time alone says which of them have been sent, so that no goroutine
// goes on for a run that nobody follows. Where a form is answered the next segment begins.
type job struct {
	target run.Target
	user   string
	task   string
	id     string // of the workflow run; empty where the mode has none
	script *script
	given  map[string]any
	names

	mu      sync.Mutex
	events  []event
	first   int             // event of the segment
	began   time.Time       // the segment, by the process's own clock
	form    *form           // that the segment ends with; nil for the last
	answers []any           // to forms
	paused  int             // pauses that were answered
	lapsed  string          // token of the form that nobody has answered in time
	final   json.RawMessage // data of workflow_finished, once that is among the events
	over    bool            // the last segment has been planned
	changed chan struct{}
}

// names are the ids and words that the events of a run share.
type names struct {
	message, conversation, workflowID, answer string
	created                                   int64
}

// form is a pause that waits, as the last event of its segment tells.
type form struct {
	token   string
	pause   pause
	node    string
	expires time.Time
	done    bool // answered
}

// sent counts the events whose time has come, and tells how long the next one is away;
// zero when there is none in this segment.
func (j *job) sent(now time.Time) (n int, next time.Duration) {
	since := now.Sub(j.began)
	n = j.first
	for ; n < len(j.events); n++ {
		if away := j.events[n].after - since; away > 0 {
			return n, away
		}
	}
	return n, 0
}

// waits reports whether the job has paused for a form.
func (j *job) waits(now time.Time) bool {
	n, _ := j.sent(now)
	return j.form != nil && !j.form.done && n == len(j.events)
}

// begin starts a segment with these events.
func (j *job) begin(now time.Time, f *form, events ...event) {
	j.first, j.began, j.form = len(j.events), now, f
	j.events = append(j.events, events...)
	j.over = f == nil
	j.tell()
}

// tell wakes those who follow.
func (j *job) tell() {
	if j.changed != nil {
		close(j.changed)
	}
	j.changed = make(chan struct{})
}

// stop ends the job where it is.
func (j *job) stop(now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n, _ := j.sent(now)
	if n == len(j.events) && !j.waits(now) {
		return // it has ended by itself
	}
	j.events = j.events[:n:n]
	j.final = nil
	j.begin(now, nil, j.ending("stopped", "")...)
}

// make writes an event as a runtime does: one line of data and a blank one.
func (j *job) make(name string, after time.Duration, members map[string]any) event {
	members["event"], members["task_id"] = name, j.task
	if j.id != "" {
		members["workflow_run_id"] = j.id
	}
	text := encode(members)
	e := event{after: after}
	e.Frame = append(append(append(make([]byte, 0, len(text)+8), "data: "...), text...), "\n\n"...)
	e.Name, e.TaskID, e.WorkflowRunID = name, j.task, j.id
	return e
}

// encode writes JSON as it is, without the escapes of HTML. What is written is ours, so
// it can be.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
