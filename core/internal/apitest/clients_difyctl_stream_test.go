// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/json"
	"strings"
)

// dcRun is what the client has after a stream.
type dcRun struct {
	names    []string // of the events, in order, those it ignores too
	answer   string
	thoughts []string
	first    map[string]any // ids of the first message event
	metadata map[string]any
	finished map[string]any // the whole workflow_finished
	pause    map[string]any // the whole human_input_required
	failure  map[string]any // the error event
	said     string         // the message that it prints for it
	exit     int
	code     string
	wrong    string // a member that the client reads and that is not of its type
}

// dcPause is what it reads of a pause.
var dcPause = dcShape{
	"task_id": dcFilled, "workflow_run_id": dcFilled,
	"data": dcObject(dcShape{
		"form_id": dcString, "node_id": dcString, "node_title": dcString, "form_content": dcString, "display_in_ui": dcBool, "form_token": dcMaybe(dcFilled),
		"inputs":  dcMaybe(dcList(dcShape{})),
		"actions": dcMaybe(dcList(dcShape{"id": dcString, "title": dcNeverNull(dcString), "button_style": dcNeverNull(dcString)})),
	}),
}

// dcFollow reads a stream to its end as the client does, without --stream.
func dcFollow(mode, stream string) (r dcRun) {
	name, data, begun := "", []string(nil), false
	for line := range strings.Lines(stream) {
		end := strings.HasSuffix(line, "\n")
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		switch {
		case line == "" && end && begun:
			if r.take(mode, name, strings.Join(data, "\n"), data != nil); r.exit != 0 || r.pause != nil {
				return r
			}
			name, data, begun = "", nil, false
		case strings.HasPrefix(line, "event:"):
			name, begun = strings.TrimSpace(line[len("event:"):]), true
		case strings.HasPrefix(line, "data:"):
			data, begun = append(data, strings.TrimPrefix(line[len("data:"):], " ")), true
		}
	}
	return r // what has no blank line behind it is dropped
}

func (r *dcRun) take(mode, name, data string, some bool) {
	var event map[string]any
	if some {
		if err := json.Unmarshal([]byte(data), &event); err != nil || event == nil {
			r.exit, r.code = 1, "invalid_json"
			return
		}
	}
	if name == "" {
		name, _ = event["event"].(string)
	}
	r.names = append(r.names, name)
	check := func(s dcShape) {
		if wrong := s.wrong(any(event)); wrong != "" && r.wrong == "" {
			r.wrong = name + wrong
		}
	}
	switch name {
	case "message", "agent_message":
		if name == "agent_message" && mode == "completion" {
			return
		}
		check(dcShape{"answer": dcString, "id": dcNeverNull(dcString), "conversation_id": dcNeverNull(dcString), "message_id": dcNeverNull(dcString), "task_id": dcNeverNull(dcString), "created_at": dcNeverNull(dcInt)})
		if s, ok := event["answer"].(string); ok {
			r.answer += s
		}
		if r.first == nil {
			r.first = event
		}
	case "agent_thought":
		check(dcShape{"thought": dcMaybe(dcString)})
		if s, ok := event["thought"].(string); ok {
			r.thoughts = append(r.thoughts, s)
		}
	case "message_end":
		check(dcShape{"metadata": dcNeverNull(dcObject(dcShape{}))})
		r.metadata, _ = event["metadata"].(map[string]any)
	case "workflow_finished":
		check(dcShape{"data": dcObject(dcShape{"status": dcString, "outputs": dcMaybe(dcObject(dcShape{}))})})
		r.finished = event
	case "human_input_required":
		check(dcPause)
		r.pause = event
	case "workflow_paused":
		r.exit, r.code = 1, "workflow_paused"
	case "error":
		check(dcShape{"message": dcString, "status": dcInt})
		r.failure = event
		r.said, _ = event["message"].(string)
		var inner struct {
			Kind string `json:"error_type"`
			Args struct{ Description string }
		}
		if json.Unmarshal([]byte(r.said), &inner) == nil && inner.Kind != "" {
			r.said = inner.Args.Description
		}
		r.exit, r.code = 1, "server_5xx"
		if status, _ := event["status"].(float64); status >= 1 && status <= 499 {
			r.code = "server_4xx_other"
		}
	}
}
