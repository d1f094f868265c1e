// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	rtt "github.com/dify-sso/dify-sso/core/internal/runtimetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
)

const (
	dsKey = "importer-Key_of.the+runtime"
	dsNew = "app-Key_of.an+imported.app"
	dsYML = `{"mode":"yaml-content","yaml_content":"kind: app\n"`
)

// dsWorld has an app whose runtime takes descriptions, and a runtime that makes apps of
// them.
type dsWorld struct {
	*dcWorld
	makes *rtt.Runtime
	app   apps.App
}

func dsStart(t *testing.T) *dsWorld {
	t.Helper()
	makes := rtt.New(t, dsKey)
	w := &dsWorld{makes: makes, dcWorld: dcStart(t, apitest.Set("DSL_IMPORT_RUNTIME", makes.URL+"/v1"), apitest.Set("DSL_IMPORT_KEY", dsKey), apitest.Set("SHUTDOWN_GRACE", "0s"))}
	w.app = w.dify(t, apps.App{Name: "Described", Mode: apps.Workflow, Features: apps.Features{DSL: true}})
	return w
}

// user is one of the people as runtimes know them.
func (w *dsWorld) user(who string) string {
	return run.UserOf(token.Subject{Issuer: "dify:account", ID: w.ids[who]})
}

func (w *dsWorld) imports() string { return wsPath + "/" + w.id + "/apps/imports" }

// post gives what an import, or its confirmation, has come to.
func (w *dsWorld) post(t *testing.T, who, path, body string) (said dsImport) {
	t.Helper()
	a := w.as(t, who, http.MethodPost, path, body)
	if err := json.Unmarshal([]byte(a.Body), &said); err != nil || a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	w.quiet(t, a.Body)
	return said
}

// quiet fails when a key or an address is in what somebody has read, or the log.
func (w *dsWorld) quiet(t *testing.T, read string) {
	t.Helper()
	for _, secret := range []string{dsKey, dsNew, w.rt.Key} {
		if strings.Contains(read, secret) || strings.Contains(w.Log.String(), secret) {
			t.Errorf("%q is shown: %s", secret, read)
		}
	}
	for _, address := range []string{w.rt.URL, w.makes.URL} {
		if strings.Contains(read, address) {
			t.Errorf("the address is shown: %s", read)
		}
	}
}

type dsImport struct {
	ID, Status, Error string
	AppID             string `json:"app_id"`
}

func TestDescriptionsAreForwarded(t *testing.T) {
	w := dsStart(t)
	at := tsApp(w.app.ID)
	answer := func(rt *rtt.Runtime, route rtt.Route, status int, body string) {
		rt.On(route, rtt.Script{rtt.Answer(status, body)})
	}
	who := w.user

	t.Run("API-29 API-21 an export is its runtime's, in the name of who asks", func(t *testing.T) {
		for _, name := range []string{"owner", "admin", "editor", "normal"} {
			a := w.as(t, name, http.MethodGet, at+"/export?include_secret=false", "")
			calls := w.rt.Calls(rtt.Export)
			if a.Status != 200 || a.Body != `{"data":"kind: app\nversion: 0.5.0\n"}` || calls[len(calls)-1].User != who(name) {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
			n, want := len(calls), name == "owner" || name == "admin"
			a = w.as(t, name, http.MethodGet, at+"/export?include_secret=true&workflow_id="+w.app.ID, "")
			calls = w.rt.Calls(rtt.Export)
			if (a.Status == 200) != want || (len(calls) > n) != want || !want && reasonOf(a) != "insufficient_workspace_role" {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
			if q := calls[len(calls)-1].Query; want && (q.Get("include_secret") != "true" || q.Get("workflow_id") != w.app.ID) {
				t.Errorf("%v", q)
			}
		}
		wantAnswer(t, w.as(t, "stranger", http.MethodGet, at+"/export", ""), http.StatusNotFound, "app_not_found")
		other := w.apps[apps.Workflow].ID // on the same runtime, and not said to be so
		wantAnswer(t, w.as(t, "owner", http.MethodGet, tsApp(other)+"/export", ""), http.StatusNotImplemented, "not_supported_by_runtime")
	})
	t.Run("API-29 what is lacked", func(t *testing.T) {
		answer(w.rt, rtt.Dependencies, 200, `{"leaked_dependencies":[{"type":"marketplace"}],"app_key":"`+dsNew+`"}`)
		if a := w.as(t, "normal", http.MethodGet, at+"/check-dependencies", ""); a.Status != 200 || a.Body != `{"leaked_dependencies":[{"type":"marketplace"}]}` {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("API-29 an import into an app goes to it by its key, and the answer names the app as it is called here", func(t *testing.T) {
		for _, name := range []string{"owner", "admin", "editor"} {
			said := w.post(t, name, w.imports(), dsYML+`,"app_id":"`+w.app.ID+`","name":"A","yaml_url":"file:///etc/passwd"}`)
			calls := w.rt.Calls(rtt.Import)
			call := calls[len(calls)-1]
			if said.Status != "completed" || said.AppID != w.app.ID || said.ID != call.Run || said.Error != "" {
				t.Errorf("%+v", said)
			}
			if string(call.Body) != dsYML+`,"name":"A","user":"`+who(name)+`"}` {
				t.Errorf("%s", call.Body)
			}
		}
		for id, code := range map[string]string{
			w.dify(t, apps.App{Name: "Off", Features: apps.Features{DSL: true}, Status: apps.StatusArchived}).ID:     "app_not_found",
			w.dify(t, apps.App{Name: "Theirs", Features: apps.Features{DSL: true}, Access: apps.Internal}).ID:        "app_access_denied",
			w.NewApp(t, apps.App{WorkspaceID: w.id, Name: "No API", Features: apps.Features{DSL: true}}).ID:          "service_api_disabled",
			w.NewApp(t, apps.App{WorkspaceID: w.foreign, APIEnabled: true, Features: apps.Features{DSL: true}}).ID:   "app_not_found",
			w.NewApp(t, apps.App{WorkspaceID: w.id, APIEnabled: true, Features: apps.Features{HumanInput: true}}).ID: "not_supported_by_runtime",
		} {
			if a := w.as(t, "editor", http.MethodPost, w.imports(), dsYML+`,"app_id":"`+id+`"}`); reasonOf(a) != code {
				t.Errorf("%s: %d %s", code, a.Status, a.Body)
			}
		}
		if n := len(w.rt.Calls(rtt.Import)); n != 3 {
			t.Errorf("the runtime was asked %d times", n)
		}
	})
	t.Run("API-29 M-22 both ways pass 10 MiB as they are", func(t *testing.T) {
		head := `{"mode":"yaml-content","app_id":"` + w.app.ID + `","yaml_content":"`
		text := strings.Repeat("<&>世\\n", (10<<20-len(head)-2)/8)
		if said := w.post(t, "owner", w.imports(), head+text+`"}`); said.Status != "completed" {
			t.Errorf("%+v", said)
		}
		calls := w.rt.Calls(rtt.Import)
		if got := calls[len(calls)-1].Member("yaml_content"); got != `"`+text+`"` {
			t.Errorf("%d bytes", len(got))
		}
		answer(w.rt, rtt.Export, 200, `{"data":"`+text+`"}`)
		if a := w.as(t, "owner", http.MethodGet, at+"/export", ""); a.Status != 200 || a.Body != `{"data":"`+text+`"}` {
			t.Errorf("%d, %d bytes", a.Status, len(a.Body))
		}
		w.rt.On(rtt.Export)
	})
	t.Run("API-20 API-29 a runtime that is not in order", func(t *testing.T) {
		for _, tc := range []struct {
			script rtt.Script
			code   string
		}{
			{rtt.Script{rtt.Status(400, "invalid", "No "+w.rt.Key)}, "bad_request"},
			{rtt.Script{rtt.Status(401, "unauthorized", w.rt.Key)}, "runtime_key_rejected"},
			{rtt.Script{rtt.Status(404, "not_found", "The requested URL was not found on the server.")}, "runtime_unavailable"},
			{rtt.Script{rtt.Status(429, "x", "y")}, "rate_limit_error"},
			{rtt.Script{rtt.Status(500, "x", w.rt.Key)}, "runtime_unavailable"},
			{rtt.Script{rtt.Answer(200, `{"leaked_dependencies":{}}`)}, "runtime_unavailable"},
			{rtt.Script{rtt.Redirect(302, w.makes.URL)}, "runtime_unavailable"},
			{rtt.Script{rtt.Cut()}, "runtime_unavailable"},
		} {
			for route, ask := range map[rtt.Route]func() apitest.Answer{
				rtt.Export:       func() apitest.Answer { return w.as(t, "owner", http.MethodGet, at+"/export", "") },
				rtt.Dependencies: func() apitest.Answer { return w.as(t, "owner", http.MethodGet, at+"/check-dependencies", "") },
				rtt.Import: func() apitest.Answer {
					return w.as(t, "owner", http.MethodPost, w.imports(), dsYML+`,"app_id":"`+w.app.ID+`"}`)
				},
			} {
				w.rt.On(route, tc.script)
				a := ask()
				if reasonOf(a) != tc.code {
					t.Errorf("%s: %s instead of %s", route, a.Body, tc.code)
				}
				w.quiet(t, a.Body)
				w.rt.On(route)
			}
		}
	})
}

func TestImportsThatWait(t *testing.T) {
	w := dsStart(t)
	pending := rtt.Script{rtt.Answer(202, `{"id":"{run}","status":"pending","app_id":"{task}"}`)}
	begin := func(t *testing.T, who, app string) string {
		t.Helper()
		w.rt.On(rtt.Import, pending)
		w.makes.On(rtt.Import, pending)
		said := w.post(t, who, w.imports(), dsYML+app+`}`)
		if said.Status != "pending" || said.ID == "" || said.AppID != "" {
			t.Fatalf("%+v", said)
		}
		return said.ID
	}
	into := `,"app_id":"` + w.app.ID + `"`
	confirm := func(id string) string { return w.imports() + "/" + id + "/confirm" }
	unknown := func(t *testing.T, who, path string) {
		t.Helper()
		wantAnswer(t, w.as(t, who, http.MethodPost, path, ""), http.StatusNotFound, "import_not_found")
	}

	t.Run("API-29 it goes on for who has begun it, where it was begun, and within 15 minutes", func(t *testing.T) {
		id := begin(t, "editor", into)
		second := w.workspace(t, "Second", w.ids["editor"])
		unknown(t, "owner", confirm(id))
		unknown(t, "editor", wsPath+"/"+second+"/apps/imports/"+id+"/confirm")
		unknown(t, "editor", confirm(id[:len(id)-1]))
		unknown(t, "editor", confirm("A"+id[1:]))
		unknown(t, "editor", confirm(strings.Repeat("A", 1025)))
		if n := len(w.rt.Calls(rtt.Confirm)); n != 0 {
			t.Fatalf("the runtime was asked %d times", n)
		}
		if said := w.post(t, "editor", confirm(id), ""); said.Status != "completed" || said.AppID != w.app.ID {
			t.Errorf("%+v", said)
		}
		first, call := w.rt.Calls(rtt.Import)[0], w.rt.Calls(rtt.Confirm)[0]
		if call.Path != "/v1/apps/imports/"+first.Run+"/confirm" || call.User != w.user("editor") {
			t.Errorf("%s %s", call.Path, call.User)
		}
		w.rt.On(rtt.Confirm, rtt.Script{rtt.Status(404, "not_found", "Import not found")})
		unknown(t, "editor", confirm(id)) // a replay is the runtime's to judge
		w.rt.On(rtt.Confirm)
		late := begin(t, "editor", into)
		w.Clock.Advance(15 * time.Minute)
		unknown(t, "editor", confirm(late))
	})
	t.Run("API-29 it may wait once more", func(t *testing.T) {
		id := begin(t, "owner", into)
		w.rt.On(rtt.Confirm, pending)
		said := w.post(t, "owner", confirm(id), "")
		w.rt.On(rtt.Confirm)
		if said.Status != "pending" || w.post(t, "owner", confirm(said.ID), "").Status != "completed" {
			t.Errorf("%+v", said)
		}
	})
	t.Run("API-29 its app is judged anew", func(t *testing.T) {
		id := begin(t, "owner", into)
		off := false
		if _, _, err := w.App.Registry.Update(t.Context(), apps.Member(w.ids["owner"]), w.app.ID, apps.Change{APIEnabled: &off}); err != nil {
			t.Fatal(err)
		}
		n := len(w.rt.Calls(rtt.Confirm))
		wantAnswer(t, w.as(t, "owner", http.MethodPost, confirm(id), ""), http.StatusForbidden, "service_api_disabled")
		if len(w.rt.Calls(rtt.Confirm)) != n {
			t.Error("the runtime was asked")
		}
	})
	t.Run("API-29 one that a runtime takes twice adds one app", func(t *testing.T) {
		id := begin(t, "editor", "")
		w.makes.On(rtt.Confirm, rtt.Script{rtt.Answer(200, `{"id":"{run}","status":"completed","name":"Twice","mode":"chat","app_key":"`+dsNew+`"}`)})
		if said := w.post(t, "editor", confirm(id), ""); said.Status != "completed" || said.AppID == "" {
			t.Errorf("%+v", said)
		}
		unknown(t, "editor", confirm(id))
		if n := len(w.named(t, "Twice")); n != 1 {
			t.Errorf("%d apps", n)
		}
	})
}

// named lists the workspace's apps of a name.
func (w *dsWorld) named(t *testing.T, name string) (found []apps.Summary) {
	t.Helper()
	list, _, err := w.App.Registry.List(t.Context(), apps.Member(w.ids["owner"]), w.id, 1, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if a.Name == name {
			found = append(found, a)
		}
	}
	return found
}

func TestImportsOfNewApps(t *testing.T) {
	w := dsStart(t)
	made := func(more string) {
		w.makes.On(rtt.Import, rtt.Script{rtt.Answer(201, `{"id":"{run}","status":"completed","app_id":"{task}"`+more+`}`)})
	}
	t.Run("API-29 TOK-13 the app is in the registry, and can be run", func(t *testing.T) {
		made(`,"name":"Imported","mode":"chat","app_key":"` + dsNew + `"`)
		said := w.post(t, "editor", w.imports(), `{"mode":"yaml-url","yaml_url":"https://example.com/app.yml","icon":"x"}`)
		call := w.makes.Calls(rtt.Import)[0]
		if string(call.Body) != `{"mode":"yaml-url","yaml_url":"https://example.com/app.yml","icon":"x","user":"`+w.user("editor")+`"}` {
			t.Errorf("%s", call.Body)
		}
		list := w.named(t, "Imported")
		if len(list) != 1 || said.Status != "completed" || said.AppID != list[0].ID || said.Error != "" {
			t.Fatalf("%+v %v", said, list)
		}
		a := list[0]
		if key, err := w.App.Registry.OpenKey(a.App); err != nil || key.Reveal() != dsNew || a.RuntimeURL != w.makes.URL || a.Mode != apps.Chat || !a.APIEnabled || !a.Features.DSL || a.Access != apps.InternalAll || a.CreatedBy != w.ids["editor"] {
			t.Errorf("%+v %v", a, err)
		}
		fields, actor, workspace := w.event(t, "app.created")
		if fields["app_id"] != said.AppID || actor != w.ids["editor"] || workspace != w.id {
			t.Errorf("%v by %s in %s", fields, actor, workspace)
		}
		w.quiet(t, strings.Join(sqlTexts(t, w.Server, `SELECT fields FROM audit_events`), "\n"))
		w.makes.Key = dsNew // of the one app now
		body := w.as(t, "normal", http.MethodPost, tsApp(said.AppID)+"/run", `{"inputs":{},"query":"hello","response_mode":"blocking"}`)
		if body.Status != 200 || !strings.Contains(body.Body, "echo:hello") {
			t.Errorf("%d %s", body.Status, body.Body)
		}
		w.makes.Key = dsKey
	})
	t.Run("API-29 an app of which its runtime does not tell enough is not added, and somebody is told", func(t *testing.T) {
		for name, more := range map[string]string{
			"no key": `,"name":"Half","mode":"chat"`, "no name": `,"mode":"chat","app_key":"` + dsNew + `"`, "no mode": `,"name":"Half","app_key":"` + dsNew + `"`,
			"a mode that is none": `,"name":"Half","mode":"x","app_key":"` + dsNew + `"`, "a key that is none": `,"name":"Half","mode":"chat","app_key":"a b"`,
		} {
			made(more)
			said := w.post(t, "owner", w.imports(), dsYML+`}`)
			calls := w.makes.Calls(rtt.Import)
			if said.Status != "completed-with-warnings" || said.AppID != "" || !strings.Contains(said.Error, "core app add") || !strings.Contains(said.Error, calls[len(calls)-1].Task) || len(w.named(t, "Half")) != 0 {
				t.Errorf("%s: %+v", name, said)
			}
		}
	})
	t.Run("API-29 nobody else makes one", func(t *testing.T) {
		n := len(w.makes.Calls(rtt.Import))
		wantAnswer(t, w.as(t, "normal", http.MethodPost, w.imports(), dsYML+`}`), http.StatusForbidden, "insufficient_workspace_role")
		wantAnswer(t, w.as(t, "stranger", http.MethodPost, w.imports(), dsYML+`}`), http.StatusNotFound, "workspace_not_found")
		if len(w.makes.Calls(rtt.Import)) != n {
			t.Error("the runtime was asked")
		}
	})
	t.Run("API-20 the importer's own refusals", func(t *testing.T) {
		w.makes.On(rtt.Import, rtt.Script{rtt.Status(403, "forbidden", dsKey)})
		a := w.as(t, "owner", http.MethodPost, w.imports(), dsYML+`}`)
		wantAnswer(t, a, http.StatusBadGateway, "runtime_key_rejected")
		w.quiet(t, a.Body)
	})
}

func TestDifyctlAndDescriptions(t *testing.T) {
	w := dsStart(t)
	d := htDifyctl{t: t, s: w.Server, token: w.bearers["editor"]}
	imports := "workspaces/" + w.id + "/apps/imports"
	check := func(t *testing.T, app string) {
		t.Helper()
		var leaked struct {
			Leaked []any `json:"leaked_dependencies"`
		}
		d.into(d.call(http.MethodGet, "apps/"+app+"/check-dependencies", ""), &leaked)
		if leaked.Leaked == nil {
			t.Error("no list")
		}
	}
	t.Run("export app, of a runtime and of echo", func(t *testing.T) {
		d.t = t
		echo := w.NewApp(t, apps.App{WorkspaceID: w.id, Name: "Echo: \"one\"", Mode: apps.Chat, APIEnabled: true, Features: apps.Features{DSL: true}, RuntimeConfig: `{"opening_statement":"Hello\nyou"}`})
		var said struct{ Data string }
		for _, id := range []string{w.app.ID, echo.ID} {
			d.into(d.call(http.MethodGet, "apps/"+id+"/export?include_secret=false", ""), &said)
			if said.Data == "" {
				t.Error("nothing")
			}
			check(t, id)
		}
		if !strings.Contains(said.Data, "opening_statement") {
			t.Error(said.Data)
		}
		if a := d.call(http.MethodPost, imports, dsYML+`,"app_id":"`+echo.ID+`"}`); reasonOf(a) != "not_supported_by_runtime" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("import app, confirmed, into the registry", func(t *testing.T) {
		d.t = t
		w.makes.On(rtt.Import, rtt.Script{rtt.Answer(202, `{"id":"{run}","status":"pending"}`)})
		w.makes.On(rtt.Confirm, rtt.Script{rtt.Answer(200, `{"id":"{run}","status":"completed","app_id":"{task}","name":"Another","mode":"workflow","app_key":"`+dsNew+`"}`)})
		var said dsImport
		d.into(d.call(http.MethodPost, imports, dsYML+`}`), &said)
		d.into(d.call(http.MethodPost, imports+"/"+said.ID+"/confirm", ""), &said)
		if said.Status != "completed" {
			t.Fatalf("%+v", said)
		}
		w.makes.Key = dsNew
		check(t, said.AppID)
	})
	t.Run("import app, and it fails", func(t *testing.T) {
		d.t = t
		w.rt.On(rtt.Import, rtt.Script{rtt.Answer(200, `{"id":"{run}","status":"failed","error":"Invalid YAML"}`)})
		var said dsImport
		// The one answer of which the client reads an error in spite of its status.
		a := htAsk(t, d.s, d.request(http.MethodPost, imports, dsYML+`,"app_id":"`+w.app.ID+`"}`, "application/json", "*/*"))
		d.into(a, &said)
		if v := dcRead(http.MethodPost, a); v.crash != "" || v.exit != 0 {
			t.Errorf("%+v", v)
		}
		if said.Status != "failed" || said.Error != "Invalid YAML" || said.AppID != "" {
			t.Errorf("%+v", said)
		}
		w.rt.On(rtt.Import, rtt.Script{rtt.Status(400, "invalid", "Not this one")})
		if v := dcRead(http.MethodPost, d.call(http.MethodPost, imports, dsYML+`,"app_id":"`+w.app.ID+`"}`)); v.exit == 0 || v.said != "bad_request" {
			t.Errorf("%+v", v)
		}
	})
}
