// SPDX-License-Identifier: Apache-2.0

package echo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dify-sso/dify-sso/core/internal/run"
)

// field is a row of a user_input_form.
type field struct {
	kind     string
	Variable string   `json:"variable"`
	Required bool     `json:"required"`
	Most     int      `json:"max_length"`
	Options  []string `json:"options"`
}

// strict decodes JSON and refuses members that nobody reads.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return errors.New("its members are not those of a script")
	}
	return nil
}

// parseForm reads rows of one kind each, such as {"text-input": {"variable": "name"}}.
// Kinds that are not known are not checked: a runtime has more than this one.
func parseForm(text json.RawMessage) (form []field, err error) {
	var rows []map[string]json.RawMessage
	if json.Unmarshal(text, &rows) != nil {
		return nil, errors.New("it is no list of rows")
	}
	for i, row := range rows {
		if len(row) != 1 {
			return nil, fmt.Errorf("row %d has not exactly one kind", i+1)
		}
		for kind, body := range row {
			f := field{kind: kind}
			if json.Unmarshal(body, &f) != nil || f.Variable == "" {
				return nil, fmt.Errorf("row %d has no variable, or members of another type", i+1)
			}
			form = append(form, f)
		}
	}
	return form, nil
}

// inputs checks what a run was given against the form, in a runtime's words, and gives it
// with its files told by name and size.
func (r *Runtime) inputs(s *script, t run.Target, q run.Request) (map[string]any, error) {
	given := map[string]json.RawMessage{}
	if len(q.Inputs) > 0 && json.Unmarshal(q.Inputs, &given) != nil {
		return nil, run.ErrRefused.Saying("inputs must be an object")
	}
	for _, f := range s.form {
		if wrong := f.judge(given[f.Variable]); wrong != "" {
			return nil, run.ErrRefused.Saying(short(wrong))
		}
	}
	out := make(map[string]any, len(given))
	for name, value := range given {
		told, err := r.tell(t, q.User, value)
		if err != nil {
			return nil, err
		}
		out[name] = told
	}
	return out, nil
}

// judge says what is wrong with a value, in the words of a runtime.
func (f field) judge(value json.RawMessage) string {
	if len(value) == 0 || string(value) == "null" || string(value) == `""` {
		if f.Required {
			return f.Variable + " is required in input form"
		}
		return ""
	}
	in := f.Variable + " in input form must be "
	var text string
	isText := json.Unmarshal(value, &text) == nil
	switch f.kind {
	case "text-input", "paragraph", "select":
		switch {
		case !isText:
			return fmt.Sprintf("(type '%s') %s in input form must be a string", f.kind, f.Variable)
		case f.kind == "select" && !slices.Contains(f.Options, text):
			return in + "one of the following: " + quoted(f.Options)
		case f.kind != "select" && f.Most > 0 && utf8.RuneCountInString(text) > f.Most:
			return in + "less than " + strconv.Itoa(f.Most) + " characters"
		}
	case "number":
		if !isText {
			text = string(value)
		}
		if _, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err != nil {
			return in + "a valid number"
		}
	case "checkbox":
		if s := string(value); s != "true" && s != "false" {
			return in + "a boolean value"
		}
	case "file":
		if value[0] != '{' {
			return in + "a file"
		}
	case "file-list":
		var list []json.RawMessage
		if json.Unmarshal(value, &list) != nil {
			return in + "a list of files"
		}
		for _, one := range list {
			if len(one) == 0 || one[0] != '{' {
				return in + "a list of files"
			}
		}
		if f.Most > 0 && len(list) > f.Most {
			return in + "less than " + strconv.Itoa(f.Most) + " files"
		}
	}
	return ""
}

// quoted writes options as a runtime does: ['a', 'b'].
func quoted(options []string) string {
	parts := make([]string, len(options))
	for i, o := range options {
		parts[i] = "'" + o + "'"
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// short bounds a sentence that goes to the caller.
func short(s string) string {
	const most = 500
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// tell gives a value as it is echoed: files of this user, alone or in a list, by what is
// known of them.
func (r *Runtime) tell(t run.Target, user string, value json.RawMessage) (any, error) {
	var list []json.RawMessage
	if value = bytes.TrimSpace(value); len(value) == 0 || value[0] != '[' || json.Unmarshal(value, &list) != nil {
		return r.tellOne(t, user, value)
	}
	out := make([]any, len(list))
	for i, one := range list {
		var err error
		if out[i], err = r.tellOne(t, user, one); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *Runtime) tellOne(t run.Target, user string, value json.RawMessage) (any, error) {
	var ref struct {
		Method string `json:"transfer_method"`
		ID     string `json:"upload_file_id"`
	}
	isFile := len(value) > 0 && value[0] == '{' && json.Unmarshal(value, &ref) == nil && (ref.ID != "" || ref.Method == "local_file")
	if !isFile {
		return value, nil
	}
	f, ok := r.uploads.get(r.Now(), owned(t, user, ref.ID))
	if !ok {
		return nil, run.ErrRefused.Saying("Invalid upload file")
	}
	return f, nil
}
