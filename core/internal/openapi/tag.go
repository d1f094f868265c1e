// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// tag is what a field says of itself beside its json name.
type tag struct {
	json, form            bool // required there
	format, pattern, text string
	holds                 string // what stands in a member that is passed on as it is
	enum                  []string
	min, max              *int
}

// What a member may hold that is passed on as it is.
const (
	object  = "object"
	objects = "objects" // a list of them
)

func readTag(f reflect.StructField) (says tag, err error) {
	text, ok := f.Tag.Lookup("api")
	if !ok {
		return says, nil
	}
	for _, part := range strings.Split(text, ";") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "required":
			says.json, says.form = value != "form", value != "json"
		case "format":
			says.format = value
		case "enum":
			says.enum = strings.Split(value, "|")
		case "min":
			says.min, err = number(value)
		case "max":
			says.max, err = number(value)
		case "pattern":
			says.pattern = value
			_, err = regexp.Compile(value)
		case "default":
			says.text = value
		case "holds":
			if says.holds = value; value != object && value != objects || f.Type != rawType {
				err = fmt.Errorf("%q is of json.RawMessage, and object or objects", part)
			}
		default:
			err = fmt.Errorf("nobody knows %q in a tag", part)
		}
		if err != nil {
			return says, err
		}
	}
	return says, nil
}

func number(text string) (*int, error) {
	n, err := strconv.Atoi(text)
	return &n, err
}

func (says tag) requires(way Way) bool {
	return way == Form && says.form || (way == Body || way == StrictBody) && says.json
}

// apply writes what the tag says into a member's schema.
func (says tag) apply(s *Schema) error {
	s.Format, s.Pattern = first(says.format, s.Format), says.pattern
	switch says.holds {
	case object:
		s.Type = object
	case objects:
		s.Type, s.Items = "array", &Schema{Type: object}
	}
	for _, value := range says.enum {
		if s.Type == "boolean" {
			s.Enum = append(s.Enum, value == "true")
			continue
		}
		s.Enum = append(s.Enum, value)
	}
	switch s.Type {
	case "string":
		s.MinLength, s.MaxLength = says.min, says.max
		if says.text != "" {
			s.Default = says.text
		}
	case "integer":
		s.Minimum, s.Maximum = says.min, says.max
		if says.text != "" {
			n, err := number(says.text)
			s.Default = n
			return err
		}
	case "boolean":
		if says.text != "" {
			s.Default = says.text == "true"
		}
	default:
		if says.min != nil || says.max != nil || says.text != "" || says.format != "" || says.pattern != "" || says.enum != nil {
			return errors.New("bounds, formats and defaults are of texts, numbers and booleans")
		}
	}
	return nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Query gives the parameters of a query from a struct whose fields are named by their
// json tags; pointers are no more optional than other fields.
func (t *Types) Query(v any) ([]Parameter, error) {
	r := reflect.TypeOf(v)
	if r == nil || r.Kind() != reflect.Struct {
		return nil, fmt.Errorf("openapi: a query is described by a struct, not by %T", v)
	}
	var out []Parameter
	for i := range r.NumField() {
		f := r.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" || !f.IsExported() {
			return nil, fmt.Errorf("openapi: %s.%s has no json tag", r, f.Name)
		}
		says, err := readTag(f)
		if err != nil {
			return nil, fmt.Errorf("openapi: %s.%s: %w", r, f.Name, err)
		}
		s, err := t.of(f.Type, Form)
		if err == nil {
			err = says.apply(s)
		}
		if err != nil {
			return nil, fmt.Errorf("openapi: %s.%s: %w", r, f.Name, err)
		}
		out = append(out, Parameter{Name: name, In: "query", Description: f.Tag.Get("doc"), Required: says.json, Schema: s})
	}
	return out, nil
}
