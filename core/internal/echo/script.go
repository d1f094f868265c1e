// SPDX-License-Identifier: Apache-2.0

package echo

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
)

// MaxConfig is the longest runtime_config, in bytes.
const MaxConfig = 64 << 10

// The bounds of a script.
const (
	maxPauses  = 8
	maxSlow    = 10 * time.Minute
	defaultTTL = time.Hour // of a form
)

// script is a runtime_config: what /v1/parameters answers, and beside it how the app
// behaves.
type script struct {
	parameters map[string]json.RawMessage
	form       []field
	acts
}

// acts is the member "echo" of a runtime_config.
type acts struct {
	// Pauses are forms that a workflow waits for, one after the other.
	Pauses []pause `json:"pauses"`
	// FailAfter has the run fail after as many events, CutAfter has it end without a word.
	FailAfter int `json:"fail_after"`
	CutAfter  int `json:"cut_after"`
	// NotConfigured: the app is not set up at its runtime.
	NotConfigured bool `json:"not_configured"`
	// SlowMS is how long the runtime takes before it begins to answer.
	SlowMS int `json:"slow_ms"`
}

// pause is a form that waits for somebody.
type pause struct {
	Title     string          `json:"title"`
	Content   string          `json:"content"`
	Inputs    []formInput     `json:"inputs"`
	Actions   []formAction    `json:"actions"`
	Defaults  json.RawMessage `json:"defaults"`
	ExpiresIn int             `json:"expires_in"` // seconds
}

type formInput struct {
	Type     string          `json:"type"`
	Variable string          `json:"output_variable_name"`
	Default  json.RawMessage `json:"default,omitempty"`
	Optional bool            `json:"optional,omitempty"`
}

type formAction struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Style string `json:"button_style"`
}

// Check reports what is wrong with a runtime_config, for whom has written it.
func Check(config string) error {
	_, err := parse(config)
	return err
}

// parse reads a runtime_config; an empty one is an app without a form.
func parse(config string) (*script, error) {
	s := &script{parameters: map[string]json.RawMessage{}}
	if len(config) > MaxConfig {
		return nil, fmt.Errorf("it is longer than %d bytes", MaxConfig)
	}
	if config == "" {
		return s, nil
	}
	if err := json.Unmarshal([]byte(config), &s.parameters); err != nil || s.parameters == nil {
		return nil, errors.New("it is no JSON object")
	}
	if acts, ok := s.parameters["echo"]; ok {
		if err := strict(acts, &s.acts); err != nil {
			return nil, fmt.Errorf("echo: %w", err)
		}
		delete(s.parameters, "echo")
	}
	for name := range s.parameters {
		if _, known := defaults[name]; !known {
			return nil, fmt.Errorf("%.64q is no member of a runtime's parameters", name)
		}
	}
	if form, ok := s.parameters["user_input_form"]; ok {
		var err error
		if s.form, err = parseForm(form); err != nil {
			return nil, fmt.Errorf("user_input_form: %w", err)
		}
	}
	return s, s.judge()
}

func (s *script) judge() error {
	switch {
	case len(s.Pauses) > maxPauses:
		return fmt.Errorf("echo: at most %d pauses", maxPauses)
	case s.FailAfter < 0, s.CutAfter < 0:
		return errors.New("echo: fail_after and cut_after count events from 1")
	case s.SlowMS < 0, s.SlowMS > int(maxSlow/time.Millisecond):
		return errors.New("echo: slow_ms is 0 to 600000")
	}
	for i, p := range s.Pauses {
		for _, in := range p.Inputs {
			if in.Variable == "" {
				return fmt.Errorf("echo: an input of pause %d has no output_variable_name", i+1)
			}
		}
		for _, a := range p.Actions {
			if a.ID == "" {
				return fmt.Errorf("echo: an action of pause %d has no id", i+1)
			}
		}
		if p.ExpiresIn < 0 || p.ExpiresIn > int(keepRuns/time.Second) {
			return fmt.Errorf("echo: expires_in of pause %d is 1 to %d seconds", i+1, int(keepRuns/time.Second))
		}
		var defaults map[string]json.RawMessage
		if p.Defaults != nil && json.Unmarshal(p.Defaults, &defaults) != nil {
			return fmt.Errorf("echo: the defaults of pause %d are no object", i+1)
		}
	}
	return nil
}

// script reads the config of an app that is asked for. One that is not set up is told
// as such.
func (r *Runtime) script(t run.Target) (*script, error) {
	s, err := parse(t.Config)
	if err != nil {
		return nil, run.ErrAppUnavailable.Saying(short("The app's runtime_config does not hold: " + err.Error() + "."))
	}
	if s.NotConfigured {
		return nil, run.ErrNotConfigured
	}
	return s, nil
}

// defaults are all members of /v1/parameters, as a runtime gives them for an app that
// switches nothing on.
var defaults = map[string]json.RawMessage{
	"opening_statement":                json.RawMessage(`""`),
	"suggested_questions":              json.RawMessage(`[]`),
	"suggested_questions_after_answer": json.RawMessage(`{"enabled":false}`),
	"speech_to_text":                   json.RawMessage(`{"enabled":false}`),
	"text_to_speech":                   json.RawMessage(`{"enabled":false,"language":"","voice":""}`),
	"retriever_resource":               json.RawMessage(`{"enabled":false}`),
	"annotation_reply":                 json.RawMessage(`{"enabled":false}`),
	"more_like_this":                   json.RawMessage(`{"enabled":false}`),
	"user_input_form":                  json.RawMessage(`[]`),
	"sensitive_word_avoidance":         json.RawMessage(`{"enabled":false}`),
	"file_upload":                      json.RawMessage(`{"enabled":false}`),
	"system_parameters":                json.RawMessage(`{"file_size_limit":15,"image_file_size_limit":10,"audio_file_size_limit":50,"video_file_size_limit":100,"workflow_file_upload_limit":10}`),
}
