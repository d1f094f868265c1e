// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// crIDs are what a route's parameters may name of one workspace.
type crIDs struct {
	workspace, member string
	apps              map[apps.Mode]string
}

// crTwin fills a workspace with what every other one has, under the same names.
func crTwin(t testing.TB, w *wsWorld, workspace, member string) crIDs {
	t.Helper()
	ids := crIDs{workspace: workspace, member: member, apps: map[apps.Mode]string{}}
	for _, mode := range apps.Modes {
		ids.apps[mode] = w.NewApp(t, apps.App{WorkspaceID: workspace, Name: "Twin", Mode: mode, APIEnabled: true, Tags: []string{"twin"}}).ID
	}
	ids.apps[""] = ids.apps[apps.Chat]
	return ids
}

// nobodys are ids of nothing.
func nobodys() crIDs {
	ids := crIDs{workspace: canon.NewID(), member: canon.NewID(), apps: map[apps.Mode]string{}}
	for _, mode := range append(apps.Modes, "") {
		ids.apps[mode] = canon.NewID()
	}
	return ids
}

// ask sends a route's request, as the matrix does, with ids of a workspace in its path and
// query, and gives all of the answer that must not tell one id from another.
func (ids crIDs) ask(t testing.TB, s *apitest.Server, bearer, method string, route httpapi.Route, line htRequest) (int, string) {
	t.Helper()
	fill := strings.NewReplacer(":workspace", ids.workspace, ":member", ids.member, ":app", ids.apps[line.mode])
	path := crParameters(fill.Replace(route.Path)) + "?" + fill.Replace(line.query)
	headers := []string{"Authorization", "Bearer " + bearer, "X-HTTP-Method-Override", "GET", "X-Dify-Workspace-Id", ids.workspace}
	if line.json != "" {
		headers = append(headers, "Content-Type", "application/json")
	}
	a := s.Call(t, method, path, line.json, headers...)
	a.Header.Del("X-Request-Id")
	a.Header.Del("Date")
	return a.Status, fmt.Sprint(a.Header, a.Body)
}

// crParameters fills what is left of a path, alike for all.
func crParameters(path string) string {
	return htParameter.ReplaceAllString(path, "01980000-0000-7000-8000-000000000000")
}

// Two workspaces that are alike in all but their ids: whoever belongs to one learns of the
// other what they learn of nothing, whatever they send its ids to.
func TestIDsOfAnotherWorkspace(t *testing.T) {
	w := wsStart(t, apitest.Wrap(func(st *app.Stores) {
		st.Runtimes = map[apps.Runtime]run.Runtime{apps.RuntimeDify: mxRuntime{}, apps.RuntimeEcho: mxRuntime{}}
	}))
	twin := addAccount(t, w.Server, "twin@example.com")
	w.join(t, w.foreign, twin, "normal")
	own, foreign := crTwin(t, w, w.id, w.ids["normal"]), crTwin(t, w, w.foreign, twin)
	rows := func() string {
		return sqlText(t, w.Server, `SELECT (SELECT count(*) FROM apps WHERE workspace_id = $1) || '/' || (SELECT count(*) FROM memberships WHERE workspace_id = $1) || '/' ||
			(SELECT count(*) FROM app_runs WHERE workspace_id = $1) || '/' || (SELECT count(*) FROM memberships WHERE workspace_id = $1 AND role = 'normal') || '/' ||
			(SELECT count(*) FROM invitations WHERE workspace_id = $1)`, w.foreign)
	}
	before, tried := rows(), 0
	for _, route := range httpapi.Routes() {
		line := htTable[route.Method+" "+route.Path]
		if route.Caller != "bearer" || !route.App && !strings.Contains(route.Path+line.query, ":workspace") {
			continue
		}
		tried++
		methods := []string{route.Method}
		if route.Method == http.MethodGet && !route.Streams {
			methods = append(methods, http.MethodHead)
		}
		for _, method := range methods {
			t.Run("TOK-11 TOK-10 PL-4 "+method+" "+route.Path, func(t *testing.T) {
				for _, who := range []string{"owner", "admin", "editor", "normal"} {
					status, got := foreign.ask(t, w.Server, w.bearers[who], method, route, line)
					wantStatus, want := nobodys().ask(t, w.Server, w.bearers[who], method, route, line)
					if status != http.StatusNotFound || status != wantStatus || got != want {
						t.Errorf("%s: %d %s\nand of nothing %d %s", who, status, got, wantStatus, want)
					}
				}
				// The other way round, too; and the ids are good ones, which their own people see.
				if status, got := own.ask(t, w.Server, w.bearers["stranger"], method, route, line); status != http.StatusNotFound {
					t.Errorf("the stranger: %d %s", status, got)
				}
				if route.Method == http.MethodGet {
					if status, got := foreign.ask(t, w.Server, w.bearers["stranger"], method, route, line); status != line.roles[0] {
						t.Errorf("their own: %d %s instead of %d", status, got, line.roles[0])
					}
				}
			})
		}
	}
	if tried < 9 {
		t.Errorf("%d routes", tried)
	}
	if after := rows(); after != before {
		t.Errorf("the other workspace had %s and has %s", before, after)
	}
	t.Run("TOK-11 nested: an id of one workspace below the other's", func(t *testing.T) {
		for _, r := range [][3]string{{"DELETE", wsPath + "/" + w.id + "/members/" + twin, ""}, {"PATCH", wsPath + "/" + w.id + "/members/" + twin, `{"role":"admin"}`}} {
			wantAnswer(t, w.as(t, "owner", r[0], r[1], r[2]), http.StatusNotFound, "member_not_found")
		}
		for _, mode := range apps.Modes {
			a := w.Bearer(t, w.bearers["owner"], http.MethodGet, apDescribe(own.apps[mode], "workspace_id="+w.foreign))
			wantAnswer(t, a, http.StatusUnprocessableEntity, "workspace_mismatch")
			// The workspace that is said is judged after the app: it opens nothing.
			wantAnswer(t, w.Bearer(t, w.bearers["owner"], http.MethodGet, apDescribe(foreign.apps[mode], "workspace_id="+w.id)), http.StatusNotFound, "app_not_found")
			wantAnswer(t, w.Bearer(t, w.bearers["owner"], http.MethodGet, apDescribe(foreign.apps[mode], "workspace_id="+w.foreign)), http.StatusNotFound, "app_not_found")
		}
	})
	t.Run("TOK-11 lists hold their own workspace's rows alone, by name, tag and id", func(t *testing.T) {
		for _, query := range []url.Values{{}, {"name": {"twin"}}, {"tag": {"twin"}}, {"name": {foreign.apps[apps.Chat]}}, {"name": {own.apps[apps.Chat]}}} {
			for who, of := range map[string]crIDs{"normal": own, "stranger": foreign} {
				query.Set("workspace_id", of.workspace)
				a := w.Bearer(t, w.bearers[who], http.MethodGet, apPath+"?"+query.Encode())
				wantAnswer(t, a, http.StatusOK, "")
				for _, row := range a.JSON(t)["data"].([]any) {
					m := row.(map[string]any)
					if m["workspace_id"] != of.workspace || of.apps[apps.Mode(m["mode"].(string))] != m["id"] {
						t.Errorf("%s sees %v", who, m)
					}
				}
			}
		}
	})
}

func TestManyMembersOfManyWorkspacesAtOnce(t *testing.T) {
	w := wsStart(t, apitest.Wrap(func(st *app.Stores) {
		st.Runtimes = map[apps.Runtime]run.Runtime{apps.RuntimeDify: mxRuntime{}, apps.RuntimeEcho: mxRuntime{}}
	}))
	type person struct{ bearer, workspace, app, name string }
	people := make([]person, 5)
	for i := range people {
		email, name := fmt.Sprintf("person%d@example.com", i), fmt.Sprintf("app-of-%d", i)
		id := w.workspace(t, "w", addAccount(t, w.Server, email))
		people[i] = person{w.login(t, email), id, w.NewApp(t, apps.App{WorkspaceID: id, Name: name, APIEnabled: true}).ID, name}
	}
	t.Run("PL-6 nobody is answered with another's app", func(t *testing.T) {
		const workers, each = 8, 150
		var wg sync.WaitGroup
		for worker := range workers {
			wg.Go(func() {
				for i := range each {
					p, other := people[(worker+i)%len(people)], people[(worker+i+1)%len(people)]
					var a apitest.Answer
					status, own := http.StatusOK, true
					switch (worker + i) % 4 {
					case 0:
						a = w.Bearer(t, p.bearer, http.MethodGet, apDescribe(p.app, ""))
					case 1:
						a = w.Bearer(t, p.bearer, http.MethodGet, apPath+"?workspace_id="+p.workspace)
					case 2:
						a, status, own = w.Bearer(t, p.bearer, http.MethodGet, apDescribe(other.app, "")), http.StatusNotFound, false
					default:
						a, status, own = w.Call(t, http.MethodGet, apDescribe(p.app, ""), ""), http.StatusUnauthorized, false
					}
					if a.Status != status || strings.Contains(a.Body, `"`+p.name+`"`) != own || strings.Count(a.Body, "app-of-") != map[bool]int{true: 1}[own] {
						t.Errorf("%s: %d %s", p.name, a.Status, a.Body)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}
