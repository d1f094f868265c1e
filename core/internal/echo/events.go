// SPDX-License-Identifier: Apache-2.0

package echo

import (
	"fmt"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

const (
	maxChunks = 32
	nodeID    = "echo"
	failure   = "The script of this app has it fail here."
)

// workflow reports whether the job is a workflow's, which advanced chats are too.
func (j *job) workflow() bool { return j.id != "" }

// talks reports whether the job answers in messages.
func (j *job) talks() bool { return j.target.Mode != apps.Workflow }

// plan gives the events of the next segment, and the form that it ends with; nil for the
// last.
func (j *job) plan(now time.Time, every time.Duration) (list []event, f *form) {
	first := j.paused == 0
	if first && j.workflow() {
		list = append(list, j.make("workflow_started", 0, map[string]any{"data": map[string]any{
			"id": j.id, "workflow_id": j.workflowID, "inputs": j.given, "created_at": j.created,
		}}))
	}
	if j.workflow() && j.paused < len(j.script.Pauses) {
		return j.pausing(list, now, every)
	}
	if j.workflow() {
		list = append(list, j.node("node_started", nodeID, "Echo", 0, nil))
	}
	if first && j.target.Mode == apps.AgentChat {
		list = append(list, j.make("agent_thought", 0, j.said(map[string]any{
			"id": canon.NewID(), "position": 1, "thought": "I say what I was asked.", "observation": "", "tool": "", "tool_input": "", "message_files": []string{},
		})))
	}
	at := every
	if j.talks() {
		name := "message"
		if j.target.Mode == apps.AgentChat {
			name = "agent_message"
		}
		for i, part := range chunks(j.answer) {
			at = time.Duration(i) * every
			list = append(list, j.make(name, at, j.said(map[string]any{"id": j.message, "answer": part})))
		}
	}
	if j.workflow() {
		list = append(list, j.node("node_finished", nodeID, "Echo", at, map[string]any{
			"outputs": j.outputs(), "status": "succeeded", "error": nil, "elapsed_time": at.Seconds(), "finished_at": j.created,
		}))
	}
	for _, e := range j.ending("succeeded", "") {
		e.after = at
		list = append(list, e)
	}
	return list, nil
}

// pausing ends a segment with the next form.
func (j *job) pausing(list []event, now time.Time, every time.Duration) ([]event, *form) {
	p := j.script.Pauses[j.paused]
	ttl := time.Duration(p.ExpiresIn) * time.Second
	if ttl == 0 {
		ttl = defaultTTL
	}
	f := &form{token: drawn(), pause: p, node: fmt.Sprintf("form-%d", j.paused+1), expires: now.Add(ttl)}
	list = append(list, j.node("node_started", f.node, p.Title, 0, nil))
	asked := f.body()
	asked["form_id"], asked["node_id"], asked["node_title"] = canon.NewID(), f.node, p.Title
	asked["form_token"], asked["actions"], asked["display_in_ui"] = f.token, asked["user_actions"], true
	delete(asked, "user_actions")
	list = append(list,
		j.make("human_input_required", every, map[string]any{"data": asked}),
		j.make("workflow_paused", every, map[string]any{"data": map[string]any{
			"workflow_run_id": j.id, "paused_nodes": []string{f.node}, "outputs": map[string]any{}, "status": "paused", "created_at": j.created,
			"reasons":      []map[string]any{{"type": "human_input_required", "node_id": f.node, "form_id": asked["form_id"]}},
			"elapsed_time": every.Seconds(), "total_tokens": 0, "total_steps": j.paused + 1,
		}}))
	return list, f
}

// ending are the events that end a run, by how it has ended.
func (j *job) ending(status, reason string) (list []event) {
	if j.workflow() {
		data := map[string]any{
			"id": j.id, "workflow_id": j.workflowID, "status": status, "outputs": j.outputs(), "error": nil, "elapsed_time": 0.0, "total_tokens": 0,
			"total_steps": j.paused + 1, "created_by": map[string]any{"id": j.user}, "created_at": j.created, "finished_at": j.created,
			"exceptions_count": 0, "files": []any{},
		}
		if status != "succeeded" {
			data["outputs"] = map[string]any{}
		}
		if reason != "" {
			data["error"] = reason
		}
		e := j.make("workflow_finished", 0, map[string]any{"data": data})
		e.Failed = status == "failed"
		j.final = encode(data)
		list = append(list, e)
	}
	switch {
	case !j.talks():
	case status == "failed":
		e := j.make("error", 0, j.said(map[string]any{"status": 400, "code": "completion_request_error", "message": reason}))
		e.Failed = true
		list = append(list, e)
	default:
		list = append(list, j.make("message_end", 0, j.said(map[string]any{"id": j.message, "metadata": metadata()})))
	}
	return list
}

func metadata() map[string]any {
	return map[string]any{
		"usage":               map[string]any{"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "total_price": "0", "currency": "USD", "latency": 0.0},
		"retriever_resources": []any{},
	}
}

// said adds what events about a message have in common.
func (j *job) said(members map[string]any) map[string]any {
	members["message_id"], members["created_at"] = j.message, j.created
	if j.conversation != "" {
		members["conversation_id"] = j.conversation
	}
	return members
}

func (j *job) node(name, id, title string, after time.Duration, more map[string]any) event {
	kind := "echo"
	if id != nodeID {
		kind = "human-input"
	}
	data := map[string]any{
		"id": canon.NewID(), "node_id": id, "node_type": kind, "title": title, "index": j.paused + 1, "predecessor_node_id": nil,
		"inputs": nil, "created_at": j.created, "extras": map[string]any{},
	}
	for k, v := range more {
		data[k] = v
	}
	return j.make(name, after, map[string]any{"data": data})
}

// outputs are the inputs, and the answers to forms where there were any.
func (j *job) outputs() map[string]any {
	out := make(map[string]any, len(j.given)+1)
	for k, v := range j.given {
		out[k] = v
	}
	if len(j.answers) > 0 {
		out["human_input"] = j.answers
	}
	return out
}

// chunks cuts an answer into what streams one by one: the word echo, then the others, in
// few enough pieces.
func chunks(answer string) []string {
	words := strings.SplitAfter(strings.TrimPrefix(answer, prefix), " ")
	each := (len(words) + maxChunks - 2) / (maxChunks - 1)
	list := []string{prefix}
	for len(words) > 0 {
		n := min(each, len(words))
		if part := strings.Join(words[:n], ""); part != "" {
			list = append(list, part)
		}
		words = words[n:]
	}
	return list
}
