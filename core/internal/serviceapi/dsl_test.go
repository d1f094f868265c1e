// SPDX-License-Identifier: Apache-2.0

package serviceapi_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/runtimetest"
)

func TestDescriptions(t *testing.T) {
	t.Parallel()
	rt, c := runtime(t, limits{})
	at := target(rt, apps.Workflow)
	at.Features = apps.Features{DSL: true, HumanInput: true}
	once := func(route runtimetest.Route, status int, body string) {
		rt.On(route, runtimetest.Script{runtimetest.Answer(status, body)})
	}

	t.Run("API-29 what each is asked with", func(t *testing.T) {
		if _, err := c.Export(t.Context(), at, user, run.ExportOptions{Secrets: true, WorkflowID: "w1"}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Import(t.Context(), at, user, run.Description{Mode: "yaml-url", YAMLURL: new("https://example.com/a.yml"), Name: new("")}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Confirm(t.Context(), at, user, "i 1"); err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{
			`GET /v1/apps/export include_secret=true&user=` + user + `&workflow_id=w1 `,
			`POST /v1/apps/imports  {"mode":"yaml-url","yaml_url":"https://example.com/a.yml","name":"","user":"` + user + `"}`,
			`POST /v1/apps/imports/i%201/confirm  {"user":"` + user + `"}`,
		} {
			call := rt.Calls("")[i]
			if got := call.Method + " " + call.Path + " " + call.Query.Encode() + " " + string(call.Body); got != want || call.User != user || call.Header.Get("Authorization") != "Bearer "+key {
				t.Errorf("%q instead of %q", got, want)
			}
		}
	})
	t.Run("API-29 an export is a text, of up to 10 MiB with what is around it", func(t *testing.T) {
		fill := strings.Repeat("a", 10<<20-len(`{"data":""}`))
		once(runtimetest.Export, 200, `{"data":"`+fill+`"}`)
		if got, err := c.Export(t.Context(), at, user, run.ExportOptions{}); err != nil || got != fill {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		for _, body := range []string{`{"data":"a` + fill + `"}`, `{}`, `{"data":null}`, `{"data":1}`, `{"data":["a"]}`} {
			once(runtimetest.Export, 200, body)
			if got, err := c.Export(t.Context(), at, user, run.ExportOptions{}); !errors.Is(err, run.ErrUnavailable) {
				t.Errorf("%.40s: %.40s %v", body, got, err)
			}
		}
	})
	t.Run("API-29 what is lacked is a list of objects, and never null", func(t *testing.T) {
		for body, want := range map[string]string{
			`{"leaked_dependencies":[]}`: `[]`, `{"leaked_dependencies":null}`: `[]`, `{"leaked_dependencies":[{"type":"marketplace","value":{}}],"more":1}`: `[{"type":"marketplace","value":{}}]`,
			`{}`: ``, `{"leaked_dependencies":{}}`: ``, `{"leaked_dependencies":["a"]}`: ``, `{"leaked_dependencies":[null]}`: ``,
		} {
			once(runtimetest.Dependencies, 200, body)
			list, err := c.Dependencies(t.Context(), at, user)
			if want == "" {
				if !errors.Is(err, run.ErrUnavailable) {
					t.Errorf("%s: %v", body, err)
				}
				continue
			}
			if got, _ := json.Marshal(list); err != nil || string(got) != want {
				t.Errorf("%s: %s %v", body, got, err)
			}
		}
	})
	t.Run("API-29 TOK-13 what an import comes to", func(t *testing.T) {
		const new = "app-Key_of_the_new_app"
		for _, tc := range []struct {
			status     int
			body       string
			want       run.ImportStatus // empty for no answer
			app, error string
		}{
			{200, `{"id":"i-1","status":"completed","app_id":"a-1","error":""}`, run.ImportCompleted, "a-1", ""},
			{200, `{"id":"i-1","status":"completed-with-warnings","app_id":"a-1","error":"Old\u001b version"}`, run.ImportWarned, "a-1", "Old version"},
			{202, `{"id":"i-1","status":"pending","app_id":null,"error":null,"imported_dsl_version":"9"}`, run.ImportPending, "", ""},
			{200, `{"id":"i-1","status":"failed","error":"Invalid YAML"}`, run.ImportFailed, "", "Invalid YAML"},
			{200, `{"id":"i-1","status":"failed"}`, run.ImportFailed, "", "The app's runtime does not say why."},
			{200, `{"id":"i-1","status":"failed","error":"` + key + `"}`, run.ImportFailed, "", "The app's runtime does not say why."},
			{201, `{"id":"i-1","status":"completed","app_id":"` + new + `","error":"It is ` + new + `","app_key":"` + new + `","name":"A","mode":"chat"}`, run.ImportCompleted, "", ""},
			{200, `{"id":"i-1","status":"completed","error":"` + new[:5] + `\u200b` + new[5:] + `","app_key":"` + new + `"}`, run.ImportCompleted, "", ""},
			{200, `{"id":"i-1","status":"completed","app_id":"a b"}`, run.ImportCompleted, "", ""},
			{200, `{"id":"i-1","status":"done"}`, "", "", ""}, {200, `{"id":"i-1"}`, "", "", ""}, {200, `{"status":"completed"}`, "", "", ""}, {200, `{"id":1,"status":"completed"}`, "", "", ""},
			{200, `{"id":"a/b","status":"pending"}`, "", "", ""}, {200, `{"id":"` + strings.Repeat("a", 129) + `","status":"pending"}`, "", "", ""},
			{200, `{"id":"i-1","status":"completed","app_key":{}}`, "", "", ""}, {200, `[]`, "", "", ""},
			{200, `{"id":"i-1","status":"completed","fill":"` + strings.Repeat("a", 1<<20) + `"}`, "", "", ""},
		} {
			once(runtimetest.Import, tc.status, tc.body)
			got, err := c.Import(t.Context(), at, user, run.Description{Mode: "yaml-content"})
			if tc.want == "" {
				if !errors.Is(err, run.ErrUnavailable) {
					t.Errorf("%.60s: %+v %v", tc.body, got, err)
				}
				quiet(t, err, at)
				continue
			}
			if err != nil || got.ID != "i-1" || got.Status != tc.want || got.AppID != tc.app || got.Error != tc.error || strings.Contains(tc.body, "app_key") != (got.Key.Reveal() == new) {
				t.Errorf("%s: %+v %v", tc.body, got, err)
			}
		}
	})
	t.Run("API-29 an id that would be several elements of a path asks nobody", func(t *testing.T) {
		n := len(rt.Calls(""))
		for _, id := range []string{"", "..", "a/b", "a%2fb", strings.Repeat("a", 256)} {
			if _, err := c.Confirm(t.Context(), at, user, id); !errors.Is(err, run.ErrNoImport) {
				t.Errorf("%q: %v", id, err)
			}
		}
		if len(rt.Calls("")) != n {
			t.Error("the runtime was asked")
		}
	})
	t.Run("API-25 forms of a runtime that is said to have them, and has no such route, are its fault", func(t *testing.T) {
		rt.On(runtimetest.Form, runtimetest.Script{runtimetest.Status(404, "not_found", "The requested URL was not found on the server.")})
		if _, err := c.Form(t.Context(), at, "f1"); !errors.Is(err, run.ErrUnavailable) {
			t.Error(err)
		}
	})
}
