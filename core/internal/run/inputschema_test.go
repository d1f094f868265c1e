// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/dify-sso/dify-sso/core/internal/apps"
)

const fileWant = `"properties":{"transfer_method":{"type":"string"},"type":{"type":"string"},"upload_file_id":{"type":"string"},"url":{"type":"string"}},"additionalProperties":true`

func inputSchemaOf(t testing.TB, mode apps.Mode, form string) (string, *jsonschema.Schema) {
	t.Helper()
	p, err := readParameters(json.RawMessage(`{"user_input_form":` + form + `}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := InputSchema(mode, p)
	if err != nil {
		t.Fatal(err)
	}
	return string(got), compiled(t, got)
}

// compiled holds a schema against the meta-schema of its dialect, too.
func compiled(t testing.TB, schema []byte) *jsonschema.Schema {
	t.Helper()
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("mem:///schema", tree); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("mem:///schema")
	if err != nil {
		t.Fatalf("%v\n%s", err, schema)
	}
	return s
}

func TestInputSchemaOfEachKindOfRow(t *testing.T) {
	for _, tc := range []struct{ name, row, want string }{
		{"text-input", `{"text-input":{"variable":"a","label":"A b","max_length":48}}`, `{"title":"A b","type":"string","maxLength":48}`},
		{"paragraph", `{"paragraph":{"variable":"a","label":"A"}}`, `{"title":"A","type":"string"}`},
		{"without a label", `{"paragraph":{"variable":"a"}}`, `{"title":"a","type":"string"}`},
		{"with an empty one", `{"paragraph":{"variable":"a","label":""}}`, `{"title":"a","type":"string"}`},
		{"length 0", `{"text-input":{"variable":"a","max_length":0}}`, `{"title":"a","type":"string"}`},
		{"length below it", `{"text-input":{"variable":"a","max_length":-1}}`, `{"title":"a","type":"string"}`},
		{"length null", `{"text-input":{"variable":"a","max_length":null}}`, `{"title":"a","type":"string"}`},
		{"length that is a text", `{"text-input":{"variable":"a","max_length":"48"}}`, `{"title":"a","type":"string"}`},
		{"length beyond numbers", `{"text-input":{"variable":"a","max_length":1e99}}`, `{"title":"a","type":"string"}`},
		{"select", `{"select":{"variable":"a","options":["x","y"]}}`, `{"title":"a","type":"string","enum":["x","y"]}`},
		{"select with one twice, and what is no text", `{"select":{"variable":"a","options":["x",7,null,"x",{},"y"]}}`, `{"title":"a","type":"string","enum":["x","y"]}`},
		{"select without options", `{"select":{"variable":"a"}}`, `{"title":"a","type":"string"}`},
		{"select with options that are none", `{"select":{"variable":"a","options":"x"}}`, `{"title":"a","type":"string"}`},
		{"number", `{"number":{"variable":"a","max_length":48}}`, `{"title":"a","type":"number"}`},
		{"file", `{"file":{"variable":"a","label":"A"}}`, `{"title":"A","type":"object",` + fileWant + `}`},
		{"file-list", `{"file-list":{"variable":"a","label":"A"}}`, `{"title":"A","type":"array","items":{"type":"object",` + fileWant + `}}`},
		{"an unknown kind", `{"external_data_tool":{"variable":"a"}}`, ``},
		{"two kinds in one row", `{"number":{"variable":"a"},"paragraph":{"variable":"a"}}`, ``},
		{"no kind", `{}`, ``},
		{"a row that is none", `7`, ``},
		{"null for a row", `null`, ``},
		{"a kind of nothing", `{"number":null}`, ``},
		{"a kind of a list", `{"number":[]}`, ``},
		{"no variable", `{"number":{"label":"A"}}`, ``},
		{"an empty variable", `{"number":{"variable":""}}`, ``},
		{"a variable that is no text", `{"number":{"variable":7}}`, ``},
		{"other case", `{"number":{"Variable":"a"}}`, ``},
	} {
		t.Run("API-14 "+tc.name, func(t *testing.T) {
			properties := ``
			if tc.want != "" {
				properties = `"a":` + tc.want
			}
			want := `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"inputs":{"type":"object","properties":{` + properties +
				`},"required":[],"additionalProperties":false}},"required":["inputs"]}`
			if got, _ := inputSchemaOf(t, apps.Workflow, `[`+tc.row+`]`); got != want {
				t.Errorf("%s\n%s", got, want)
			}
		})
	}
}

func TestInputSchemaOfEachMode(t *testing.T) {
	const form = `[{"text-input":{"variable":"b","required":true}},{"number":{"variable":"a","required":true}},{"number":{"variable":"c","required":"true"}},{"paragraph":{"variable":"a"}}]`
	for _, mode := range apps.Modes {
		t.Run("API-14 "+string(mode), func(t *testing.T) {
			got, schema := inputSchemaOf(t, mode, form)
			query, required := ``, `"required":["inputs"]`
			if mode.Chats() {
				query, required = `,"query":{"type":"string","minLength":1}`, `"required":["query","inputs"]`
			}
			want := `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"inputs":{"type":"object","properties":{` +
				`"a":{"title":"a","type":"number"},"b":{"title":"b","type":"string"},"c":{"title":"c","type":"number"}},"required":["b","a"],"additionalProperties":false}` + query + `},` + required + `}`
			if got != want {
				t.Errorf("%s\n%s", got, want)
			}
			for instance, fits := range map[string]bool{
				`{"query":"q","inputs":{"a":1,"b":"x"}}`: true, `{"query":"q","inputs":{"a":1,"b":"x","c":2.5},"files":[]}`: true, `{"inputs":{"a":1,"b":"x"}}`: !mode.Chats(),
				`{"query":"","inputs":{"a":1,"b":"x"}}`: !mode.Chats(), `{"query":"q"}`: false, `{"query":"q","inputs":{"a":1}}`: false, `{"query":"q","inputs":{"a":"1","b":"x"}}`: false,
				`{"query":"q","inputs":{"a":1,"b":"x","d":1}}`: false, `[]`: false,
			} {
				v, err := jsonschema.UnmarshalJSON(strings.NewReader(instance))
				if err != nil {
					t.Fatal(err)
				}
				if err := schema.Validate(v); (err == nil) != fits {
					t.Errorf("%s: %v", instance, err)
				}
			}
		})
	}
	t.Run("API-14 an app that is not set up takes nothing in particular", func(t *testing.T) {
		got, err := InputSchema(apps.Chat, Parameters{})
		if want := `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{},"required":[]}`; err != nil || string(got) != want {
			t.Errorf("%v %s", err, got)
		}
		compiled(t, got)
	})
}

func TestInputSchemaIsBounded(t *testing.T) {
	t.Run("API-14 rows and options without end", func(t *testing.T) {
		var rows, options []string
		for i := range 3 * maxOptions {
			options = append(options, fmt.Sprintf(`"o%d"`, i))
		}
		for i := range 3 * maxFormRows {
			rows = append(rows, fmt.Sprintf(`{"number":{"variable":"v%d","required":true}}`, i))
		}
		rows[0] = `{"select":{"variable":"v0","options":[` + strings.Join(options, ",") + `]}}`
		got, _ := inputSchemaOf(t, apps.Workflow, `[`+strings.Join(rows, ",")+`]`)
		if strings.Count(got, `"title"`) != maxFormRows || strings.Count(got, `"o`) > maxOptions+10 || !strings.Contains(got, `"o999"`) || strings.Contains(got, `"o1000"`) {
			t.Errorf("%d rows of %d bytes", strings.Count(got, `"title"`), len(got))
		}
	})
}

func FuzzInputSchema(f *testing.F) {
	for _, seed := range []string{
		`[]`, `null`, `[{"text-input":{"variable":"a","label":"A","required":true,"max_length":9}}]`, `[{"select":{"variable":"$ref","options":["x","x"]}}]`,
		`[{"file-list":{"variable":"__proto__"}},{"file":{"variable":"a/b~c%25"}}]`, `[{"number":{"variable":"\u0000"}}]`, `[[[[[[[]]]]]]]`, `[{"paragraph":{"variable":"\ud800"}}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, form []byte) {
		p, err := readParameters(json.RawMessage(`{"user_input_form":` + string(form) + `}`))
		if err != nil {
			return
		}
		got, err := InputSchema(apps.Chat, p)
		if err != nil {
			t.Fatal(err)
		}
		schema := compiled(t, got)
		if !json.Valid(p.Body) || len(schema.Properties) != 2 {
			t.Fatalf("%s\n%s", p.Body, got)
		}
	})
}
