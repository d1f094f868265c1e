// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding"
	stdjson "encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

var (
	jsonUnmarshaler = reflect.TypeFor[stdjson.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// fill decodes each member that the struct behind dst names.
func fill(members map[string]stdjson.RawMessage, dst any, unknown Unknown) error {
	f := filler{unknown: unknown}
	f.object(members, reflect.ValueOf(dst).Elem(), nil)
	if f.problems.Empty() {
		return nil
	}
	return &f.problems
}

// filler walks a value beside its JSON as far as a struct may hide in it, for the
// standard decoder would take that struct's members in any case. Scalars and types
// that decode themselves are left to it.
type filler struct {
	unknown  Unknown
	problems Problems
}

func (f *filler) object(members map[string]stdjson.RawMessage, v reflect.Value, loc []any) {
	known := map[string]bool{}
	for i := range v.NumField() {
		t := v.Type().Field(i)
		name, _, _ := strings.Cut(t.Tag.Get("json"), ",")
		if name == "" || name == "-" || !t.IsExported() {
			continue
		}
		known[name] = true
		if raw, present := members[name]; present {
			f.value(raw, v.Field(i), at(loc, name))
		}
	}
	if f.unknown == Ignore {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !known[name] {
			f.problems.Add("extra_forbidden", "is not a member that this address takes", at(loc, printable(name))...)
		}
	}
}

func (f *filler) value(raw stdjson.RawMessage, v reflect.Value, loc []any) {
	if string(raw) == "null" {
		switch v.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
			v.SetZero()
		default:
			f.wrongType(loc)
		}
		return
	}
	if own := v.Addr().Type(); own.Implements(jsonUnmarshaler) || own.Implements(textUnmarshaler) {
		f.standard(raw, v, loc)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.value(raw, v.Elem(), loc)
	case reflect.Struct:
		var members map[string]stdjson.RawMessage
		if stdjson.Unmarshal(raw, &members) != nil {
			f.wrongType(loc)
			return
		}
		f.object(members, v, loc)
	case reflect.Slice:
		f.slice(raw, v, loc)
	case reflect.Map:
		f.mapping(raw, v, loc)
	default:
		f.standard(raw, v, loc)
	}
}

func (f *filler) slice(raw stdjson.RawMessage, v reflect.Value, loc []any) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		f.standard(raw, v, loc) // bytes travel as base64
		return
	}
	var items []stdjson.RawMessage
	if stdjson.Unmarshal(raw, &items) != nil {
		f.wrongType(loc)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		f.value(item, v.Index(i), at(loc, i))
	}
}

func (f *filler) mapping(raw stdjson.RawMessage, v reflect.Value, loc []any) {
	var items map[string]stdjson.RawMessage
	if stdjson.Unmarshal(raw, &items) != nil {
		f.wrongType(loc)
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(items)))
	for _, name := range slices.Sorted(maps.Keys(items)) {
		item := reflect.New(v.Type().Elem()).Elem()
		f.value(items[name], item, at(loc, printable(name)))
		v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), item)
	}
}

func (f *filler) standard(raw stdjson.RawMessage, v reflect.Value, loc []any) {
	if stdjson.Unmarshal(raw, v.Addr().Interface()) != nil {
		f.wrongType(loc)
	}
}

func (f *filler) wrongType(loc []any) { f.problems.Add("type_error", "has the wrong type", loc...) }

// at extends a path without sharing its memory.
func at(loc []any, step any) []any { return append(slices.Clip(loc), step) }
