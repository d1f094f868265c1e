// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/api"
)

// telling prints a run as it comes. It keeps a digest of what it printed and nothing of
// the text, however long the run.
type telling struct {
	*command
	api *api.API
	app string

	midline bool // the last thing on stdout is no end of line
	answers bool // message events carry the answer
	shown   hash.Hash
	length  int

	final  bool // an event came after which a run may end
	paused bool
	failed error
	forms  []asked
	run    string // of the workflow
	talk   string // the conversation
}

// maxForms is how many forms one run may show: more than anybody answers by hand.
const maxForms = 20

func (c *command) telling(a *api.API, app string) *telling {
	return &telling{command: c, api: a, app: app, shown: sha256.New()}
}

// ofEvent is what is read of an event's JSON.
type ofEvent struct {
	Answer  string          `json:"answer"`
	Thought string          `json:"thought"`
	Tool    string          `json:"tool"`
	URL     string          `json:"url"`
	Kind    string          `json:"type"`
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Status  int             `json:"status"`
	Data    json.RawMessage `json:"data"`
}

type ofData struct {
	Text    string          `json:"text"`
	Title   string          `json:"title"`
	Status  string          `json:"status"`
	Error   *string         `json:"error"`
	Elapsed float64         `json:"elapsed_time"`
	Outputs json.RawMessage `json:"outputs"`
}

// event prints one; done says that nothing that counts can follow.
func (t *telling) event(e api.Event) (done bool, err error) {
	var v ofEvent
	var d ofData
	decode(e.Data, &v)
	if len(v.Data) > 0 {
		decode(v.Data, &d)
	}
	if e.Run != "" {
		t.run = e.Run
	}
	if e.Conversation != "" {
		t.talk = e.Conversation
	}
	if t.output == "json" {
		if err := t.line(e.Data); err != nil {
			return false, err
		}
	}
	switch e.Name {
	case "message", "agent_message":
		t.answers = true
		return false, t.answer(v.Answer)
	case "text_chunk":
		return false, t.answer(d.Text)
	case "message_replace":
		t.progress("the app takes back what stands above; in its place:")
		t.shown.Reset()
		t.length = 0
		return false, t.answer(v.Answer)
	case "message_file":
		return false, t.answer(fmt.Sprintf("\n[%s] %s\n", v.Kind, v.URL))
	case "agent_thought":
		t.thought(v)
	case "node_started":
		t.progress("%s", brief(d.Title, 120))
	case "node_finished", "node_retry":
		t.node(e.Name, d)
	case "message_end":
		t.final = true
	case "workflow_finished":
		t.final = true
		return false, t.finished(d)
	case "workflow_paused":
		t.final, t.paused = true, true
		return true, nil
	case "human_input_required":
		return false, t.form(v.Data)
	case "error":
		return false, t.brokenOff(v.Code, v.Message, v.Status)
	}
	return false, nil
}

// decode reads what is of the right type and leaves the rest.
func decode(raw []byte, into any) { _ = json.Unmarshal(raw, into) }

// answer prints a piece of the answer at once.
func (t *telling) answer(s string) error {
	if s == "" || t.output == "json" {
		return nil
	}
	t.shown.Write([]byte(s))
	t.length += len(s)
	s = prose(s)
	if s == "" {
		return nil
	}
	t.midline = !strings.HasSuffix(s, "\n")
	_, err := io.WriteString(t.Stdout, s)
	return err
}

// endLine ends the line that the answer has left open.
func (t *telling) endLine() {
	if t.midline {
		_, _ = io.WriteString(t.Stdout, "\n")
		t.midline = false
	}
}

// progress says on stderr what the app is doing, if a person reads it there.
func (t *telling) progress(format string, args ...any) {
	if !t.Trace || t.output == "json" {
		return
	}
	if t.Screen {
		t.endLine()
	}
	fmt.Fprintf(t.Stderr, "· "+format+"\n", args...)
}

func (t *telling) thought(v ofEvent) {
	if v.Thought != "" {
		t.progress("thinks: %s", brief(v.Thought, 200))
	}
	if v.Tool != "" {
		t.progress("uses %s", brief(v.Tool, 80))
	}
}

func (t *telling) node(name string, d ofData) {
	title := brief(d.Title, 120)
	switch {
	case name == "node_retry":
		t.progress("%s is tried again: %s", title, brief(orElse(d.Error, "no reason given"), 200))
	case d.Status == "failed":
		t.progress("%s failed: %s", title, brief(orElse(d.Error, "no reason given"), 200))
	default:
		t.progress("%s done (%.1f s)", title, d.Elapsed)
	}
}

// finished judges the end of a workflow, and prints its outputs unless they are what was
// printed as it came.
func (t *telling) finished(d ofData) error {
	switch d.Status {
	case "succeeded", "partial-succeeded":
	case "stopped":
		t.failed = told{code: "run_stopped", exit: exitRun, text: "the run was stopped before its end"}
		return nil
	case "paused":
		t.paused = true
		return nil
	default:
		t.failed = told{code: "run_failed", exit: exitRun, text: "the run failed: " + brief(orElse(d.Error, "it ended as "+word(d.Status)), 400)}
		return nil
	}
	if t.output == "json" || t.answers {
		return nil
	}
	list := members(d.Outputs)
	if len(list) == 1 {
		var text string
		if json.Unmarshal(list[0].Value, &text) == nil {
			digest := sha256.Sum256([]byte(text))
			if t.length == len(text) && bytes.Equal(t.shown.Sum(nil), digest[:]) {
				return nil
			}
			t.endLine()
			return t.answer(text)
		}
	}
	t.endLine()
	if len(list) == 0 {
		return nil
	}
	var b bytes.Buffer
	if err := json.Indent(&b, d.Outputs, "", "  "); err != nil {
		return err
	}
	return t.answer(b.String() + "\n")
}

// whole prints the answer of a blocking run.
func (t *telling) whole(raw json.RawMessage) error {
	var v struct {
		ofEvent
		Event        string `json:"event"`
		Run          string `json:"workflow_run_id"`
		Conversation string `json:"conversation_id"`
	}
	decode(raw, &v)
	if t.run, t.talk = v.Run, v.Conversation; t.output == "json" {
		if err := t.line(raw); err != nil {
			return err
		}
	}
	var d ofData
	decode(v.Data, &d)
	switch {
	case v.Event == "error":
		return t.brokenOff(v.Code, v.Message, v.Status)
	case v.Event == "workflow_paused" || d.Status == "paused":
		t.paused = true
	case d.Status != "":
		if err := t.finished(d); err != nil {
			return err
		}
	default:
		if err := t.answer(v.Answer); err != nil {
			return err
		}
	}
	t.endLine()
	return t.verdict()
}

// unwrapped is the sentence in a message that is itself JSON, as plugins write it.
func unwrapped(message string) string {
	var v struct {
		Kind string `json:"error_type"`
		Args struct {
			Description string `json:"description"`
		} `json:"args"`
	}
	if json.Unmarshal([]byte(message), &v) == nil && v.Kind != "" && v.Args.Description != "" {
		return v.Args.Description
	}
	return message
}
