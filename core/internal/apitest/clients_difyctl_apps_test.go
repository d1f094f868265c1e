// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/runtimetest"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// What the client reads of apps.
var (
	dcApp = dcShape{
		"id": dcString, "name": dcString, "mode": dcString, "description": dcMaybe(dcString), "updated_at": dcMaybe(dcMatching(htStamp)), "created_by_name": dcMaybe(dcString),
		"workspace_id": dcMaybe(dcString), "workspace_name": dcMaybe(dcString), "tags": dcMaybe(dcList(dcShape{"name": dcString})),
	}
	dcInfo = dcShape{
		"id": dcString, "name": dcString, "mode": dcString, "service_api_enabled": dcBool, "is_agent": dcNeverNull(dcBool), "description": dcMaybe(dcString),
		"author": dcMaybe(dcString), "updated_at": dcMaybe(dcMatching(htStamp)), "tags": dcMaybe(dcList(dcShape{"name": dcString})),
	}
	dcDescription = dcShape{"info": dcObject(dcInfo), "parameters": dcMaybe(dcObject(dcShape{})), "input_schema": dcMaybe(dcObject(dcShape{}))}
)

// dcWorld is a server whose apps have a scripted runtime, one of each mode, and one on
// echo.
type dcWorld struct {
	*wsWorld
	rt   *runtimetest.Runtime
	apps map[apps.Mode]apps.App
	echo apps.App
}

func dcStart(t testing.TB, options ...apitest.Option) *dcWorld {
	t.Helper()
	rt := runtimetest.New(t, "app-key-of-the-runtime")
	w := &dcWorld{wsWorld: wsStart(t, append([]apitest.Option{apitest.Set("RUNTIME_ALLOWED_HOSTS", "127.0.0.1")}, options...)...), rt: rt, apps: map[apps.Mode]apps.App{}}
	for _, mode := range []apps.Mode{apps.Chat, apps.AgentChat, apps.AdvancedChat, apps.Completion, apps.Workflow} {
		w.apps[mode] = w.dify(t, apps.App{Name: "App of " + string(mode), Mode: mode, Tags: []string{"one", "two"}})
	}
	w.echo = w.NewApp(t, apps.App{WorkspaceID: w.id, Name: "Echo", Mode: apps.Chat, APIEnabled: true})
	return w
}

// dify puts an app on the scripted runtime into the registry, with its key.
func (w *dcWorld) dify(t testing.TB, a apps.App) apps.App {
	t.Helper()
	a.WorkspaceID, a.Runtime, a.RuntimeURL, a.APIEnabled = w.id, apps.RuntimeDify, w.rt.URL, true
	a = w.NewApp(t, a)
	if _, err := w.App.Registry.SetKey(t.Context(), apps.Member(w.ids["owner"]), a.ID, secret.New(w.rt.Key)); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestDifyctlReadsApps(t *testing.T) {
	w := dcStart(t)
	second := w.workspace(t, "Second", w.ids["owner"])
	chat := "apps/" + w.apps[apps.Chat].ID
	off := w.NewApp(t, apps.App{WorkspaceID: w.id, Name: "Off"})
	foreign := w.NewApp(t, apps.App{WorkspaceID: w.foreign, Name: "Foreign", APIEnabled: true})
	list := "apps?workspace_id=" + w.id + "&page=1&limit=20"
	dcReplay(t, w.wsWorld, []dcCase{
		{name: "get app", who: "normal", method: "GET", path: list, shape: dcPage(dcApp)},
		{name: "get app --mode", who: "normal", method: "GET", path: list + "&mode=workflow", shape: dcPage(dcApp)},
		{name: "get app --mode of none", who: "normal", method: "GET", path: list + "&mode=rag-pipeline", shape: dcPage(dcApp)},
		{name: "get app --name --tag", who: "normal", method: "GET", path: list + "&name=App%20of&tag=one", shape: dcPage(dcApp)},
		{name: "get app, another page", who: "normal", method: "GET", path: "apps?workspace_id=" + w.id + "&page=9&limit=200", shape: dcPage(dcApp)},
		{name: "get app of an empty workspace", who: "owner", method: "GET", path: "apps?workspace_id=" + second + "&page=1&limit=20", shape: dcPage(dcApp)},
		{name: "get app of others", who: "normal", method: "GET", path: "apps?workspace_id=" + w.foreign + "&page=1&limit=20", exit: 1, own: "server_4xx_other", said: "workspace_not_found"},
		{name: "get app, a page too long", who: "normal", method: "GET", path: "apps?workspace_id=" + w.id + "&page=1&limit=201", exit: 1, own: "server_4xx_other", said: "invalid_param"},
		{name: "get app <id>", who: "normal", method: "GET", path: chat + "/describe?fields=info", shape: dcDescription},
		{name: "get app <free text>", who: "normal", method: "GET", path: "apps/my%20app%2F1/describe?fields=info", exit: 1, own: "server_4xx_other", said: "app_not_found"},
		{name: "get app <of others>", who: "normal", method: "GET", path: "apps/" + foreign.ID + "/describe?fields=info", exit: 1, own: "server_4xx_other", said: "app_not_found"},
		{name: "describe app", who: "normal", method: "GET", path: chat + "/describe?fields=info%2Cparameters%2Cinput_schema", shape: dcDescription},
		{name: "describe app whose API is off", who: "normal", method: "GET", path: "apps/" + off.ID + "/describe?fields=info", shape: dcDescription},
		{name: "run app whose API is off", who: "normal", method: "POST", path: "apps/" + off.ID + "/run", body: `{"inputs":{},"query":"hi"}`, exit: 1, own: "server_4xx_other", said: "service_api_disabled"},
		{name: "run app, no query", who: "normal", method: "POST", path: chat + "/run", body: `{"inputs":{}}`, exit: 1, own: "server_4xx_other", said: "query_required_for_chat"},
		{name: "run app, a conversation that is no UUID", who: "normal", method: "POST", path: chat + "/run", body: `{"inputs":{},"query":"x","conversation_id":"my talk"}`, exit: 1, own: "server_4xx_other", said: "conversation_not_found"},
		{name: "export app", who: "owner", method: "GET", path: chat + "/export?include_secret=false", exit: 1, own: "server_5xx", said: "not_supported_by_runtime"},
		{name: "import app", who: "owner", method: "POST", path: "workspaces/" + w.id + "/apps/imports", body: `{"mode":"yaml-content","yaml_content":"app: {}"}`, exit: 1, own: "server_5xx", said: "not_supported_by_runtime"},
		{name: "import app by address", who: "owner", method: "POST", path: "workspaces/" + w.id + "/apps/imports", body: `{"mode":"yaml-url","yaml_url":"https://example.com/app.yml","name":"n"}`, exit: 1, own: "server_5xx", said: "not_supported_by_runtime"},
		{name: "import app, no editor", who: "normal", method: "POST", path: "workspaces/" + w.id + "/apps/imports", body: `{"mode":"yaml-content","yaml_content":"app: {}"}`, exit: 1, own: "server_4xx_other", said: "insufficient_workspace_role"},
		{name: "import app, its confirmation", who: "owner", method: "POST", path: "workspaces/" + w.id + "/apps/imports/" + canon.NewID() + "/confirm", exit: 1, own: "server_4xx_other", said: "import_not_found"},
		{name: "import app, its check", who: "owner", method: "GET", path: chat + "/check-dependencies", exit: 1, own: "server_5xx", said: "not_supported_by_runtime"},
		{name: "resume app, a form that is none", who: "normal", method: "GET", path: "apps/" + w.echo.ID + "/form/human_input/no%2Fform", exit: 1, own: "server_4xx_other", said: "form_not_found"},
	})
	t.Run("get app --mode, each of the eight", func(t *testing.T) {
		d := htDifyctl{t: t, s: w.Server, token: w.bearers["normal"]}
		for _, mode := range []string{"advanced-chat", "agent", "agent-chat", "channel", "chat", "completion", "rag-pipeline", "workflow"} {
			page := dcWant(t, http.MethodGet, d.call(http.MethodGet, list+"&mode="+mode, ""), dcPage(dcApp))
			for _, row := range page["data"].([]any) {
				if row.(map[string]any)["mode"] != mode {
					t.Errorf("%s: %v", mode, row)
				}
			}
		}
	})
	t.Run("what it asks for alone is computed", func(t *testing.T) {
		d := htDifyctl{t: t, s: w.Server, token: w.bearers["normal"]}
		before := len(w.rt.Calls(runtimetest.Parameters))
		got := dcWant(t, http.MethodGet, d.call(http.MethodGet, chat+"/describe?fields=info", ""), dcDescription)
		if got["parameters"] != nil || got["input_schema"] != nil || len(w.rt.Calls(runtimetest.Parameters)) != before {
			t.Fatalf("%v", got)
		}
	})
	t.Run("get app -A: the workspaces, then four lists at a time", func(t *testing.T) {
		d := htDifyctl{t: t, s: w.Server, token: w.bearers["owner"]}
		all := dcWant(t, http.MethodGet, d.call(http.MethodGet, "workspaces", ""), dcShape{"workspaces": dcList(dcWorkspace)})
		total := make(chan float64, 4)
		for i := range 4 {
			row := all["workspaces"].([]any)[i%2].(map[string]any)
			go func() {
				n := 0.0
				defer func() { total <- n }() // also when the call ends this goroutine
				a := w.Bearer(t, d.token, http.MethodGet, "/openapi/v1/apps?workspace_id="+row["id"].(string)+"&page=1&limit=20")
				body, _ := dcRead(http.MethodGet, a).body.(map[string]any)
				n, _ = body["total"].(float64)
			}()
		}
		sum := 0.0
		for range 4 {
			sum += <-total
		}
		if sum != 2*float64(len(w.apps)+1) { // twice: the first has all that can be run, the second none
			t.Fatalf("%v apps", sum)
		}
	})
	t.Run("a runtime that is away", func(t *testing.T) {
		away := w.dify(t, apps.App{Name: "Away", Mode: apps.Chat})
		w.rt.On(runtimetest.Parameters, runtimetest.Script{runtimetest.Status(500, "x", "y")})
		defer w.rt.On(runtimetest.Parameters)
		d := htDifyctl{t: t, s: w.Server, token: w.bearers["normal"]}
		dcRefused(t, http.MethodGet, d.call(http.MethodGet, "apps/"+away.ID+"/describe?fields=info%2Cparameters%2Cinput_schema", ""), 1, "server_5xx", "runtime_unavailable")
	})
	t.Run("no answer names the runtime or its key", func(t *testing.T) {
		for _, path := range []string{list, chat + "/describe"} {
			if a := w.as(t, "owner", http.MethodGet, "/openapi/v1/"+path, ""); strings.Contains(a.Body, w.rt.Key) || strings.Contains(a.Body, w.rt.URL) {
				t.Error(a.Body)
			}
		}
	})
}
