// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

func TestImportAndExport(t *testing.T) {
	w := tsStart(t)
	one := w.app(t, apps.Workflow)
	theirs := w.app(t, apps.Workflow, func(a *apps.App) { a.WorkspaceID = w.foreign })
	const unsupported, content = "not_supported_by_runtime", `{"mode":"yaml-content","yaml_content":"kind: app"}`
	imports := func(ws string) string { return wsPath + "/" + ws + "/apps/imports" }
	confirm := func(ws, id string) string { return imports(ws) + "/" + id + "/confirm" }
	want := func(t *testing.T, a apitest.Answer, status int, code string) {
		t.Helper()
		wantAnswer(t, a, status, code)
		wantFailureShape(t, a)
	}

	t.Run("API-29 no runtime offers it: 501, after who asks was judged", func(t *testing.T) {
		for who, c := range map[string]struct {
			status int
			code   string
		}{
			"owner": {501, unsupported}, "admin": {501, unsupported}, "editor": {501, unsupported}, "normal": {403, "insufficient_workspace_role"}, "stranger": {404, "workspace_not_found"},
		} {
			want(t, w.as(t, who, http.MethodPost, imports(w.id), content), c.status, c.code)
			if c.status == 501 { // no import waits, whatever the runtimes are
				c.status, c.code = 404, "import_not_found"
			}
			want(t, w.as(t, who, http.MethodPost, confirm(w.id, canon.NewID()), ""), c.status, c.code)
		}
		for who, c := range map[string]struct {
			status, secrets int
		}{"owner": {501, 501}, "admin": {501, 501}, "editor": {501, 403}, "normal": {501, 403}, "stranger": {404, 404}} {
			for path, status := range map[string]int{
				"/export": c.status, "/export?include_secret=false&workflow_id=" + canon.NewID(): c.status, "/export?workflow_id=&unknown=1": c.status,
				"/check-dependencies": c.status, "/export?include_secret=true": c.secrets,
			} {
				code := map[int]string{501: unsupported, 403: "insufficient_workspace_role", 404: "app_not_found"}[status]
				want(t, w.as(t, who, http.MethodGet, tsApp(one)+path, ""), status, code)
			}
		}
		w.wantAsked(t)
	})
	t.Run("API-29 a runtime of which it was said, and that cannot", func(t *testing.T) {
		said := w.app(t, apps.Workflow, func(a *apps.App) { a.Features.DSL = true })
		want(t, w.as(t, "owner", http.MethodGet, tsApp(said)+"/export", ""), http.StatusNotImplemented, unsupported)
		want(t, w.as(t, "owner", http.MethodPost, imports(w.id), `{"mode":"yaml-content","yaml_content":"x","app_id":"`+said+`"}`), http.StatusNotImplemented, unsupported)
		w.wantAsked(t)
	})
	t.Run("API-29 TOK-11 an import into an app that is not this workspace's", func(t *testing.T) {
		archived := w.app(t, apps.Workflow, func(a *apps.App) { a.Status = apps.StatusArchived })
		for name, id := range map[string]string{"unknown": canon.NewID(), "malformed": "x", "another workspace's": theirs, "archived": archived} {
			a := w.as(t, "owner", http.MethodPost, imports(w.id), `{"mode":"yaml-content","yaml_content":"x","app_id":"`+id+`"}`)
			if a.Status != http.StatusNotFound || reasonOf(a) != "app_not_found" {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
	})
	t.Run("API-3 an import, an app, a workspace whose id is no UUID", func(t *testing.T) {
		want(t, w.as(t, "owner", http.MethodPost, confirm(w.id, "x"), ""), http.StatusNotFound, "import_not_found")
		want(t, w.as(t, "owner", http.MethodPost, confirm("x", canon.NewID()), ""), http.StatusNotFound, "workspace_not_found")
		want(t, w.as(t, "owner", http.MethodPost, imports("x"), content), http.StatusNotFound, "workspace_not_found")
		want(t, w.as(t, "owner", http.MethodGet, tsApp("x")+"/export", ""), http.StatusNotFound, "app_not_found")
	})
	t.Run("API-1 what an import may say", func(t *testing.T) {
		for _, body := range []string{
			`{}`, `{"mode":"yaml"}`, `{"mode":""}`, `{"mode":"yaml-content"}`, `{"mode":"yaml-content","yaml_content":""}`, `{"mode":"yaml-url"}`, `{"mode":"yaml-url","yaml_url":"file:///etc/passwd"}`,
			`{"mode":"yaml-url","yaml_url":"https://"}`, `{"mode":"yaml-content","yaml_content":"x","tags":[]}`, `{"mode":"yaml-content","yaml_content":1}`,
		} {
			a := w.as(t, "owner", http.MethodPost, imports(w.id), body)
			if a.Status != http.StatusUnprocessableEntity || reasonOf(a) != "invalid_param" {
				t.Errorf("%s: %d %s", body, a.Status, a.Body)
			}
		}
		want(t, w.as(t, "owner", http.MethodPost, imports(w.id), `{"mode":"yaml-url","yaml_url":"https://example.com/app.yml","name":"A","description":"","icon_type":"emoji","icon":"x","icon_background":"#fff"}`), http.StatusNotImplemented, unsupported)
		for _, query := range []string{"include_secret=1", "include_secret=", "include_secret=true&include_secret=true", "workflow_id=x"} {
			want(t, w.as(t, "owner", http.MethodGet, tsApp(one)+"/export?"+query, ""), http.StatusUnprocessableEntity, "invalid_param")
		}
	})
	t.Run("M-21 M-22 another type, and a body above 10 MiB", func(t *testing.T) {
		send := func(media, body string) apitest.Answer {
			return w.Call(t, http.MethodPost, imports(w.id), body, "Authorization", "Bearer "+w.bearers["owner"], "Content-Type", media)
		}
		want(t, send("application/yaml", content), http.StatusUnsupportedMediaType, "unsupported_media_type")
		start, end := `{"mode":"yaml-content","yaml_content":"`, `"}`
		large := start + strings.Repeat("a", 10<<20-len(start)-len(end)) + end
		want(t, send("application/json", large), http.StatusNotImplemented, unsupported)
		c := htDial(t, w.URL)
		c.send("POST " + imports(w.id) + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + w.bearers["owner"] + "\r\nContent-Type: application/json\r\nContent-Length: 10485761\r\n\r\n" + large[:8<<10])
		want(t, c.read("POST"), http.StatusRequestEntityTooLarge, "request_entity_too_large")
	})
	t.Run("people without an account make and read no descriptions", func(t *testing.T) {
		w := tsStart(t, apitest.Enterprise(t))
		public := w.app(t, apps.Workflow, func(a *apps.App) { a.Access = apps.Public })
		guest := exGuest(t, w.Server, "ann", "ann@corp.example", "corp")
		for path, method := range map[string]string{tsApp(public) + "/export": http.MethodGet, tsApp(public) + "/check-dependencies": http.MethodGet, imports(w.id): http.MethodPost} {
			wantAnswer(t, w.Bearer(t, guest, method, path), http.StatusForbidden, "wrong_surface")
		}
	})
}
