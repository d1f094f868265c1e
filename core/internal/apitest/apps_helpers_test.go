// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
)

const (
	apPath      = "/openapi/v1/apps"
	apPermitted = "/openapi/v1/permitted-external-apps"
)

// apRuntime says of every app what it is told to, and keeps for whom it was asked.
type apRuntime struct {
	run.Runtime
	mu    sync.Mutex
	body  string
	err   error
	asked []run.Target
}

func (r *apRuntime) Parameters(_ context.Context, t run.Target) (json.RawMessage, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, t)
	return json.RawMessage(r.body), r.err
}

func (r *apRuntime) says(body string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.body, r.err = body, err
}

func (r *apRuntime) calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked)
}

// apWorld is a wsWorld whose apps run on a double.
type apWorld struct {
	*wsWorld
	runtime *apRuntime
}

func apStart(t testing.TB, options ...apitest.Option) *apWorld {
	t.Helper()
	r := &apRuntime{body: `{}`}
	w := wsStart(t, append([]apitest.Option{apitest.Wrap(func(st *app.Stores) {
		st.Runtimes = map[apps.Runtime]run.Runtime{apps.RuntimeDify: r, apps.RuntimeEcho: r}
	})}, options...)...)
	return &apWorld{wsWorld: w, runtime: r}
}

// app puts an app of the workspace into the registry: one that can be run, unless change
// says otherwise.
func (w *apWorld) app(t testing.TB, name string, change ...func(*apps.App)) apps.App {
	t.Helper()
	a := apps.App{Name: name, WorkspaceID: w.id, APIEnabled: true}
	for _, f := range change {
		f(&a)
	}
	return w.NewApp(t, a)
}

// allow puts somebody on an app's list of access.
func (w *apWorld) allow(t testing.TB, a apps.App, who string) {
	t.Helper()
	sqlExec(t, w.Server, `INSERT INTO app_access (app_id, account_id, granted_by, created_at) SELECT id, $2, $2, created_at FROM apps WHERE id = $1`, a.ID, w.ids[who])
}

// list asks for a page of apps and gives its names in order.
func (w *apWorld) list(t testing.TB, bearer, path string, query url.Values) (names []string, page map[string]any) {
	t.Helper()
	a := w.Bearer(t, bearer, http.MethodGet, path+"?"+query.Encode())
	wantAnswer(t, a, http.StatusOK, "")
	page = a.JSON(t)
	names = []string{}
	for _, row := range page["data"].([]any) {
		names = append(names, row.(map[string]any)["name"].(string))
	}
	return names, page
}
