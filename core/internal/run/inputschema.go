// SPDX-License-Identifier: Apache-2.0

package run

import (
	"encoding/json"

	"github.com/dify-sso/dify-sso/core/internal/apps"
)

// dialect is the one of JSON Schema that InputSchema writes.
const dialect = "https://json-schema.org/draft/2020-12/schema"

// Bounds of what is read of a form. A form beyond them is its runtime's mistake, and
// nobody's reason to build a schema without end.
const (
	maxFormRows = 500
	maxOptions  = 1000
)

// jsonSchema is a JSON Schema of a value; only what InputSchema writes of one.
type jsonSchema struct {
	Title      string                 `json:"title,omitempty"`
	Type       string                 `json:"type"`
	MinLength  int                    `json:"minLength,omitempty"`
	MaxLength  int                    `json:"maxLength,omitempty"`
	Enum       []string               `json:"enum,omitempty"`
	Items      *jsonSchema            `json:"items,omitempty"`
	Properties map[string]*jsonSchema `json:"properties,omitempty"`
	Additional *bool                  `json:"additionalProperties,omitempty"`
}

// objectSchema is one of an object with members, whose lists are there even if nothing is
// in them.
type objectSchema struct {
	Dialect    string         `json:"$schema,omitempty"`
	Type       string         `json:"type"`
	Properties map[string]any `json:"properties"`
	Required   []string       `json:"required"`
	Additional *bool          `json:"additionalProperties,omitempty"`
}

func object() *objectSchema {
	return &objectSchema{Type: "object", Properties: map[string]any{}, Required: []string{}}
}

// formField is the value of a form's row. What has another type than it should reads as absent.
type formField struct {
	variable, label string
	required        bool
	maxLength       int
	options         []string
}

// InputSchema writes what a run of the app takes as a JSON Schema (draft 2020-12), by the
// mapping of docs/specs/v1.0/server/apps.md. Rows of the form that nobody knows are skipped.
func InputSchema(mode apps.Mode, p Parameters) (json.RawMessage, error) {
	top := object()
	top.Dialect = dialect
	if !p.Configured {
		return json.Marshal(top)
	}
	if mode.Chats() {
		top.Properties["query"] = &jsonSchema{Type: "string", MinLength: 1}
		top.Required = append(top.Required, "query")
	}
	top.Properties["inputs"] = inputsOf(p.form)
	top.Required = append(top.Required, "inputs")
	return json.Marshal(top)
}

func inputsOf(form json.RawMessage) *objectSchema {
	closed := false
	inputs := object()
	inputs.Additional = &closed
	var rows []json.RawMessage
	if json.Unmarshal(form, &rows) != nil {
		return inputs
	}
	for _, raw := range rows[:min(len(rows), maxFormRows)] {
		var row map[string]json.RawMessage
		if json.Unmarshal(raw, &row) != nil || len(row) != 1 {
			continue
		}
		for kind, value := range row {
			f, ok := readFormField(value)
			if !ok {
				continue
			}
			s := f.schema(kind)
			if _, twice := inputs.Properties[f.variable]; s == nil || twice {
				continue
			}
			inputs.Properties[f.variable] = s
			if f.required {
				inputs.Required = append(inputs.Required, f.variable)
			}
		}
	}
	return inputs
}

// readFormField reads a row; one without a variable cannot be filled in.
func readFormField(raw json.RawMessage) (f formField, ok bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return f, false
	}
	read := func(name string, to any) bool {
		return members[name] != nil && json.Unmarshal(members[name], to) == nil
	}
	if !read("variable", &f.variable) || f.variable == "" {
		return f, false
	}
	if !read("label", &f.label) || f.label == "" {
		f.label = f.variable
	}
	if !read("required", &f.required) {
		f.required = false
	}
	if !read("max_length", &f.maxLength) {
		f.maxLength = 0
	}
	var options []json.RawMessage
	seen := map[string]bool{}
	read("options", &options)
	for _, raw := range options[:min(len(options), maxOptions)] {
		var text *string
		// The members of an enum are unique (JSON Schema Validation section 6.1.2).
		if json.Unmarshal(raw, &text) == nil && text != nil && !seen[*text] {
			f.options, seen[*text] = append(f.options, *text), true
		}
	}
	return f, true
}

// schema maps a row by its kind; nil for one that nobody knows.
func (f formField) schema(kind string) *jsonSchema {
	s := &jsonSchema{Title: f.label}
	switch kind {
	case "text-input", "paragraph":
		s.Type = "string"
		s.MaxLength = max(f.maxLength, 0)
	case "select":
		s.Type, s.Enum = "string", f.options
	case "number":
		s.Type = "number"
	case "file":
		s = fileSchema(f.label)
	case "file-list":
		s.Type, s.Items = "array", fileSchema("")
	default:
		return nil
	}
	return s
}

// fileSchema is a file as runs name it.
func fileSchema(title string) *jsonSchema {
	text := func() *jsonSchema { return &jsonSchema{Type: "string"} }
	open := true
	return &jsonSchema{Title: title, Type: "object", Additional: &open, Properties: map[string]*jsonSchema{
		"type": text(), "transfer_method": text(), "url": text(), "upload_file_id": text(),
	}}
}
