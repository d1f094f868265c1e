// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
)

func TestAppsForPeopleWithoutAnAccount(t *testing.T) {
	w := apStart(t, apitest.Enterprise(t))
	guest := exGuest(t, w.Server, "ann", "ann@corp.example", "corp")
	t.Run("M-10 no app", func(t *testing.T) {
		a := w.Bearer(t, guest, http.MethodGet, apPermitted)
		if want := `{"page":1,"limit":20,"total":0,"has_more":false,"data":[]}`; a.Status != http.StatusOK || a.Body != want {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	at := w.Clock.Now().UTC().Truncate(time.Second)
	n := 0
	add := func(name string, change ...func(*apps.App)) apps.App {
		n++
		return w.app(t, name, append([]func(*apps.App){func(a *apps.App) {
			a.UpdatedAt, a.Access, a.Tags, a.CreatedBy = at.Add(time.Duration(n)*time.Second), apps.Public, []string{"inner"}, w.ids["owner"]
		}}, change...)...)
	}
	closed := w.workspace(t, "Closed", w.ids["stranger"])
	sqlExec(t, w.Server, `UPDATE workspaces SET status = 'archive' WHERE id = $1`, closed)
	first := add("Public one")
	add("Verified", func(a *apps.App) { a.Access, a.Mode = apps.SSOVerified, apps.Workflow })
	add("Foreign", func(a *apps.App) { a.WorkspaceID, a.Mode = w.foreign, apps.RAGPipeline })
	for _, hide := range []func(*apps.App){
		func(a *apps.App) { a.APIEnabled = false }, func(a *apps.App) { a.Status = apps.StatusArchived }, func(a *apps.App) { a.Access = apps.Internal },
		func(a *apps.App) { a.Access = apps.InternalAll }, func(a *apps.App) { a.Access = "anybody" }, func(a *apps.App) { a.WorkspaceID = closed },
	} {
		add("Public hidden", hide)
	}
	all := []string{"Foreign", "Verified", "Public one"}

	t.Run("API-28 apps of every workspace and no other, and their number", func(t *testing.T) {
		for query, want := range map[string][]string{
			"": all, "mode=workflow": {"Verified"}, "mode=rag-pipeline": {"Foreign"}, "mode=chat": {"Public one"}, "mode=agent": {}, "name=PUBLIC": {"Public one"}, "name=" + first.ID: {"Public one"},
			"name=hidden": {}, "limit=2": {"Foreign", "Verified"}, "limit=2&page=2": {"Public one"}, "limit=2&page=3": {}, "name=%25": {}, "mode=workflow&name=public": {},
		} {
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			names, page := w.list(t, guest, apPermitted, values)
			total := float64(len(want))
			if values.Has("limit") {
				total = 3
			}
			if !slices.Equal(names, want) || page["total"] != total {
				t.Errorf("%s: %q of %v instead of %q", query, names, page["total"], want)
			}
		}
	})
	t.Run("API-28 a row tells nothing of the inside", func(t *testing.T) {
		a := w.Bearer(t, guest, http.MethodGet, apPermitted+"?name="+first.ID)
		want := fmt.Sprintf(`{"page":1,"limit":20,"total":1,"has_more":false,"data":[{"id":%q,"name":"Public one","description":"","mode":"chat","tags":[],"updated_at":%q,`+
			`"created_by_name":null,"workspace_id":%q,"workspace_name":%q}]}`, first.ID, stampOf(first.UpdatedAt), w.id, apitest.Workspace)
		if a.Body != want || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "" {
			t.Errorf("%s\n%s", a.Body, want)
		}
	})
	t.Run("API-28 API-1 API-2 what is unknown or out of bounds is refused", func(t *testing.T) {
		for _, query := range []string{"tag=x", "workspace_id=" + w.id, "x=1", "page=0", "limit=201", "mode=x", "mode=", "name=" + strings.Repeat("x", 201), "name=%00", "page=1&page=2"} {
			if a := w.Bearer(t, guest, http.MethodGet, apPermitted+"?"+query); a.Status != http.StatusUnprocessableEntity || reasonOf(a) != "invalid_param" {
				t.Errorf("%s: %d %s", query, a.Status, a.Body)
			}
		}
	})
	t.Run("API-28 API-13 one of them, as it is described elsewhere", func(t *testing.T) {
		for _, query := range []string{"", "fields=info", "fields=input_schema,parameters", "workspace_id=" + w.id} {
			a, b := w.Bearer(t, guest, http.MethodGet, apPermitted+"/"+first.ID+"?"+query), w.Bearer(t, guest, http.MethodGet, apDescribe(first.ID, query))
			if a.Status != http.StatusOK || a.Body != b.Body {
				t.Errorf("%s: %d %s\n%d %s", query, a.Status, a.Body, b.Status, b.Body)
			}
		}
		wantAnswer(t, w.Bearer(t, guest, http.MethodGet, apPermitted+"/"+first.ID+"?workspace_id="+w.foreign), http.StatusUnprocessableEntity, "workspace_mismatch")
	})
	t.Run("API-28 PL-3 an app that is let in or shut is so at the next request", func(t *testing.T) {
		for _, mode := range []apps.Access{apps.Internal, apps.SSOVerified, apps.InternalAll, apps.Public} {
			sqlExec(t, w.Server, `UPDATE apps SET access_mode = $1 WHERE id = $2`, string(mode), first.ID)
			want := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[mode.External()]
			wantAnswer(t, w.Bearer(t, guest, http.MethodGet, apPermitted+"/"+first.ID), want, "")
			if names, _ := w.list(t, guest, apPermitted, nil); slices.Contains(names, "Public one") != mode.External() {
				t.Errorf("%s: %q", mode, names)
			}
		}
	})
	t.Run("PL-8 TOK-10 each kind of person is sent to where they are served, and that is on record", func(t *testing.T) {
		before := sqlInt(t, w.Server, `SELECT count(*) FROM audit_events WHERE event = 'openapi.wrong_surface_denied'`)
		for _, tc := range []struct{ bearer, path, hint string }{
			{guest, apPath, apPermitted}, {guest, apPath + "?workspace_id=" + w.id, apPermitted}, {guest, "/openapi/v1/workspaces", apPermitted},
			{w.bearers["owner"], apPermitted, apPath}, {w.bearers["owner"], apPermitted + "?page=0", apPath}, {w.bearers["owner"], apPermitted + "/" + first.ID, apPath},
			{w.bearers["stranger"], apPermitted + "/x", apPath},
		} {
			a := w.Bearer(t, tc.bearer, http.MethodGet, tc.path)
			wantAnswer(t, a, http.StatusForbidden, "wrong_surface")
			if hint := a.Text(t, "hint"); !strings.Contains(hint, " "+tc.hint+".") {
				t.Errorf("%s: %q", tc.path, hint)
			}
			head := w.Call(t, http.MethodHead, tc.path, "", "Authorization", "Bearer "+tc.bearer, "X-HTTP-Method-Override", "GET")
			if head.Status != http.StatusForbidden {
				t.Errorf("HEAD %s: %d", tc.path, head.Status)
			}
		}
		awaitEvents(t, w.Server, "openapi.wrong_surface_denied", before+14)
	})
}

func TestAppsForThemInTheCommunityEdition(t *testing.T) {
	f := &dvFaults{}
	s := apitest.Start(t, apitest.Wrap(f.wrap))
	guest := exGuest(t, s, "ann", "ann@corp.example", "corp")
	t.Run("M-17 their routes do not exist, and nothing is counted or asked", func(t *testing.T) {
		for _, path := range []string{apPermitted, apPermitted + "/x", apPermitted + "/x/run"} {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				for _, bearer := range []string{"", "Bearer garbage", "Bearer " + guest} {
					var a apitest.Answer
					if steps := f.steps(func() { a = s.Call(t, method, path, "", "Authorization", bearer) }); len(steps) > 0 {
						t.Errorf("%s %s asks a store: %v", method, path, steps)
					}
					if a.Status != http.StatusNotFound || method != "HEAD" && a.Body != `{"code":"not_found","message":"Nothing is here.","status":404}` || a.Header.Get("RateLimit-Limit") != "" {
						t.Errorf("%s %s: %d %s", method, path, a.Status, a.Body)
					}
				}
			}
		}
	})
}

// What SSO_DEVICE_ENABLED switches off is how people come in. Those who are in find what
// they may use on every route or on none: here on every one, until their tokens end.
func TestAppsForThemWhileNobodyNewComesIn(t *testing.T) {
	w := apStart(t, apitest.Enterprise(t), apitest.Set("SSO_DEVICE_ENABLED", "false"))
	guest := exGuest(t, w.Server, "ann", "ann@corp.example", "corp")
	app := w.app(t, "Public", func(a *apps.App) { a.Access = apps.Public })
	for _, path := range []string{apPermitted, apPermitted + "/" + app.ID + "?fields=info", apPath + "/" + app.ID + "/describe?fields=info"} {
		t.Run("SSO-05 "+strings.ReplaceAll(path, app.ID, "{id}"), func(t *testing.T) {
			if a := w.Bearer(t, guest, http.MethodGet, path); a.Status != http.StatusOK || !strings.Contains(a.Body, app.ID) {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	for _, path := range []string{apPermitted + "/" + app.ID + "/run", apPath + "/" + app.ID + "/run"} {
		t.Run("SSO-05 "+strings.ReplaceAll(path, app.ID, "{id}"), func(t *testing.T) {
			a := w.Call(t, http.MethodPost, path, `{}`, "Authorization", "Bearer "+guest, "Content-Type", "application/json")
			wantAnswer(t, a, http.StatusUnprocessableEntity, "invalid_param")
		})
	}
}

// stampOf writes a time as answers do.
func stampOf(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05Z") }
