// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Way says which way a value travels, and with it which of its members must be there.
type Way int

// The ways.
const (
	// Answer: every member is there, and no other.
	Answer Way = iota
	// Body is a request's JSON; members that nobody knows are ignored.
	Body
	// StrictBody is a request's JSON that names nothing else.
	StrictBody
	// Form is a request's form (application/x-www-form-urlencoded).
	Form
)

// OneOf is a value of one of several types, in the place of a value.
type OneOf []any

// File is a part of a multipart form that is a file: a member of a form's struct has this
// type to say so, and holds nothing.
type File struct{}

// Open is what a blank field of a struct has as its type where more members may stand
// beside those that it names: an object that somebody else made and that is passed on.
type Open struct{}

// Types collects the schemas of named types under their names. The zero value is empty
// and ready.
type Types struct {
	Schemas map[string]*Schema
	owners  map[string]owner
}

type owner struct {
	of  reflect.Type
	way Way
}

// Of gives the schema of a value's type; named structs become components and are
// referred to. It fails for what has no JSON of its own: functions, structs without a
// name, fields without a json tag, tags that it does not know.
func (t *Types) Of(v any, way Way) (*Schema, error) {
	if several, ok := v.(OneOf); ok {
		out := &Schema{}
		for _, one := range several {
			s, err := t.Of(one, way)
			if err != nil {
				return nil, err
			}
			out.OneOf = append(out.OneOf, s)
		}
		return out, nil
	}
	if v == nil {
		return nil, fmt.Errorf("openapi: no value to describe")
	}
	return t.of(reflect.TypeOf(v), way)
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
	fileType = reflect.TypeFor[File]()
	openType = reflect.TypeFor[Open]()
)

func (t *Types) of(r reflect.Type, way Way) (*Schema, error) {
	switch r {
	case timeType:
		return &Schema{Type: "string", Format: "date-time"}, nil
	case rawType:
		return &Schema{}, nil // anything
	case fileType:
		return &Schema{Type: "string", ContentMediaType: "application/octet-stream"}, nil
	}
	switch r.Kind() {
	case reflect.String:
		return &Schema{Type: "string"}, nil
	case reflect.Bool:
		return &Schema{Type: "boolean"}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return &Schema{Type: "integer"}, nil
	case reflect.Float32, reflect.Float64:
		return &Schema{Type: "number"}, nil
	case reflect.Interface:
		return &Schema{}, nil
	case reflect.Pointer:
		return t.of(r.Elem(), way)
	case reflect.Slice, reflect.Array:
		items, err := t.of(r.Elem(), way)
		return &Schema{Type: "array", Items: items}, err
	case reflect.Map:
		values, err := t.of(r.Elem(), way)
		if err != nil || r.Elem().Kind() == reflect.Interface || r.Elem() == rawType {
			return &Schema{Type: "object"}, err
		}
		return &Schema{Type: "object", AdditionalProperties: values}, nil
	case reflect.Struct:
		return t.component(r, way)
	}
	return nil, fmt.Errorf("openapi: %s has no schema", r)
}

// component describes a struct once and refers to it.
func (t *Types) component(r reflect.Type, way Way) (*Schema, error) {
	name := componentName(r, way)
	if name == "" {
		return nil, fmt.Errorf("openapi: a struct without a name: %s", r)
	}
	ref := &Schema{Ref: "#/components/schemas/" + name}
	if have, ok := t.owners[name]; ok {
		if have != (owner{r, way}) {
			return nil, fmt.Errorf("openapi: %s and %s, or two ways of one of them, are both called %s", have.of, r, name)
		}
		return ref, nil
	}
	if t.owners == nil {
		t.owners, t.Schemas = map[string]owner{}, map[string]*Schema{}
	}
	t.owners[name] = owner{r, way}
	s := &Schema{Type: "object", Properties: map[string]*Schema{}}
	if way == Answer || way == StrictBody {
		s.AdditionalProperties = false
	}
	t.Schemas[name] = s // before its fields: a type may hold itself
	return ref, t.fields(s, r, way)
}

func (t *Types) fields(s *Schema, r reflect.Type, way Way) error {
	for i := range r.NumField() {
		f := r.Field(i)
		if f.Anonymous && f.Tag.Get("json") == "" && f.Type.Kind() == reflect.Struct {
			if err := t.fields(s, f.Type, way); err != nil { // encoding/json writes its members here
				return err
			}
			continue
		}
		if f.Type == openType {
			s.AdditionalProperties = nil
			continue
		}
		if !f.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if name == "" {
			return fmt.Errorf("openapi: %s.%s has no json tag", r, f.Name)
		}
		says, err := readTag(f)
		if err != nil {
			return fmt.Errorf("openapi: %s.%s: %w", r, f.Name, err)
		}
		member, err := t.of(f.Type, way)
		if err != nil {
			return fmt.Errorf("openapi: %s.%s: %w", r, f.Name, err)
		}
		if err := says.apply(member); err != nil {
			return fmt.Errorf("openapi: %s.%s: %w", r, f.Name, err)
		}
		there := says.requires(way)
		if way == Answer {
			there = !strings.Contains(options, "omitempty")
		}
		if there {
			s.Required = append(s.Required, name)
		}
		// An optional member of an answer is left out; an optional one of a JSON request
		// may be null too, which reads as absent.
		if f.Type.Kind() == reflect.Pointer && way != Form && there == (way == Answer) {
			member = nullable(member)
		}
		member.Description = f.Tag.Get("doc")
		s.Properties[name] = member
	}
	return nil
}

func nullable(s *Schema) *Schema {
	if name, ok := s.Type.(string); ok {
		s.Type = []string{name, "null"}
		if len(s.Enum) > 0 {
			s.Enum = append(s.Enum, nil)
		}
		return s
	}
	return &Schema{OneOf: []*Schema{s, {Type: "null"}}}
}

// componentName is the type's own name as a reader of the document would write it:
// accountResponse is AccountResponse, pageJSON[sessionJSON] is SessionPage.
func componentName(r reflect.Type, way Way) string {
	name, argument, generic := strings.Cut(r.Name(), "[")
	name = strings.TrimSuffix(name, "JSON")
	if generic {
		argument = strings.TrimSuffix(argument, "]")
		argument = strings.TrimSuffix(argument[strings.LastIndex(argument, ".")+1:], "JSON")
		name = argument + upperFirst(name)
	}
	if way == Form {
		name = strings.TrimSuffix(name, "Request") + "Form"
	}
	return upperFirst(name)
}

func upperFirst(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
