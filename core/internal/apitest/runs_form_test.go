// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

func TestRunForms(t *testing.T) {
	w := rnStart(t)
	conversation, flow := canon.NewID(), canon.NewID()
	post := func(t *testing.T, path, body string) apitest.Answer {
		t.Helper()
		return w.as(t, "normal", http.MethodPost, path, body)
	}
	t.Run("API-15 what is refused, by mode, and no runtime asked", func(t *testing.T) {
		for _, tc := range []struct {
			mode   apps.Mode
			route  string
			body   string
			status int
			code   string
		}{
			{apps.Chat, "run", `{}`, 422, "invalid_param"},
			{apps.Chat, "run", `{"inputs":null,"query":"x"}`, 422, "invalid_param"},
			{apps.Chat, "run", `{"inputs":[],"query":"x"}`, 422, "invalid_param"},
			{apps.Chat, "run", `{"inputs":"{}","query":"x"}`, 422, "invalid_param"},
			{apps.Chat, "run", `{"inputs":{},"query":7}`, 422, "invalid_param"},
			{apps.Chat, "run", `{"inputs":{},"query":"x","files":{}}`, 422, "invalid_param"},
			{apps.Chat, "run", `{"inputs":{},"query":"x","files":["x"]}`, 422, "invalid_param"},
			{apps.Chat, "run", `{"inputs":{},"query":"x","response_mode":"both"}`, 422, "invalid_param"},
			{apps.Chat, "run", `{"inputs":{},"query":"x","response_mode":""}`, 422, "invalid_param"},
			{apps.Chat, "run", `{"inputs":{},"query":"x","auto_generate_name":"yes"}`, 422, "invalid_param"},
			{apps.Chat, "run", `{"inputs":{}}`, 422, "query_required_for_chat"},
			{apps.AgentChat, "run", `{"inputs":{},"query":null}`, 422, "query_required_for_chat"},
			{apps.AdvancedChat, "run", `{"inputs":{},"query":" \n "}`, 422, "query_required_for_chat"},
			{apps.Chat, "run", `{"inputs":{},"query":"x","conversation_id":"mine"}`, 404, "conversation_not_found"},
			{apps.Workflow, "run", `{"inputs":{},"query":"x"}`, 422, "query_not_supported_for_workflow"},
			{apps.Workflow, "run", `{"inputs":{},"query":""}`, 422, "query_not_supported_for_workflow"},
			{apps.Workflow, "run", `{"inputs":{},"workflow_id":"../parameters"}`, 404, "workflow_run_not_found"},
			{apps.Agent, "run", rnHello, 422, "mode_not_runnable"},
			{apps.Channel, "run", rnHello, 422, "mode_not_runnable"},
			{apps.RAGPipeline, "run", rnHello, 422, "mode_not_runnable"},
			{apps.Completion, "chat-messages", rnHello, 400, "app_unavailable"},
			{apps.Workflow, "chat-messages", rnHello, 400, "app_unavailable"},
			{apps.Agent, "chat-messages", rnHello, 400, "app_unavailable"},
			{apps.Chat, "completion-messages", rnHello, 400, "app_unavailable"},
			{apps.AdvancedChat, "workflows/run", rnHello, 400, "app_unavailable"},
			{apps.Chat, "chat-messages", `{"inputs":{}}`, 422, "query_required_for_chat"},
			{apps.Workflow, "workflows/run", `{"query":"x"}`, 422, "invalid_param"},
		} {
			a := post(t, w.path(tc.mode, tc.route), tc.body)
			wantAnswer(t, a, tc.status, tc.code)
			wantFailureShape(t, a)
		}
		if n := w.rt.asked(); n != 0 {
			t.Fatalf("the runtime was asked %d times", n)
		}
	})
	t.Run("API-15 M-20 M-22 bodies that are none", func(t *testing.T) {
		path := w.path(apps.Chat, "run")
		wantAnswer(t, post(t, path, `{"inputs":{},"inputs":{}}`), 400, "invalid_json")
		wantAnswer(t, post(t, path, `{"inputs":`+strings.Repeat(`{"a":`, 40)+`1`+strings.Repeat(`}`, 40)+`}`), 400, "invalid_json")
		wantAnswer(t, post(t, path, `{"inputs":{"a":"`+strings.Repeat("x", 1<<20)+`"}}`), 413, "request_entity_too_large")
		wantAnswer(t, w.Call(t, http.MethodPost, path, "x=1", "Authorization", "Bearer "+w.bearers["normal"], "Content-Type", "application/x-www-form-urlencoded"), 415, "unsupported_media_type")
	})
	all := `{"inputs":{"n":1.0,"s":"ü"},"query":"hello","files":[{"type":"image"}],"conversation_id":"` + conversation + `","workflow_id":"` + flow +
		`","workspace_id":"x","auto_generate_name":true,"user":"somebody else","response_mode":null,"trace_id":"x"}`
	t.Run("API-15 API-21 what reaches a runtime, by mode", func(t *testing.T) {
		hello, none := "hello", ""
		user := run.UserOf(token.AccountSubject(w.ids["normal"], ""))
		inputs, files := `{"n":1.0,"s":"ü"}`, `[{"type":"image"}]`
		chat := run.Request{Query: &hello, ConversationID: conversation, WorkflowID: flow, AutoName: true}
		for _, tc := range []struct {
			mode  apps.Mode
			route string
			body  string
			want  run.Request
		}{
			{apps.Chat, "run", all, chat},
			{apps.AgentChat, "chat-messages", all, chat},
			{apps.AdvancedChat, "chat-messages", all, chat},
			{apps.Completion, "run", all, run.Request{Query: &hello}},
			{apps.Completion, "completion-messages", strings.Replace(all, `"query":"hello",`, "", 1), run.Request{Query: &none}},
			{apps.Workflow, "run", strings.Replace(all, `"query":"hello"`, `"query":null`, 1), run.Request{WorkflowID: flow}},
			{apps.Workflow, "workflows/run", strings.Replace(all, `"query":"hello",`, "", 1), run.Request{WorkflowID: flow}},
			{apps.Chat, "run", strings.Replace(strings.Replace(all, conversation, " ", 1), `"auto_generate_name":true`, `"auto_generate_name":false`, 1),
				run.Request{Query: &hello, WorkflowID: flow}},
		} {
			s := w.open(t, "normal", w.path(tc.mode, tc.route), tc.body)
			one := w.rt.run(t, w.rt.asked())
			got := one.request
			if string(got.Inputs) != inputs || string(got.Files) != files || got.User != user {
				t.Errorf("%s: %s, %s, %s", tc.mode, got.Inputs, got.Files, got.User)
			}
			if (got.Query == nil) != (tc.want.Query == nil) || got.Query != nil && *got.Query != *tc.want.Query ||
				got.ConversationID != tc.want.ConversationID || got.WorkflowID != tc.want.WorkflowID || got.AutoName != tc.want.AutoName {
				t.Errorf("%s: %+v", tc.mode, got)
			}
			if one.target.AppID != w.apps[tc.mode].ID || one.target.Mode != tc.mode {
				t.Errorf("%+v", one.target)
			}
			w.finish(t, s)
		}
	})
	t.Run("API-15 each run that is accepted is on record, and none that is refused", func(t *testing.T) {
		awaitEvents(t, w.Server, "app.run.openapi", 8)
		f, actor, workspace := w.event(t, "app.run.openapi")
		want := map[string]any{"app_id": w.apps[apps.Chat].ID, "workspace_id": w.id, "mode": "chat", "caller_kind": "account", "subject": w.ids["normal"]}
		for name, value := range want {
			if f[name] != value {
				t.Errorf("%s is %v", name, f[name])
			}
		}
		if id, _ := f["token_id"].(string); !canon.IsID(id) || actor != w.ids["normal"] || workspace != w.id {
			t.Errorf("%v by %s in %s", f, actor, workspace)
		}
	})
}

func TestRunsOfPeopleWithoutAnAccount(t *testing.T) {
	w := rnStart(t, apitest.Enterprise(t))
	open := w.NewApp(t, apps.App{WorkspaceID: w.id, APIEnabled: true, Access: apps.SSOVerified})
	closed := w.apps[apps.Chat]
	guest := exGuest(t, w.Server, "ann", "ann@corp.example", "corp")
	namesake := exGuest(t, w.Server, "bea", "ann@corp.example", "corp")
	const permitted = "/openapi/v1/permitted-external-apps/"
	post := func(t *testing.T, token, path string) apitest.Answer {
		t.Helper()
		return w.Call(t, http.MethodPost, path, rnHello, "Authorization", "Bearer "+token, "Content-Type", "application/json")
	}
	t.Run("API-15 API-21 both routes serve them, by a name that is theirs alone", func(t *testing.T) {
		users := map[string]string{}
		for _, route := range []string{permitted + open.ID + "/run", "/openapi/v1/apps/" + open.ID + "/run", "/openapi/v1/apps/" + open.ID + "/chat-messages"} {
			for name, token := range map[string]string{"guest": guest, "namesake": namesake} {
				s := rnOpen(t, w.URL, token, route, rnHello)
				user := w.rt.run(t, w.rt.asked()).request.User
				if users[name] != "" && users[name] != user {
					t.Errorf("%s is now %s", name, user)
				}
				users[name] = user
				w.finish(t, s)
			}
		}
		if users["guest"] == users["namesake"] || users["guest"] != run.UserOf(token.Subject{Issuer: klIDP, ID: "ann"}) || strings.Contains(users["guest"], "@") {
			t.Errorf("%v", users)
		}
		awaitEvents(t, w.Server, "app.run.openapi", 6)
		if f := eventFields(t, w.Server, "app.run.openapi"); f["caller_kind"] != "external_sso" {
			t.Errorf("%v", f)
		}
	})
	t.Run("API-15 PL-3 an app that is not for them does not exist", func(t *testing.T) {
		for _, route := range []string{permitted + closed.ID + "/run", permitted + canon.NewID() + "/run", "/openapi/v1/apps/" + closed.ID + "/run"} {
			wantAnswer(t, post(t, guest, route), http.StatusNotFound, "app_not_found")
		}
	})
	t.Run("API-15 TOK-10 accounts are not served among them", func(t *testing.T) {
		wantAnswer(t, post(t, w.bearers["owner"], permitted+open.ID+"/run"), http.StatusForbidden, "wrong_surface")
	})
}

func TestRunsOnTheCommunityEdition(t *testing.T) {
	w := rnStart(t)
	t.Run("M-17 API-15 the route of the other edition does not exist", func(t *testing.T) {
		a := w.as(t, "owner", http.MethodPost, "/openapi/v1/permitted-external-apps/"+w.apps[apps.Chat].ID+"/run", rnHello)
		wantAnswer(t, a, http.StatusNotFound, "not_found")
	})
}
