// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// What each role draws from each route of the registry: the app is the workspace's, or one
// of the stranger's, or none.
func TestConsoleAppsByRole(t *testing.T) {
	w := caStart(t)
	ours := w.NewApp(t, apps.App{WorkspaceID: w.id, Name: "Look-alike"})
	theirs := w.NewApp(t, apps.App{WorkspaceID: w.foreign, Name: "Look-alike"})
	writes := []struct{ method, under, body string }{
		{http.MethodGet, "", ""}, {http.MethodPatch, "", `{"author":"Ada"}`}, {http.MethodPut, "/access", `{"allowed":[]}`},
		{http.MethodPut, "/key", `{"key":""}`}, {http.MethodDelete, "", ""},
	}
	for _, id := range []struct{ name, id string }{{"a look-alike of another workspace", theirs.ID}, {"no app", canon.NewID()}, {"no id", "x"}, {"a path", "%2e%2e"}} {
		for _, r := range writes {
			t.Run("API-3 "+r.method+r.under+" of "+id.name, func(t *testing.T) {
				before, bodies := w.kept(t), map[string]bool{}
				for _, who := range []string{"owner", "admin", "editor"} {
					a := w.asks(who, r.method, caPath+"/"+id.id+r.under, r.body)
					wantAnswer(t, a, http.StatusNotFound, "app_not_found")
					bodies[a.Body] = true
				}
				wantAnswer(t, w.asks("normal", r.method, caPath+"/"+id.id+r.under, r.body), http.StatusForbidden, "insufficient_workspace_role")
				if len(bodies) != 1 || w.kept(t) != before {
					t.Errorf("%v", slices.Collect(maps.Keys(bodies)))
				}
			})
		}
	}
	t.Run("PL-5 what a normal member may not do", func(t *testing.T) {
		before := w.kept(t)
		wantAnswer(t, w.asks("normal", http.MethodGet, caPath, ""), http.StatusForbidden, "insufficient_workspace_role")
		wantAnswer(t, w.asks("normal", http.MethodPost, caPath, `{"name":"x","mode":"chat"}`), http.StatusForbidden, "insufficient_workspace_role")
		for _, r := range writes {
			wantAnswer(t, w.asks("normal", r.method, caPath+"/"+ours.ID+r.under, r.body), http.StatusForbidden, "insufficient_workspace_role")
			wantAnswer(t, w.asks("stranger", r.method, caPath+"/"+ours.ID+r.under, r.body), http.StatusNotFound, "app_not_found")
		}
		if w.kept(t) != before {
			t.Error("a refusal has written")
		}
	})
	t.Run("API-32 an editor keeps apps, and neither address, kind nor key of a runtime", func(t *testing.T) {
		id := w.adds(t, "editor", `{"name":"An editor's","mode":"workflow","tags":["new"]}`)
		before := w.kept(t)
		for _, r := range []struct{ method, path, body string }{
			{http.MethodPost, caPath, `{"name":"x","mode":"chat","runtime_url":"https://dify.example.com"}`},
			{http.MethodPost, caPath, `{"name":"x","mode":"chat","runtime_key":"` + pgAppKey + `"}`},
			{http.MethodPatch, caPath + "/" + id, `{"runtime_url":"https://dify.example.com","name":"both"}`},
			{http.MethodPatch, caPath + "/" + id, `{"runtime":"echo"}`},
			{http.MethodPut, caPath + "/" + id + "/key", `{"key":"` + pgAppKey + `"}`},
			{http.MethodPut, caPath + "/" + id + "/key", `{"key":""}`},
		} {
			wantAnswer(t, w.asks("editor", r.method, r.path, r.body), http.StatusForbidden, "insufficient_workspace_role")
		}
		if w.kept(t) != before {
			t.Error("a refusal has written")
		}
		wantAnswer(t, w.asks("editor", http.MethodPatch, caPath+"/"+id, `{"name":"Renamed","api_enabled":false,"access_mode":"internal"}`), http.StatusOK, "")
		wantAnswer(t, w.asks("editor", http.MethodPut, caPath+"/"+id+"/access", `{"allowed":["`+w.ids["normal"]+`"]}`), http.StatusOK, "")
		for _, who := range []string{"owner", "admin"} {
			wantAnswer(t, w.asks(who, http.MethodPatch, caPath+"/"+id, `{"runtime_url":"https://`+who+`.example.com/v1"}`), http.StatusOK, "")
			wantAnswer(t, w.asks(who, http.MethodPut, caPath+"/"+id+"/key", `{"key":"app-`+who+`"}`), http.StatusOK, "")
		}
		wantAnswer(t, w.asks("editor", http.MethodDelete, caPath+"/"+id, ""), http.StatusOK, "")
	})
	t.Run("PL-7 a role that is taken away is gone at the next request", func(t *testing.T) {
		sqlExec(t, w.Server, `UPDATE memberships SET role = 'normal' WHERE account_id = $1`, w.ids["admin"])
		wantAnswer(t, w.asks("admin", http.MethodGet, caPath, ""), http.StatusForbidden, "insufficient_workspace_role")
		sqlExec(t, w.Server, `DELETE FROM memberships WHERE account_id = $1`, w.ids["admin"])
		wantAnswer(t, w.asks("admin", http.MethodGet, caPath, ""), http.StatusNotFound, "workspace_not_found")
		wantAnswer(t, w.asks("admin", http.MethodGet, caPath+"/"+ours.ID, ""), http.StatusNotFound, "workspace_not_found")
	})
	t.Run("W-17 no bearer opens a route of the console", func(t *testing.T) {
		for _, path := range []string{caPath, caPath + "/" + ours.ID} {
			wantAnswer(t, w.Bearer(t, w.bearers["owner"], http.MethodGet, path), http.StatusUnauthorized, "unauthorized")
		}
	})
	t.Run("an app is found in the workspace that one works in", func(t *testing.T) {
		w.join(t, w.foreign, w.ids["owner"], "admin")
		wantAnswer(t, w.asks("owner", http.MethodGet, caPath+"/"+theirs.ID, ""), http.StatusNotFound, "app_not_found")
		wantAnswer(t, w.asks("owner", http.MethodPost, wsSwitchPath, `{"tenant_id":"`+w.foreign+`"}`), http.StatusOK, "")
		a := w.asks("owner", http.MethodGet, caPath+"/"+theirs.ID, "")
		wantAnswer(t, a, http.StatusOK, "")
		if a.Text(t, "workspace_id") != w.foreign {
			t.Errorf("%s", a.Body)
		}
		wantAnswer(t, w.asks("owner", http.MethodDelete, caPath+"/"+ours.ID, ""), http.StatusNotFound, "app_not_found")
	})
}

func TestConsoleAppsLife(t *testing.T) {
	w := caStart(t)
	a := w.asks("owner", http.MethodPost, caPath, `{"name":"  Difference engine ","description":"two\r\nlines","mode":"advanced-chat","tags":["numbers","表"],"author":"Charles","runtime":"dify",
		"runtime_url":"https://dify.example.com/v1/","runtime_key":"`+pgAppKey+`","runtime_features":{"dsl":true},"access_mode":"internal","max_active_requests":3,"allowed":["`+w.ids["normal"]+`"]}`)
	wantAnswer(t, a, http.StatusCreated, "")
	id, first := a.Text(t, "id"), a.JSON(t)
	t.Run("the answer has every member, and of the key its fingerprint alone", func(t *testing.T) {
		key := first["runtime_key"].(map[string]any)
		print, _ := key["fingerprint"].(string)
		if key["set"] != true || len(print) != 8 || len(key) != 2 {
			t.Errorf("%v", key)
		}
		delete(first, "runtime_key")
		for name, want := range map[string]any{
			"workspace_id": w.id, "name": "Difference engine", "description": "two\nlines", "mode": "advanced-chat", "author": "Charles", "runtime": "dify", "runtime_url": "https://dify.example.com",
			"api_enabled": true, "access_mode": "internal", "max_active_requests": 3.0, "status": "normal", "created_by_name": apitest.OwnerName,
			"tags": "[numbers 表]", "runtime_features": "map[dsl:true human_input:false]", "allowed": fmt.Sprintf("[map[email:%s id:%s name:Name of %s]]", wsEmail("normal"), w.ids["normal"], wsEmail("normal")),
		} {
			if got := first[name]; got != want && fmt.Sprint(got) != want {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
		for _, name := range []string{"created_at", "updated_at"} {
			if _, err := time.Parse("2006-01-02T15:04:05Z", first[name].(string)); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("what a change does not name stays", func(t *testing.T) {
		a := w.asks("admin", http.MethodPatch, caPath+"/"+id, `{"name":"Analytical engine","tags":null}`)
		wantAnswer(t, a, http.StatusOK, "")
		now := a.JSON(t)
		if now["name"] != "Analytical engine" || now["description"] != "two\nlines" || fmt.Sprint(now["tags"]) != "[numbers 表]" || fmt.Sprint(now["runtime_key"]) == "" {
			t.Errorf("%v", now)
		}
	})
	t.Run("a key is replaced and taken away; two that are one show one fingerprint", func(t *testing.T) {
		put := func(key string) string {
			a := w.asks("owner", http.MethodPut, caPath+"/"+id+"/key", `{"key":"`+key+`"}`)
			wantAnswer(t, a, http.StatusOK, "")
			return a.Body
		}
		same, other, none := put(pgAppKey), put(pgAppKey+"x"), put("")
		if same == other || none != `{"set":false,"fingerprint":""}` || put(pgAppKey) != same {
			t.Errorf("%s %s %s", same, other, none)
		}
	})
	t.Run("TOK-13 an address with another host takes the key away, and the answer says so", func(t *testing.T) {
		patch := func(address string) apitest.Answer {
			a := w.asks("admin", http.MethodPatch, caPath+"/"+id, `{"runtime_url":"`+address+`"}`)
			wantAnswer(t, a, http.StatusOK, "")
			return a
		}
		if a := patch("https://dify.example.com/below"); strings.Contains(a.Body, `"set":false`) {
			t.Errorf("the same host: %s", a.Body)
		}
		if a := patch("https://evil.example.com"); !strings.Contains(a.Body, `"runtime_key":{"set":false,"fingerprint":""}`) {
			t.Errorf("another host: %s", a.Body)
		}
	})
	t.Run("the list is replaced as a whole, by members alone", func(t *testing.T) {
		put := func(body string) apitest.Answer {
			return w.asks("admin", http.MethodPut, caPath+"/"+id+"/access", body)
		}
		a := put(`{"allowed":["` + w.ids["editor"] + `","` + w.ids["editor"] + `"]}`)
		if list := a.JSON(t)["allowed"].([]any); a.Status != http.StatusOK || len(list) != 1 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		a = put(`{"allowed":["` + w.ids["editor"] + `","` + w.ids["stranger"] + `"]}`)
		wantAnswer(t, a, http.StatusUnprocessableEntity, "invalid_param")
		if got := caDetails(t, a); len(got) != 1 || got[0] != "value_error [allowed 1]" || strings.Contains(a.Body, w.ids["stranger"]) {
			t.Errorf("%q %s", got, a.Body)
		}
		a = put(`{"allowed":[]}`)
		if list := a.JSON(t)["allowed"].([]any); len(list) != 0 {
			t.Errorf("%s", a.Body)
		}
	})
	t.Run("an app that is deleted is gone, once", func(t *testing.T) {
		wantAnswer(t, w.asks("owner", http.MethodDelete, caPath+"/"+id, ""), http.StatusOK, "")
		wantAnswer(t, w.asks("owner", http.MethodDelete, caPath+"/"+id, ""), http.StatusNotFound, "app_not_found")
		wantAnswer(t, w.asks("owner", http.MethodGet, caPath+"/"+id, ""), http.StatusNotFound, "app_not_found")
	})
	t.Run("W-24 no log, event or row tells a key", func(t *testing.T) {
		pgUntold(t, w.Server, pgAppKey)
		for _, query := range []string{`SELECT fields FROM audit_events`, `SELECT COALESCE(runtime_key_sealed, '') FROM apps`} {
			for _, text := range sqlTexts(t, w.Server, query) {
				if strings.Contains(text, pgAppKey) {
					t.Errorf("%s", text)
				}
			}
		}
	})
}

func TestConsoleAppsValidation(t *testing.T) {
	w := caStart(t)
	id := w.adds(t, "owner", `{"name":"An app","mode":"chat","runtime":"echo"}`)
	before := w.kept(t)
	refused := func(t *testing.T, method, path, body string, want ...string) {
		t.Helper()
		a := w.asks("owner", method, path, body)
		wantAnswer(t, a, http.StatusUnprocessableEntity, "invalid_param")
		if got := caDetails(t, a); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
		for _, canary := range []string{"canary", pgAppKey} {
			if strings.Contains(a.Body, canary) {
				t.Errorf("the refused value is told: %s", a.Body)
			}
		}
	}
	t.Run("API-1 HTTP-22 what is not an app is refused, all of it at once and nothing of it told", func(t *testing.T) {
		for body, want := range map[string][]string{
			`{"mode":"chat","runtime":"echo"}`:                                                       {"missing [name]"},
			`{"name":"x","runtime":"echo"}`:                                                          {"missing [mode]"},
			`{"name":"x","mode":"chat","runtime":"echo","key":"` + pgAppKey + `"}`:                   {"extra_forbidden [key]"},
			`{"name":"x","mode":"chat","runtime":"echo","id":"canary"}`:                              {"extra_forbidden [id]"},
			`{"name":7,"mode":"chat","tags":"canary","api_enabled":"canary"}`:                        {"type_error [name]", "type_error [tags]", "type_error [api_enabled]"},
			`{"name":"","mode":"canary","runtime":"echo","max_active_requests":-1}`:                  {"missing [name]", "value_error [mode]", "value_error [max_active_requests]"},
			`{"name":"a\r\nLocation: canary","mode":"chat","runtime":"echo"}`:                        {"value_error [name]"},
			`{"name":"a\u202ecanary","mode":"chat","runtime":"echo"}`:                                {"value_error [name]"},
			`{"name":"` + strings.Repeat("界", 256) + `","mode":"chat","runtime":"echo"}`:             {"value_error [name]"},
			`{"name":"x","mode":"chat","runtime":"canary"}`:                                          {"value_error [runtime]", "missing [runtime_url]"},
			`{"name":"x","mode":"chat"}`:                                                             {"missing [runtime_url]"},
			`{"name":"x","mode":"chat","runtime_url":"https://u:canary@x.example"}`:                  {"value_error [runtime_url]"},
			`{"name":"x","mode":"chat","runtime_url":"https://x.example/?canary"}`:                   {"value_error [runtime_url]"},
			`{"name":"x","mode":"chat","runtime_url":"https://x.example/\r\ncanary: 1"}`:             {"value_error [runtime_url]"},
			`{"name":"x","mode":"chat","runtime":"echo","runtime_key":"` + pgAppKey + `\r\nX: y"}`:   {"value_error [runtime_key]"},
			`{"name":"x","mode":"chat","runtime":"echo","tags":["ok","\"canary"]}`:                   {"value_error [tags 1]"},
			`{"name":"x","mode":"chat","runtime":"echo","access_mode":"public"}`:                     {"value_error [access_mode]"},
			`{"name":"x","mode":"chat","runtime":"echo","access_mode":"canary"}`:                     {"value_error [access_mode]"},
			`{"name":"x","mode":"chat","runtime":"echo","runtime_features":{"dsl":true,"canary":1}}`: {"extra_forbidden [runtime_features canary]"},
			`{"name":"x","mode":"chat","runtime":"echo","allowed":["` + w.ids["stranger"] + `"]}`:    {"value_error [allowed 0]"},
		} {
			if strings.Contains(body, `"canary":1`) { // a name that nobody knows is named
				a := w.asks("owner", http.MethodPost, caPath, body)
				wantAnswer(t, a, http.StatusUnprocessableEntity, "invalid_param")
				if got := caDetails(t, a); !slices.Equal(got, want) {
					t.Errorf("%q, want %q", got, want)
				}
				continue
			}
			refused(t, http.MethodPost, caPath, body, want...)
		}
		refused(t, http.MethodPatch, caPath+"/"+id, `{"runtime_key":"x"}`, "extra_forbidden [runtime_key]")
		refused(t, http.MethodPatch, caPath+"/"+id, `{"status":"canary"}`, "value_error [status]")
		refused(t, http.MethodPut, caPath+"/"+id+"/key", `{}`, "missing [key]")
		refused(t, http.MethodPut, caPath+"/"+id+"/key", `{"key":"two words"}`, "value_error [runtime_key]")
		refused(t, http.MethodPut, caPath+"/"+id+"/access", `{"allowed":null}`, "missing [allowed]")
	})
	t.Run("API-2 page and limit", func(t *testing.T) {
		for i := range 2 {
			w.Clock.Advance(time.Second)
			w.adds(t, "editor", fmt.Sprintf(`{"name":"more %d","mode":"completion"}`, i))
		}
		for query, status := range map[string]int{"page=0": 422, "limit=0": 422, "limit=1": 200, "limit=200": 200, "limit=201": 422, "page=x": 422, "page=1&page=1": 422, "other=1": 422} {
			if a := w.asks("owner", http.MethodGet, caPath+"?"+query, ""); a.Status != status {
				t.Errorf("%s: %d %s", query, a.Status, a.Body)
			}
		}
		var names []string
		for page := 1; ; page++ {
			a := w.asks("owner", http.MethodGet, fmt.Sprintf("%s?limit=2&page=%d", caPath, page), "")
			out := a.JSON(t)
			for _, row := range out["data"].([]any) {
				names = append(names, row.(map[string]any)["name"].(string))
			}
			if out["total"] != 3.0 {
				t.Fatalf("%s", a.Body)
			}
			if out["has_more"] != true {
				break
			}
		}
		if fmt.Sprint(names) != "[more 1 more 0 An app]" {
			t.Errorf("%q", names)
		}
	})
	if now := w.kept(t); !strings.HasPrefix(now, strings.SplitN(before, "\n", 2)[0]) || strings.Contains(now, "canary") {
		t.Errorf("a refusal has written:\n%s", now)
	}
}
