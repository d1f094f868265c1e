// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
)

const (
	pgApps   = "/workspace/apps"
	pgNewApp = pgApps + "/new"
	// pgAppKey is an app's key at its runtime, which no page may show.
	pgAppKey = "app-Xq7fKp2LmN8rTvYw3ZbC5dHj"
)

// pgAppFields are those of a new app as the page sends them; more come as name, value.
func pgAppFields(name string, more ...string) url.Values {
	fields := url.Values{"name": {name}, "mode": {"chat"}, "runtime": {"echo"}, "access": {"internal_all"}, "api": {"yes"}, "max_active_requests": {"0"}}
	for i := 0; i+1 < len(more); i += 2 {
		fields.Set(more[i], more[i+1])
	}
	return fields
}

// pgAppID finds an app by its name.
func pgAppID(t *testing.T, s *apitest.Server, name string) string {
	t.Helper()
	return sqlText(t, s, `SELECT id FROM apps WHERE name = $1`, name)
}

// apps is the registry as its keepers see it, and others.
func (p *pgCollect) apps() {
	s := apitest.Start(p.t, unlimited())
	b := p.signedIn(s)
	id, owner := sqlText(p.t, s, `SELECT id FROM workspaces`), ownerID(p.t, s)
	p.keep(s, "apps-empty", http.StatusOK, b.Get(pgApps))
	p.keep(s, "app-new", http.StatusOK, b.Get(pgNewApp))
	p.keep(s, "app-new-problems", http.StatusBadRequest, b.Submit(pgNewApp, pgAppFields("", "description", "Answers what the engines can do.\nAsk in either language.", "tags", strings.Repeat("tag,", 2)+strings.Repeat("x", 101),
		"runtime", "dify", "runtime_url", "ftp://dify.example.com", "runtime_key", pgAppKey, "max_active_requests", "many", "mode", "workflow")))
	b.Get(pgNewApp)
	p.keep(s, "apps-created", http.StatusOK, b.Submit(pgNewApp, pgAppFields("Difference engine", "runtime", "dify", "runtime_url", "https://dify.example.com/v1", "runtime_key", pgAppKey,
		"description", "Answers what the engines can do.", "tags", "numbers, tables", "author", "Charles", "human_input", "yes")))
	engine := pgAppID(p.t, s, "Difference engine")
	for _, a := range []apps.App{
		{Name: "Store room", Mode: apps.Workflow, Access: apps.Internal, APIEnabled: true},
		{Name: pgPosing[:200], Mode: apps.AdvancedChat, Runtime: apps.RuntimeDify, RuntimeURL: "https://a-rather-long-name-of-a-runtime.department-of-engines.example.com:8443/dify"},
		{Name: "Former letters", Mode: apps.Completion, Access: apps.Public, Status: apps.StatusArchived, APIEnabled: true},
		{Name: "Not yet reached", Mode: apps.RAGPipeline, Runtime: apps.RuntimeDify, APIEnabled: true},
	} {
		s.Clock.Advance(time.Second)
		a.WorkspaceID, a.CreatedBy = id, owner
		s.NewApp(p.t, a)
	}
	p.keep(s, "apps", http.StatusOK, b.Get(pgApps))
	p.keep(s, "app", http.StatusOK, b.Get(pgApps+"/"+engine))
	p.keep(s, "app-problems", http.StatusBadRequest, b.Submit(pgApps+"/"+engine, pgAppFields("Difference engine", "runtime", "dify", "runtime_url", "", "runtime_key", "two words")))
	p.keep(s, "app-access-alone", http.StatusOK, b.Get(pgApps+"/"+engine+"/access"))
	w := &wsWorld{Server: s, id: id}
	for _, m := range []struct{ email, role string }{{"grace@example.com", "admin"}, {"edsger@example.com", "editor"}, {"a.rather.long.address.of.somebody@department.example.com", "normal"}} {
		s.Clock.Advance(time.Second)
		w.join(p.t, id, addAccount(p.t, s, m.email), m.role)
	}
	pgInvite(p.t, s, b, "barbara@example.com", "normal")
	room := pgAppID(p.t, s, "Store room")
	p.keep(s, "app-access", http.StatusOK, b.Get(pgApps+"/"+room+"/access"))
	p.keep(s, "app-access-problem", http.StatusBadRequest, b.Submit(pgApps+"/"+room+"/access", url.Values{"access": {"public"}, "allow_" + sqlText(p.t, s, `SELECT id FROM accounts WHERE email = $1`, "edsger@example.com"): {"yes"}}))
	p.keep(s, "app-remove", http.StatusOK, b.Get(pgApps+"/"+room+"/remove"))
	p.keep(s, "app-remove-posing", http.StatusOK, b.Get(pgApps+"/"+pgAppID(p.t, s, pgPosing[:200])+"/remove"))
	b.Get(pgApps + "/" + room + "/remove")
	p.keep(s, "apps-removed", http.StatusOK, b.Submit(pgApps+"/"+room+"/remove", nil))
	become := func(role string) {
		sqlExec(p.t, s, `UPDATE memberships SET role = $1 WHERE workspace_id = $2 AND account_id = $3`, role, id, owner)
	}
	become("editor")
	p.keep(s, "app-new-editor", http.StatusOK, b.Get(pgNewApp))
	p.keep(s, "app-editor", http.StatusOK, b.Get(pgApps+"/"+engine))
	become("normal")
	p.keep(s, "apps-normal", http.StatusForbidden, b.Get(pgApps))
	p.keep(s, "app-normal", http.StatusForbidden, b.Get(pgApps+"/"+engine))
	sqlExec(p.t, s, `DELETE FROM memberships WHERE account_id = $1`, owner)
	p.keep(s, "apps-nowhere", http.StatusOK, b.Get(pgApps))
}
