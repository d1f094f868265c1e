// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

const (
	wsPath       = "/openapi/v1/workspaces"
	wsSwitchPath = "/console/api/workspaces/switch"
)

// wsWorld is a server whose workspace has a member of each role. Bearers and ids are
// by the first part of their e-mail: owner, admin, editor, normal, and stranger, who
// owns a workspace of their own.
type wsWorld struct {
	*apitest.Server
	id      string // of the workspace
	foreign string // of the stranger's
	ids     map[string]string
	bearers map[string]string
}

func wsEmail(name string) string {
	if name == "owner" {
		return apitest.OwnerEmail
	}
	return name + "@example.com"
}

func wsStart(t testing.TB, options ...apitest.Option) *wsWorld {
	t.Helper()
	w := &wsWorld{Server: apitest.Start(t, append([]apitest.Option{unlimited()}, options...)...), ids: map[string]string{}, bearers: map[string]string{}}
	w.id = sqlText(t, w.Server, `SELECT id FROM workspaces WHERE name = $1`, apitest.Workspace)
	w.ids["owner"] = ownerID(t, w.Server)
	for _, role := range []string{"admin", "editor", "normal"} {
		w.ids[role] = addAccount(t, w.Server, wsEmail(role))
		w.join(t, w.id, w.ids[role], role)
	}
	w.ids["stranger"] = addAccount(t, w.Server, wsEmail("stranger"))
	w.foreign = w.workspace(t, "Foreign", w.ids["stranger"])
	for name := range w.ids {
		w.bearers[name] = w.login(t, wsEmail(name))
	}
	return w
}

func (w *wsWorld) login(t testing.TB, email string) string {
	t.Helper()
	bearer, _ := tkLogin(t, w.Server, signedInAs(t, w.Server, email), "laptop")
	return bearer
}

// workspace makes one with its owner.
func (w *wsWorld) workspace(t testing.TB, name, owner string) string {
	t.Helper()
	id := canon.NewID()
	sqlExec(t, w.Server, `INSERT INTO workspaces (id, name, status, created_at, updated_at) SELECT $1, $2, 'normal', created_at, updated_at FROM workspaces WHERE id = $3`, id, name, w.id)
	w.join(t, id, owner, "owner")
	return id
}

func (w *wsWorld) join(t testing.TB, workspace, account, role string) {
	t.Helper()
	sqlExec(t, w.Server, `INSERT INTO memberships (id, workspace_id, account_id, role, current, created_at, updated_at)
		SELECT $1, $2, $3, $4, $5, created_at, updated_at FROM workspaces WHERE id = $2`, canon.NewID(), workspace, account, role, false)
}

// as sends a request of one of the people; body may be empty.
func (w *wsWorld) as(t testing.TB, who, method, path, body string) apitest.Answer {
	t.Helper()
	headers := []string{"Authorization", "Bearer " + w.bearers[who]}
	if body != "" {
		headers = append(headers, "Content-Type", "application/json")
	}
	return w.Call(t, method, path, body, headers...)
}

func (w *wsWorld) members() string { return wsPath + "/" + w.id + "/members" }

// invite invites and gives the answer's link token.
func (w *wsWorld) invite(t testing.TB, who, email, role string) (memberID string, link secret.Text) {
	t.Helper()
	a := w.as(t, who, http.MethodPost, w.members(), fmt.Sprintf(`{"email":%q,"role":%q}`, email, role))
	wantAnswer(t, a, http.StatusCreated, "")
	return a.Text(t, "member_id"), w.link(t, a)
}

func (w *wsWorld) link(t testing.TB, a apitest.Answer) secret.Text {
	t.Helper()
	token, ok := strings.CutPrefix(a.Text(t, "invite_url"), w.URL+"/activate?token=")
	if !ok || len(token) != 43 {
		t.Fatalf("invite_url %q", a.Text(t, "invite_url"))
	}
	return secret.New(token)
}

// listed gives the members as one of them sees them, by e-mail.
func (w *wsWorld) listed(t testing.TB, who string) map[string]map[string]any {
	t.Helper()
	a := w.as(t, who, http.MethodGet, w.members()+"?limit=200", "")
	wantAnswer(t, a, http.StatusOK, "")
	out := map[string]map[string]any{}
	for _, row := range a.JSON(t)["data"].([]any) {
		m := row.(map[string]any)
		out[m["email"].(string)] = m
	}
	return out
}

// written describes everything that acts on members write.
func (w *wsWorld) written(t testing.TB) string {
	t.Helper()
	var lines []string
	for _, query := range []string{
		`SELECT 'account ' || id || ' ' || status || ' ' || name FROM accounts ORDER BY id`,
		`SELECT 'member ' || workspace_id || ' ' || account_id || ' ' || role || CASE WHEN current THEN ' current' ELSE '' END FROM memberships ORDER BY workspace_id, account_id`,
		`SELECT 'invitation ' || id || ' ' || role || CASE WHEN accepted_at IS NULL THEN ' open' ELSE ' used' END FROM invitations ORDER BY id`,
		`SELECT 'event ' || id || ' ' || event FROM audit_events WHERE substr(event, 1, 10) = 'workspace.' OR event = 'account.activated' ORDER BY id`,
	} {
		lines = append(lines, sqlTexts(t, w.Server, query)...)
	}
	return strings.Join(lines, "\n")
}

// event gives the own fields of the newest event of a name, with its actor and
// workspace.
func (w *wsWorld) event(t testing.TB, name string) (fields map[string]any, actor, workspace string) {
	t.Helper()
	const newest = ` FROM audit_events WHERE event = $1 ORDER BY id DESC LIMIT 1`
	if err := json.Unmarshal([]byte(sqlText(t, w.Server, `SELECT fields`+newest, name)), &fields); err != nil {
		t.Fatal(err)
	}
	return fields, sqlText(t, w.Server, `SELECT actor_id`+newest, name), sqlText(t, w.Server, `SELECT workspace_id`+newest, name)
}

func wsActivation(name string) workspace.Activation {
	return workspace.Activation{Name: name, Password: secret.New(apitest.OwnerPassword)}
}
