// SPDX-License-Identifier: Apache-2.0

package openapi_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/core/internal/openapi"
)

type inner struct {
	N int64 `json:"n"`
}

type listJSON[T any] struct {
	Data []T `json:"data"`
}

type embedded struct {
	Kind string `json:"kind" api:"enum=a|b"`
}

type sampleRequest struct {
	embedded
	Text     string          `json:"text" api:"required;min=1;max=9;pattern=^x=y$"`
	Maybe    *string         `json:"maybe" doc:"why"`
	Formed   *string         `json:"formed" api:"required=form"`
	Age      *int            `json:"age" api:"min=0;max=150;default=7"`
	Flag     bool            `json:"flag,omitempty" api:"enum=true"`
	At       time.Time       `json:"at"`
	Raw      json.RawMessage `json:"raw"`
	Inner    *inner          `json:"inner"`
	Many     map[string]int  `json:"many"`
	Anything any             `json:"anything"`
	Ratio    float64         `json:"ratio"`
	Self     []sampleRequest `json:"self"`
	Hidden   string          `json:"-"`
	private  string          //nolint:unused // not written, so not described
}

func described(t *testing.T, v any, way openapi.Way) map[string]string {
	t.Helper()
	var types openapi.Types
	s, err := types.Of(v, way)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{"": text(t, s)}
	for name, s := range types.Schemas {
		out[name] = text(t, s)
	}
	return out
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// passedRequest is what holds things that somebody else made.
type passedRequest struct {
	Inputs json.RawMessage            `json:"inputs" api:"required;holds=object"`
	Files  json.RawMessage            `json:"files" api:"holds=objects"`
	More   map[string]json.RawMessage `json:"more"`
	File   openapi.File               `json:"file" api:"required"`
	_      openapi.Open
}

// shared is what every way of the sample has in common.
const shared = `"kind":{"type":"string","enum":["a","b"]}`

func TestSchemas(t *testing.T) {
	const nullables = `"age":{"type":["integer","null"],"minimum":0,"maximum":150,"default":7},"anything":{},"at":{"type":"string","format":"date-time"},` +
		`"flag":{"type":"boolean","enum":[true]},"formed":{"type":["string","null"]},"inner":{"oneOf":[{"$ref":"#/components/schemas/Inner"},{"type":"null"}]},` + shared +
		`,"many":{"type":"object","additionalProperties":{"type":"integer"}},"maybe":{"description":"why","type":["string","null"]},"ratio":{"type":"number"},"raw":{},` +
		`"self":{"type":"array","items":{"$ref":"#/components/schemas/SampleRequest"}},"text":{"type":"string","minLength":1,"maxLength":9,"pattern":"^x=y$"}`
	const plain = `"age":{"type":"integer","minimum":0,"maximum":150,"default":7},"anything":{},"at":{"type":"string","format":"date-time"},` +
		`"flag":{"type":"boolean","enum":[true]},"formed":{"type":"string"},"inner":{"$ref":"#/components/schemas/InnerForm"},` + shared +
		`,"many":{"type":"object","additionalProperties":{"type":"integer"}},"maybe":{"description":"why","type":"string"},"ratio":{"type":"number"},"raw":{},` +
		`"self":{"type":"array","items":{"$ref":"#/components/schemas/SampleForm"}},"text":{"type":"string","minLength":1,"maxLength":9,"pattern":"^x=y$"}`
	const n = `{"type":"object","properties":{"n":{"type":"integer"}}`
	for _, tc := range []struct {
		name  string
		value any
		way   openapi.Way
		want  map[string]string
	}{
		{"an answer has every member and no other", sampleRequest{}, openapi.Answer, map[string]string{
			"": `{"$ref":"#/components/schemas/SampleRequest"}`, "Inner": n + `,"required":["n"],"additionalProperties":false}`,
			"SampleRequest": `{"type":"object","properties":{` + nullables +
				`},"required":["kind","text","maybe","formed","age","at","raw","inner","many","anything","ratio","self"],"additionalProperties":false}`,
		}},
		{"a request needs what it says", sampleRequest{}, openapi.Body, map[string]string{
			"": `{"$ref":"#/components/schemas/SampleRequest"}`, "Inner": n + `}`, "SampleRequest": `{"type":"object","properties":{` + nullables + `},"required":["text"]}`,
		}},
		{"a strict one takes nothing else", sampleRequest{}, openapi.StrictBody, map[string]string{
			"": `{"$ref":"#/components/schemas/SampleRequest"}`, "Inner": n + `,"additionalProperties":false}`,
			"SampleRequest": `{"type":"object","properties":{` + nullables + `},"required":["text"],"additionalProperties":false}`,
		}},
		{"a form knows no null", sampleRequest{}, openapi.Form, map[string]string{
			"": `{"$ref":"#/components/schemas/SampleForm"}`, "InnerForm": n + `}`, "SampleForm": `{"type":"object","properties":{` + plain + `},"required":["text","formed"]}`,
		}},
		{"a generic type is named after what it holds", listJSON[inner]{}, openapi.Answer, map[string]string{
			"": `{"$ref":"#/components/schemas/InnerList"}`, "Inner": n + `,"required":["n"],"additionalProperties":false}`,
			"InnerList": `{"type":"object","properties":{"data":{"type":"array","items":{"$ref":"#/components/schemas/Inner"}}},"required":["data"],"additionalProperties":false}`,
		}},
		{"what is passed on names what it must, and takes more", passedRequest{}, openapi.Answer, map[string]string{
			"": `{"$ref":"#/components/schemas/PassedRequest"}`,
			"PassedRequest": `{"type":"object","properties":{"file":{"type":"string","contentMediaType":"application/octet-stream"},"files":{"type":"array","items":{"type":"object"}},` +
				`"inputs":{"type":"object"},"more":{"type":"object"}},"required":["inputs","files","more","file"]}`,
		}},
		{"one of several", openapi.OneOf{inner{}, map[string]any{}}, openapi.Answer, map[string]string{
			"": `{"oneOf":[{"$ref":"#/components/schemas/Inner"},{"type":"object"}]}`, "Inner": n + `,"required":["n"],"additionalProperties":false}`,
		}},
	} {
		t.Run("M-27 "+tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, described(t, tc.value, tc.way)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatHasNoSchema(t *testing.T) {
	type innerJSON struct {
		B int `json:"b"`
	}
	for _, tc := range []struct {
		name  string
		value any
		want  string
	}{
		{"nothing", nil, "no value"},
		{"a function", func() {}, "has no schema"},
		{"a struct without a name", struct {
			A int `json:"a"`
		}{}, "without a name"},
		{"a field without a name", struct{ inner }{}, "without a name"},
		{"two types of one name", openapi.OneOf{inner{}, innerJSON{}}, "both called Inner"},
	} {
		t.Run("M-27 "+tc.name, func(t *testing.T) {
			var types openapi.Types
			if _, err := types.Of(tc.value, openapi.Answer); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	type untagged struct{ A int }
	type unknown struct {
		A int `json:"a" api:"colour=red"`
	}
	type unbound struct {
		A []int `json:"a" api:"max=3"`
	}
	type broken struct {
		A string `json:"a" api:"pattern=["`
	}
	type typed struct {
		A string `json:"a" api:"holds=object"`
	}
	for name, v := range map[string]any{"holds=object": typed{}, "no json tag": untagged{}, "nobody knows": unknown{}, "bounds": unbound{}, "missing closing ]": broken{}} {
		t.Run("M-27 "+name, func(t *testing.T) {
			var types openapi.Types
			if _, err := types.Of(v, openapi.Answer); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestQueries(t *testing.T) {
	type query struct {
		Page int     `json:"page" doc:"from one on" api:"min=1;default=1"`
		Code *string `json:"user_code" api:"required"`
	}
	var types openapi.Types
	params, err := types.Query(query{})
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"name":"page","in":"query","description":"from one on","schema":{"type":"integer","minimum":1,"default":1}},` +
		`{"name":"user_code","in":"query","required":true,"schema":{"type":"string"}}]`
	t.Run("M-27 a struct's fields are parameters", func(t *testing.T) {
		if got := text(t, params); got != want {
			t.Error(got)
		}
	})
	t.Run("M-27 nothing else is a query", func(t *testing.T) {
		for _, v := range []any{nil, "page", struct{ Page int }{}} {
			if _, err := types.Query(v); err == nil {
				t.Errorf("%T is taken", v)
			}
		}
	})
}
