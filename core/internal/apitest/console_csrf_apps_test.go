// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
)

// tkAppWrites tries the writes on the registry of apps, by script and by form. The owner
// is signed in, and keeps the apps of the workspace that they are in.
func tkAppWrites(t *testing.T, s *apitest.Server, run func(*apitest.Server, tkWrite), signed func(tkWrite) tkWrite) {
	t.Helper()
	const path = "/console/api/apps"
	in := sqlText(t, s, `SELECT workspace_id FROM memberships WHERE account_id = $1 AND current`, ownerID(t, s))
	app := func() string { return s.NewApp(t, apps.App{WorkspaceID: in}).ID }
	counts := func(n int, query string, args ...any) func(*testing.T, apitest.Answer) bool {
		return func(t *testing.T, _ apitest.Answer) bool { return sqlInt(t, s, query, args...) == n }
	}
	called := func(name string) func(*testing.T, apitest.Answer) bool {
		return counts(1, `SELECT count(*) FROM apps WHERE name = $1`, name)
	}
	gone := func(id string) func(*testing.T, apitest.Answer) bool {
		return counts(0, `SELECT count(*) FROM apps WHERE id = $1`, id)
	}
	one, kept, dropped := app(), app(), app()
	run(s, signed(tkWrite{path: path, class: "cookieWrite", json: `{"name":"by script","mode":"chat","runtime":"echo"}`, done: called("by script")}))
	run(s, signed(tkWrite{method: http.MethodPatch, path: path + "/" + one, pattern: path + "/:id", class: "cookieWrite", json: `{"name":"renamed by script"}`, done: called("renamed by script")}))
	run(s, signed(tkWrite{method: http.MethodPut, path: path + "/" + one + "/key", pattern: path + "/:id/key", class: "cookieWrite", json: `{"key":"` + pgAppKey + `"}`,
		done: counts(1, `SELECT count(*) FROM apps WHERE id = $1 AND runtime_key_sealed IS NOT NULL`, one)}))
	listed := addAccount(t, s, "listed@example.com")
	(&wsWorld{Server: s}).join(t, in, listed, "normal")
	run(s, signed(tkWrite{method: http.MethodPut, path: path + "/" + one + "/access", pattern: path + "/:id/access", class: "cookieWrite", json: `{"allowed":["` + listed + `"]}`,
		done: counts(1, `SELECT count(*) FROM app_access WHERE app_id = $1`, one)}))
	run(s, signed(tkWrite{method: http.MethodDelete, path: path + "/" + one, pattern: path + "/:id", class: "cookieWrite", done: gone(one)}))

	fields := func(name string) url.Values {
		f := pgAppFields(name)
		f.Set("workspace", in)
		return f
	}
	run(s, signed(tkWrite{path: pgNewApp, class: "pageSignedWrite", fields: fields("by form"), done: called("by form")}))
	run(s, signed(tkWrite{path: pgApps + "/" + kept, pattern: pgApps + "/:id", class: "pageSignedWrite", fields: pgAppFields("renamed by form"), done: called("renamed by form")}))
	run(s, signed(tkWrite{path: pgApps + "/" + kept + "/access", pattern: pgApps + "/:id/access", class: "pageSignedWrite", fields: url.Values{"access": {"internal"}},
		done: counts(1, `SELECT count(*) FROM apps WHERE id = $1 AND access_mode = 'internal'`, kept)}))
	run(s, signed(tkWrite{path: pgApps + "/" + dropped + "/remove", pattern: pgApps + "/:id/remove", class: "pageSignedWrite", fields: url.Values{}, done: gone(dropped)}))
}
