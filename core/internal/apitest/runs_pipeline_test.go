// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// rnOnce is a run in one piece, which a test may repeat at once.
const rnOnce = `{"inputs":{},"query":"hello","response_mode":"blocking"}`

// What holds of every bearer route holds of a run.
func TestRunsInThePipeline(t *testing.T) {
	w := rnStart(t, apitest.Set("OPENAPI_CORS_ALLOW_ORIGINS", mtListed))
	w.rt.block = func(context.Context, run.Request) (json.RawMessage, error) {
		return json.RawMessage(`{"answer":"hi"}`), nil
	}
	post := func(t *testing.T, who string, a apps.App) apitest.Answer {
		t.Helper()
		n := w.rt.asked()
		got := w.as(t, who, http.MethodPost, "/openapi/v1/apps/"+a.ID+"/run", rnOnce)
		if asked := w.rt.asked() - n; (got.Status == http.StatusOK) != (asked == 1) {
			t.Errorf("%d, and the runtime was asked %d times", got.Status, asked)
		}
		return got
	}
	t.Run("PL-7 what was taken away is gone at the next run", func(t *testing.T) {
		a := w.NewApp(t, apps.App{WorkspaceID: w.id, Mode: apps.Chat, APIEnabled: true})
		elsewhere := w.workspace(t, "Elsewhere", w.ids["owner"])
		for name, c := range map[string]struct {
			take, give string
			id         string
			code       string
		}{
			"the membership": {`UPDATE memberships SET workspace_id = '` + elsewhere + `' WHERE account_id = $1 AND workspace_id = '` + w.id + `'`, `UPDATE memberships SET workspace_id = '` + w.id + `' WHERE account_id = $1`, w.ids["normal"], "app_not_found"},
			"the workspace":  {`UPDATE workspaces SET status = 'archive' WHERE id = $1`, `UPDATE workspaces SET status = 'normal' WHERE id = $1`, w.id, "app_not_found"},
			"the app":        {`UPDATE apps SET status = 'archived' WHERE id = $1`, `UPDATE apps SET status = 'normal' WHERE id = $1`, a.ID, "app_not_found"},
			"its API":        {`UPDATE apps SET api_enabled = false WHERE id = $1`, `UPDATE apps SET api_enabled = true WHERE id = $1`, a.ID, "service_api_disabled"},
			"its access":     {`UPDATE apps SET access_mode = 'internal' WHERE id = $1`, `UPDATE apps SET access_mode = 'internal_all' WHERE id = $1`, a.ID, "app_access_denied"},
		} {
			wantAnswer(t, post(t, "normal", a), http.StatusOK, "")
			sqlExec(t, w.Server, c.take, c.id)
			if got := post(t, "normal", a); reasonOf(got) != c.code {
				t.Errorf("%s: %d %s", name, got.Status, got.Body)
			}
			sqlExec(t, w.Server, c.give, c.id)
		}
		wantAnswer(t, post(t, "normal", a), http.StatusOK, "")
	})
	t.Run("PL-10 a place on a list, given and taken, holds at the next run", func(t *testing.T) {
		a := w.NewApp(t, apps.App{WorkspaceID: w.id, Mode: apps.Chat, APIEnabled: true, Access: apps.Internal})
		for range 3 {
			wantAnswer(t, post(t, "normal", a), http.StatusForbidden, "app_access_denied")
			sqlExec(t, w.Server, `INSERT INTO app_access (app_id, account_id, granted_by, created_at) SELECT $1, $2, $2, created_at FROM apps WHERE id = $1`, a.ID, w.ids["normal"])
			wantAnswer(t, post(t, "normal", a), http.StatusOK, "")
			sqlExec(t, w.Server, `DELETE FROM app_access WHERE app_id = $1`, a.ID)
		}
		wantAnswer(t, post(t, "owner", a), http.StatusOK, "") // who needs no place
	})
	t.Run("M-20 each kind of JSON that is none, and a member by another name", func(t *testing.T) {
		path := w.path(apps.Chat, "run")
		for name, body := range map[string]string{
			"a doubled member": `{"inputs":{},"inputs":{},"query":"x"}`, "a doubled member below": `{"inputs":{"a":1,"a":2},"query":"x"}`, "more behind it": `{"inputs":{},"query":"x"}{}`,
			"words behind it": `{"inputs":{},"query":"x"} x`, "33 deep": `{"query":"x","inputs":` + strings.Repeat(`{"a":`, 32) + `1` + strings.Repeat(`}`, 32) + `}`,
			"no UTF-8": "{\"inputs\":{},\"query\":\"\xff\"}", "half of a pair": `{"inputs":{},"query":"\ud800"}`, "nothing": ``, "a list": `[]`, "null": `null`,
		} {
			n := w.rt.asked()
			a := w.Call(t, http.MethodPost, path, body, "Authorization", "Bearer "+w.bearers["normal"], "Content-Type", "application/json")
			if a.Status != http.StatusBadRequest || reasonOf(a) != "invalid_json" || w.rt.asked() != n {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
		for _, body := range []string{`{"Inputs":{},"query":"x"}`, `{"INPUTS":{},"query":"x"}`, `{"inputſ":{},"query":"x"}`} {
			wantAnswer(t, w.as(t, "normal", http.MethodPost, path, body), http.StatusUnprocessableEntity, "invalid_param")
		}
		wantAnswer(t, w.as(t, "normal", http.MethodPost, path, `{"inputs":{},"Query":"x"}`), http.StatusUnprocessableEntity, "query_required_for_chat")
	})
	t.Run("M-21 another type, and an encoding", func(t *testing.T) {
		for _, h := range [][]string{
			{"Content-Type", "application/xml"}, {"Content-Type", "text/plain"}, {"Content-Type", "multipart/form-data; boundary=b"}, {"Content-Type", "application/jsonx"}, {"Content-Type", ""},
			{"Content-Type", "application/json", "Content-Encoding", "gzip"}, {"Content-Type", "application/json", "Content-Encoding", "br"},
		} {
			a := w.Call(t, http.MethodPost, w.path(apps.Chat, "run"), rnOnce, append([]string{"Authorization", "Bearer " + w.bearers["normal"]}, h...)...)
			if a.Status != http.StatusUnsupportedMediaType || reasonOf(a) != "unsupported_media_type" {
				t.Errorf("%v: %d %s", h, a.Status, a.Body)
			}
		}
	})
	t.Run("M-22 chunks without a length are counted", func(t *testing.T) {
		c := htDial(t, w.URL)
		c.send("POST " + w.path(apps.Chat, "run") + " HTTP/1.1\r\nHost: " + strings.TrimPrefix(w.URL, "http://") + "\r\nAuthorization: Bearer " + w.bearers["normal"] +
			"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range 5 {
			if !c.send("40000\r\n" + strings.Repeat(" ", 1<<18) + "\r\n") {
				break
			}
		}
		c.send("0\r\n\r\n")
		wantAnswer(t, c.read(http.MethodPost), http.StatusRequestEntityTooLarge, "request_entity_too_large")
	})
	t.Run("M-5 M-3 a listed origin reads a stream and its refusals, and no other does", func(t *testing.T) {
		for origin, want := range map[string]string{mtListed: mtListed, "https://evil.example": "", "null": ""} {
			for path, status := range map[string]int{w.path(apps.Chat, "run"): http.StatusOK, "/openapi/v1/apps/" + canon.NewID() + "/run": http.StatusNotFound} {
				a := w.Call(t, http.MethodPost, path, `{"inputs":{},"query":"hello","response_mode":"blocking"}`, "Authorization", "Bearer "+w.bearers["normal"], "Content-Type", "application/json", "Origin", origin)
				if a.Status != status || a.Header.Get("Access-Control-Allow-Origin") != want || a.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s: %d %v", origin, a.Status, a.Header)
				}
				wantFrameless(t, a)
			}
			a := w.Call(t, http.MethodOptions, w.path(apps.Chat, "run"), "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
			if a.Status != http.StatusOK || a.Header.Get("Access-Control-Allow-Origin") != want {
				t.Errorf("preflight of %s: %d %v", origin, a.Status, a.Header)
			}
		}
	})
	t.Run("W-17 a console cookie runs nothing", func(t *testing.T) {
		b := signedInAs(t, w.Server, apitest.OwnerEmail)
		n := w.rt.asked()
		a := b.Call(http.MethodPost, w.path(apps.Chat, "run"), rnOnce, "Content-Type", "application/json", "Origin", w.URL, "X-CSRF-Token", b.CSRF())
		wantAnswer(t, a, http.StatusUnauthorized, "unauthorized")
		if w.rt.asked() != n {
			t.Error("the runtime is asked")
		}
	})
}

func TestLimitsOfRuns(t *testing.T) {
	w := rnStart(t, unlimited("bearer.token=60/1h"))
	w.rt.block = func(context.Context, run.Request) (json.RawMessage, error) { return json.RawMessage(`{}`), nil }
	t.Run("LIM-2 of 100 at once exactly 60 run, and the others reach no runtime", func(t *testing.T) {
		var passed, refused atomic.Int32
		var all sync.WaitGroup
		begin := make(chan struct{})
		for range 100 {
			all.Go(func() {
				<-begin
				switch a := w.as(t, "normal", http.MethodPost, w.path(apps.Chat, "run"), rnOnce); {
				case a.Status == http.StatusOK:
					passed.Add(1)
				case a.Status == http.StatusTooManyRequests && reasonOf(a) == "too_many_requests" && a.Header.Get("Retry-After") != "":
					refused.Add(1)
				}
			})
		}
		close(begin)
		all.Wait()
		if passed.Load() != 60 || refused.Load() != 40 || w.rt.asked() != 60 {
			t.Errorf("%d pass, %d are refused, the runtime is asked %d times", passed.Load(), refused.Load(), w.rt.asked())
		}
	})
	t.Run("LIM-1 another token runs on", func(t *testing.T) {
		wantAnswer(t, w.as(t, "editor", http.MethodPost, w.path(apps.Chat, "run"), rnOnce), http.StatusOK, "")
	})
}

func TestRunsWhenStoresAreDown(t *testing.T) {
	stores, faults := htNewStores(), &storetest.Faults{}
	rt := &rnRuntime{block: func(context.Context, run.Request) (json.RawMessage, error) { return json.RawMessage(`{}`), nil }}
	s := apitest.Start(t, unlimited("bearer.token=3/1h"), apitest.Wrap(func(st *app.Stores) {
		stores.wrap(st)
		st.Apps, st.Runtimes = storetest.FaultyApps(st.Apps, faults), map[apps.Runtime]run.Runtime{apps.RuntimeEcho: rt}
	}))
	workspace := sqlText(t, s, `SELECT id FROM workspaces`)
	a := s.NewApp(t, apps.App{WorkspaceID: workspace, Mode: apps.Chat, APIEnabled: true})
	bearer := func() string { return rnBearer(t, s, ownerID(t, s), apitest.OwnerEmail) }
	ask := func(bearer, method, path, body string) apitest.Answer {
		return s.Call(t, method, "/openapi/v1/apps/"+a.ID+path, body, "Authorization", "Bearer "+bearer, "Content-Type", "application/json")
	}
	t.Run("LIM-7 runs are counted in this process", func(t *testing.T) {
		one := bearer()
		stores.set("counters", htFails)
		defer stores.set("counters", htWorks)
		for range 3 {
			wantAnswer(t, ask(one, http.MethodPost, "/run", rnOnce), http.StatusOK, "")
		}
		if got := ask(one, http.MethodPost, "/run", rnOnce); got.Status != http.StatusTooManyRequests || rt.asked() != 3 {
			t.Errorf("%d, asked %d times", got.Status, rt.asked())
		}
	})
	t.Run("PL-9 no route of an app takes a database that cannot say for an app that is not there", func(t *testing.T) {
		n := rt.asked()
		for path, body := range map[string]string{
			"/run": rnOnce, "/chat-messages": rnOnce, "/completion-messages": rnOnce, "/workflows/run": rnOnce, "/files/upload": "x", "/tasks/" + canon.NewID() + "/stop": "",
			"/form/human_input/x": `{"inputs":{},"action":""}`,
		} {
			faults.Plan(storetest.Fault{Method: "Place"})
			got := ask(bearer(), http.MethodPost, path, body)
			faults.Clear()
			if got.Status != http.StatusServiceUnavailable || reasonOf(got) != "service_unavailable" || got.Header.Get("Retry-After") != "2" {
				t.Errorf("%s: %d %v %s", path, got.Status, got.Header, got.Body)
			}
		}
		if rt.asked() != n {
			t.Error("the runtime is asked")
		}
	})
}
