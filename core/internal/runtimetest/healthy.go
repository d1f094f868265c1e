// SPDX-License-Identifier: Apache-2.0

package runtimetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// healthy is what a runtime in order answers.
func healthy(c *Call) Script {
	switch c.Route {
	case Chat:
		return c.messages()
	case Completion:
		return c.messages()
	case Workflow, WorkflowByID:
		return c.workflow()
	case Parameters:
		return Script{Answer(200, `{"opening_statement":"Hello","suggested_questions":[],"user_input_form":[]}`)}
	case Info:
		return Script{Answer(200, `{"name":"An app","description":"","tags":[],"mode":"chat","author_name":"A"}`)}
	case Upload:
		f := c.File
		name, _ := json.Marshal(f.Name)
		media, _ := json.Marshal(f.MediaType)
		_, extension, _ := cutLast(f.Name, ".")
		kind, _ := json.Marshal(extension)
		return Script{Answer(201, fmt.Sprintf(`{"id":"{run}","name":%s,"size":%d,"extension":%s,"mime_type":%s,"created_by":"{task}","created_at":1700000000}`, name, f.Size, kind, media))}
	case Events:
		return Script{Begin(), Event(`{"event":"workflow_started","task_id":"{task}","workflow_run_id":"` + c.segment(3) + `"}`), Event(finished(c.segment(3)))}
	case Detail:
		return Script{Answer(200, `{"id":"`+c.segment(4)+`","workflow_id":"w","status":"succeeded","inputs":"{}","outputs":{"answer":"done"},"error":null,"total_steps":1,"total_tokens":2,"created_at":1700000000,"finished_at":1700000001,"elapsed_time":1.5}`)}
	case Form:
		return Script{Answer(200, `{"form_content":"Is it so?","inputs":[],"resolved_default_values":{},"user_actions":[{"id":"yes","title":"Yes","button_style":"primary"}],"expiration_time":1900000000}`)}
	case Submit:
		return Script{Answer(200, `{}`)}
	case Conversation:
		return Script{Answer(204, ``)}
	case Export:
		return Script{Answer(200, `{"data":"kind: app\nversion: 0.5.0\n"}`)}
	case Dependencies:
		return Script{Answer(200, `{"leaked_dependencies":[]}`)}
	case Import, Confirm:
		return Script{Answer(200, `{"id":"{run}","status":"completed","app_id":"{task}","error":""}`)}
	default:
		return Script{Answer(200, `{"result":"success"}`)}
	}
}

const (
	message = `{"event":"message","task_id":"{task}","id":"{run}","message_id":"{run}","conversation_id":"%s","answer":"%s","created_at":1700000000}`
	ended   = `{"event":"message_end","task_id":"{task}","id":"{run}","message_id":"{run}","conversation_id":"%s","metadata":{"usage":{"total_tokens":2}}}`
	whole   = `{"event":"message","task_id":"{task}","id":"{run}","message_id":"{run}","conversation_id":"%s","mode":"chat","answer":"%s","metadata":{"usage":{"total_tokens":2}},"created_at":1700000000}`
)

// messages answers "echo:" and the query in two pieces, or in one.
func (c *Call) messages() Script {
	conversation := strings.Trim(c.Member("conversation_id"), `"`)
	if conversation == "" {
		conversation = "{task}"
	}
	query := strings.Trim(c.Member("query"), `"`) // still escaped as JSON
	if !utf8.ValidString(query) {
		query = ""
	}
	if c.Member("response_mode") == `"blocking"` {
		return Script{Answer(200, fmt.Sprintf(whole, conversation, "echo:"+query))}
	}
	return Script{
		Begin(), Event(fmt.Sprintf(message, conversation, "echo:")), Event(fmt.Sprintf(message, conversation, query)), Event(fmt.Sprintf(ended, conversation)),
	}
}

func finished(run string) string {
	return `{"event":"workflow_finished","task_id":"{task}","workflow_run_id":"` + run + `","data":{"id":"` + run + `","status":"succeeded","outputs":{"answer":"done"},"error":null}}`
}

func (c *Call) workflow() Script {
	if c.Member("response_mode") == `"blocking"` {
		return Script{Answer(200, `{"task_id":"{task}","workflow_run_id":"{run}","data":{"id":"{run}","status":"succeeded","outputs":{"answer":"done"},"error":null}}`)}
	}
	return Script{
		Begin(), Event(`{"event":"workflow_started","task_id":"{task}","workflow_run_id":"{run}","data":{"id":"{run}"}}`),
		Event(`{"event":"text_chunk","task_id":"{task}","workflow_run_id":"{run}","data":{"text":"done"}}`), Event(finished("{run}")),
	}
}

// segment gives a part of the path, counted from 0 at its first slash.
func (c *Call) segment(n int) string {
	parts := strings.Split(c.Path, "/")
	if n >= len(parts) {
		return ""
	}
	return parts[n]
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
