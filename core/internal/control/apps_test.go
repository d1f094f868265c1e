// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	commands "github.com/dify-sso/dify-sso/core/internal/control"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func (s *stub) ListApps(_ context.Context, q operator.AppQuery) (operator.AppPage, error) {
	return operator.AppPage{Page: q.Page, Limit: q.Limit, Data: []operator.AppEntry{{Workspace: q.Workspace, Config: json.RawMessage("null"), UpdatedAt: day}}}, nil
}

func (s *stub) ShowApp(_ context.Context, r operator.AppRef) (operator.AppEntry, error) {
	return operator.AppEntry{
		Name: r.App, Workspace: r.Workspace, Config: json.RawMessage(`{"a":1}`), Key: operator.AppKey{Set: true, Fingerprint: "01234567"},
		Features: apps.DeclarationsFeatures{DSL: true}, Allowed: []operator.AppAllowed{{Email: "e"}},
	}, nil
}

// DeclareApps gives back what has come over, with the key in clear.
func (s *stub) DeclareApps(_ context.Context, w operator.AppsWanted) (operator.AppsPlanned, error) {
	p := operator.AppsPlanned{DryRun: w.DryRun}
	for _, one := range w.Apps {
		key := "none"
		if one.Key != nil {
			key = "[" + one.Key.Reveal() + "]"
		}
		config, err := json.Marshal(one.App.RuntimeConfig)
		if err != nil {
			return p, err
		}
		p.Apps = append(p.Apps, apps.Planned{Name: one.App.Name, Action: fmt.Sprint(w.New), Changes: []apps.PlannedChange{{Member: key, To: string(config)}}})
	}
	return p, nil
}

func (s *stub) RemoveApp(_ context.Context, r operator.AppRef) (operator.AppRemoved, error) {
	return operator.AppRemoved{Name: r.App, Workspace: r.Workspace}, nil
}

func (s *stub) CheckApp(_ context.Context, r operator.AppRef) (operator.AppChecked, error) {
	return operator.AppChecked{Name: r.App, Problem: "tls", Text: "t", Warnings: []string{"w"}}, nil
}

func TestOperationsOnAppsGoThere(t *testing.T) {
	s := serve(t, socket(t))
	c := connect(t, s.path)
	ctx := t.Context()
	list, err := c.ListApps(ctx, operator.AppQuery{Workspace: "w", Page: 2, Limit: 3})
	if err != nil || list.Page != 2 || list.Limit != 3 || len(list.Data) != 1 || list.Data[0].Workspace != "w" || !list.Data[0].UpdatedAt.Equal(day) {
		t.Errorf("%+v %v", list, err)
	}
	a, err := c.ShowApp(ctx, operator.AppRef{App: "a", Workspace: "w"})
	if err != nil || a.Name != "a" || a.Workspace != "w" || string(a.Config) != `{"a":1}` || a.Key.Fingerprint != "01234567" || !a.Features.DSL || len(a.Allowed) != 1 {
		t.Errorf("%+v %v", a, err)
	}
	gone, err := c.RemoveApp(ctx, operator.AppRef{App: "a", Workspace: "w"})
	if err != nil || gone.Name != "a" || gone.Workspace != "w" {
		t.Errorf("%+v %v", gone, err)
	}
	checked, err := c.CheckApp(ctx, operator.AppRef{App: "a"})
	if err != nil || checked.Name != "a" || checked.OK || checked.Problem != "tls" || checked.Text != "t" || len(checked.Warnings) != 1 {
		t.Errorf("%+v %v", checked, err)
	}
	key, none := operator.Pass(secret.New("a\"key")), operator.Pass(secret.New(""))
	mode := apps.Chat
	big := strings.Repeat("x", commands.MaxDeclared/2)
	done, err := c.DeclareApps(ctx, operator.AppsWanted{New: true, DryRun: true, Apps: []operator.AppWanted{
		{App: apps.Declaration{Name: "one", Mode: &mode, RuntimeConfig: map[string]any{"a": map[string]any{"b": []any{1, "<"}}}}, Key: &key},
		{App: apps.Declaration{Name: "two", Description: &big}, Key: &none},
		{App: apps.Declaration{Name: "three"}},
	}})
	if err != nil || !done.DryRun || len(done.Apps) != 3 {
		t.Fatalf("%+v %v", done, err)
	}
	got := ""
	for _, p := range done.Apps {
		got += fmt.Sprint(p.Name, p.Action, p.Changes[0].Member, p.Changes[0].To, " ")
	}
	if got != `onetrue[a"key]{"a":{"b":[1,"\u003c"]}} twotrue[]null threetruenonenull ` {
		t.Error(got)
	}
	if log := s.log.String(); strings.Contains(log, "key") || strings.Count(log, "msg=command") != 5 {
		t.Errorf("the log is %s", log)
	}
	t.Run("a member of a declaration that this version does not know is refused", func(t *testing.T) {
		status, answer := ask(t, s.path, http.MethodPost, "/v1/declare-apps", "application/json", strings.NewReader(`{"apps":[{"app":{"name":"a","icon":"x"}}]}`))
		if status != http.StatusBadRequest || !strings.Contains(answer, `"code":"request_unknown"`) {
			t.Errorf("%d %s", status, answer)
		}
	})
	t.Run("too much is refused", func(t *testing.T) {
		status, answer := ask(t, s.path, http.MethodPost, "/v1/declare-apps", "application/json", strings.NewReader(`{"a":"`+strings.Repeat("x", commands.MaxDeclared)+`"}`))
		if status != http.StatusRequestEntityTooLarge {
			t.Errorf("%d %s", status, answer)
		}
	})
}
