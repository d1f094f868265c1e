// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// What is taken away while a run goes on ends no stream, and lets no new call pass, those
// about this run among them (docs/specs/v1.0/server/apps.md, Streams).
func TestRunsWhoseAppIsTakenAway(t *testing.T) {
	w := rnStart(t, rnOften)
	for name, tc := range map[string]struct {
		take   func(t *testing.T, app string)
		status int
		code   string
	}{
		"its API is switched off": {func(t *testing.T, app string) { w.change(t, app, `api_enabled = $2`, false) }, http.StatusForbidden, "service_api_disabled"},
		"it is archived":          {func(t *testing.T, app string) { w.change(t, app, `status = $2`, "archived") }, http.StatusNotFound, "app_not_found"},
		"it is for others now":    {func(t *testing.T, app string) { w.change(t, app, `access_mode = $2`, "internal") }, http.StatusForbidden, "app_access_denied"},
		"it is removed": {func(t *testing.T, app string) {
			sqlExec(t, w.Server, `DELETE FROM apps WHERE id = $1`, app)
		}, http.StatusNotFound, "app_not_found"},
		"its workspace is archived": {func(t *testing.T, _ string) {
			sqlExec(t, w.Server, `UPDATE workspaces SET status = 'archive' WHERE id = $1`, w.id)
			t.Cleanup(func() { sqlExec(t, w.Server, `UPDATE workspaces SET status = 'normal' WHERE id = $1`, w.id) })
		}, http.StatusNotFound, "app_not_found"},
	} {
		t.Run("TOK-12 PL-7 "+name, func(t *testing.T) {
			app := w.NewApp(t, apps.App{WorkspaceID: w.id, Mode: apps.Workflow, APIEnabled: true, MaxActive: 1}).ID
			path := "/openapi/v1/apps/" + app
			task, flow := canon.NewID(), canon.NewID()
			n, freed := w.rt.asked(), w.faults.Calls("Slots.Free")
			s := w.open(t, "normal", path+"/run", `{"inputs":{}}`)
			one := w.rt.run(t, n+1)
			one.say(`{"event":"workflow_started","task_id":"` + task + `","workflow_run_id":"` + flow + `"}`)
			s.next()
			tc.take(t, app)
			for _, call := range [][3]string{
				{http.MethodPost, "/run", `{"inputs":{}}`}, {http.MethodPost, "/tasks/" + task + "/stop", ""}, {http.MethodGet, "/tasks/" + flow + "/events", ""},
			} {
				wantAnswer(t, w.as(t, "normal", call[0], path+call[1], call[2]), tc.status, tc.code)
			}
			if len(w.rt.stopped()) != 0 || w.rt.asked() != n+1 {
				t.Error("the runtime was asked")
			}
			looks := w.faults.Calls("Cache.Get")
			eventually(t, func() (bool, string) { return w.faults.Calls("Cache.Get") > looks+3, "nobody looks at the token" })
			one.say(`{"event":"workflow_finished","task_id":"` + task + `","workflow_run_id":"` + flow + `","data":{"status":"succeeded"}}`)
			one.end(nil)
			if frames := s.rest(); len(frames) != 1 {
				t.Errorf("%q", frames)
			}
			// It is on record to its end, though its app may be no more.
			r, err := w.App.Stores.Runs.ByTask(t.Context(), app, token.AccountKey(w.ids["normal"]), task)
			if err != nil || r.Status != run.Finished || r.FinishedAt == nil {
				t.Errorf("%+v %v", r, err)
			}
			if w.faults.Calls("Slots.Free") != freed+1 {
				t.Error("its slot is not given back")
			}
		})
	}
}

func (w *rnWorld) change(t testing.TB, app, set string, to any) {
	t.Helper()
	sqlExec(t, w.Server, `UPDATE apps SET `+set+` WHERE id = $1`, app, to)
}
