// SPDX-License-Identifier: Apache-2.0

package operator_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// registered is a registry of a few apps, one page of them after the other, and a runtime
// that says what a test wants.
type registered struct {
	operator.Apps
	list     []apps.Summary
	declared []apps.Declaration
	planned  string
	by       apps.By
	dry      []bool
	removed  string
	fails    error
	said     run.Checked
	err      error
	asked    apps.App
}

func (r *registered) List(_ context.Context, by apps.By, workspaceID string, page, limit int) ([]apps.Summary, int, error) {
	r.by = by
	var list []apps.Summary
	for _, s := range r.list {
		if workspaceID == "" || s.WorkspaceID == workspaceID {
			list = append(list, s)
		}
	}
	from := min((page-1)*limit, len(list))
	return list[from:min(from+limit, len(list))], len(list), r.fails
}

func (r *registered) Find(_ context.Context, _ apps.By, id string) (apps.Entry, error) {
	for _, s := range r.list {
		if s.ID == id {
			return apps.Entry{Summary: s, Key: apps.Key{Set: s.SealedKey != "", Fingerprint: "0123abcd"}}, r.fails
		}
	}
	return apps.Entry{}, apps.ErrNotFound
}

func (r *registered) Reconcile(_ context.Context, by apps.By, declared []apps.Declaration, dry bool) ([]apps.Planned, error) {
	r.by, r.declared, r.dry = by, declared, append(r.dry, dry)
	return []apps.Planned{{Action: r.planned}}, r.fails
}

func (r *registered) Remove(_ context.Context, _ apps.By, id string) error {
	r.removed = id
	return r.fails
}

func (r *registered) Check(_ context.Context, a apps.App) (run.Checked, error) {
	r.asked = a
	return r.said, r.err
}

// failed is a call that has ended at a phase.
type failed struct{ phase string }

func (f failed) Error() string { return "failed: " + f.phase }

func reads(err error) (operator.Unreached, bool) {
	f, ok := errors.AsType[failed](err)
	return operator.Unreached{Phase: f.phase, Why: "the guard's reason"}, ok
}

func onApps(t *testing.T, r *registered) operator.Operations {
	t.Helper()
	s, err := operator.New(operator.Deps{
		Installation: &installation.Service{}, Access: &asked{}, Accounts: people{}, Keys: noKeys{}, Apps: r, Runtimes: r, Unreached: reads, Public: &url.URL{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.As(audit.Caller{Service: "core", User: "root", Version: "1"})
}

func summary(n int, name, workspace string) apps.Summary {
	s := apps.Summary{WorkspaceName: workspace}
	s.ID, s.Name = fmt.Sprintf("0190d1f4-7c3a-7b1e-9c55-%012d", n), name
	s.WorkspaceID = map[string]string{"Engines": id}[workspace]
	s.Mode, s.Runtime, s.RuntimeURL, s.APIEnabled, s.Status, s.SealedKey = apps.Chat, apps.RuntimeDify, "http://runtime.example", true, apps.StatusNormal, "sealed"
	return s
}

func TestHowAnAppIsNamed(t *testing.T) {
	r := &registered{}
	for i := range 450 { // three pages
		r.list = append(r.list, summary(i, fmt.Sprint("App ", i), "Engines"))
	}
	r.list = append(r.list, summary(900, "Twin", "Engines"), summary(901, "Twin", "Other"))
	by := onApps(t, r)
	for _, tc := range []struct {
		ref  operator.AppRef
		want string
		err  error
	}{
		{operator.AppRef{App: "App 449"}, summary(449, "", "").ID, nil},
		{operator.AppRef{App: " App 449 "}, summary(449, "", "").ID, nil},
		{operator.AppRef{App: summary(7, "", "").ID}, summary(7, "", "").ID, nil},
		{operator.AppRef{App: "App"}, "", operator.ErrNoApp},
		{operator.AppRef{App: summary(999, "", "").ID}, "", operator.ErrNoApp},
		{operator.AppRef{App: "Twin"}, "", operator.ErrManyApps},
		{operator.AppRef{App: "Twin", Workspace: "Other"}, summary(901, "", "").ID, nil},
		{operator.AppRef{App: "Twin", Workspace: id}, summary(900, "", "").ID, nil},
		{operator.AppRef{App: "Twin", Workspace: "Nowhere"}, "", operator.ErrNoApp},
	} {
		a, err := by.ShowApp(t.Context(), tc.ref)
		if a.ID != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%+v is %s, %v", tc.ref, a.ID, err)
		}
		r.removed = ""
		gone, err := by.RemoveApp(t.Context(), tc.ref)
		if r.removed != tc.want || gone.ID != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%+v: removed %q, %+v, %v", tc.ref, r.removed, gone, err)
		}
	}
	if r.by != apps.Operator(audit.Actor{Type: "operator", ID: "cli:root"}) {
		t.Errorf("by %+v", r.by)
	}
	page, err := by.ListApps(t.Context(), operator.AppQuery{Workspace: "Engines", Page: 5, Limit: 100})
	if err != nil || page.Total != 451 || len(page.Data) != 51 || page.HasMore {
		t.Errorf("%d of %d, %v", len(page.Data), page.Total, err)
	}
	if page, err := by.ListApps(t.Context(), operator.AppQuery{Page: 1, Limit: 200}); err != nil || !page.HasMore || len(page.Data) != 200 {
		t.Errorf("%d, %v", len(page.Data), err)
	}
	r.fails = fault.ErrUnavailable
	if _, err := by.ShowApp(t.Context(), operator.AppRef{App: "App 1"}); !errors.Is(err, fault.ErrUnavailable) {
		t.Error(err)
	}
}

func TestDeclarationsOnTheirWay(t *testing.T) {
	r := &registered{planned: apps.PlanCreate}
	by := onApps(t, r)
	key, echo := operator.Pass(secret.New("k")), apps.RuntimeEcho
	w := operator.AppsWanted{New: true, Apps: []operator.AppWanted{{App: apps.Declaration{Name: "A"}, Key: &key}, {App: apps.Declaration{Name: "B"}}}}
	done, err := by.DeclareApps(t.Context(), w)
	if err != nil || len(done.Apps) != 1 || len(r.declared) != 2 || r.declared[0].Key.Reveal() != "k" || r.declared[1].Key != nil || fmt.Sprint(r.dry) != "[true false]" {
		t.Errorf("%+v %v: %+v", done, err, r)
	}
	r.dry, r.planned = nil, apps.PlanNone
	if _, err := by.DeclareApps(t.Context(), w); !errors.Is(err, operator.ErrAppExists) || fmt.Sprint(r.dry) != "[true]" {
		t.Errorf("%v, %v", err, r.dry)
	}
	r.dry = nil
	w.Apps[1].App.Runtime, w.Apps[1].App.RuntimeConfig = &echo, map[string]any{"surprise": 1}
	_, err = by.DeclareApps(t.Context(), w)
	if d := fault.Of(err).Details(); !errors.Is(err, operator.ErrInvalid) || r.dry != nil || len(d) != 1 || fmt.Sprint(d[0].Loc) != "[apps 1 runtime_config]" {
		t.Errorf("%v %+v", err, r.dry)
	}
}

func TestWhatACheckSays(t *testing.T) {
	call := func(phase string) error { return run.ErrUnavailable.Because(failed{phase}) }
	for name, tc := range map[string]struct {
		change  func(a *apps.App)
		said    run.Checked
		err     error
		problem string
		text    string // a part of it
		hint    string
	}{
		"it answers":            {problem: "", text: "answers and takes the app's key"},
		"it says the mode":      {said: run.Checked{Mode: apps.Chat}, text: "answers"},
		"echo":                  {change: func(a *apps.App) { a.Runtime, a.RuntimeURL = apps.RuntimeEcho, "" }, text: "echo runtime of this process"},
		"another mode":          {said: run.Checked{Mode: apps.Workflow}, problem: "mode_mismatch", text: "is chat here and workflow at its runtime", hint: "--mode workflow"},
		"no address":            {change: func(a *apps.App) { a.RuntimeURL = "" }, problem: "address_missing", hint: "--runtime-url"},
		"the key":               {err: run.ErrKeyRejected, problem: "key_refused", hint: "--key-file"},
		"no key":                {err: run.ErrKeyRejected, change: func(a *apps.App) { a.SealedKey = "" }, problem: "key_missing", text: "has none"},
		"not set up":            {err: run.ErrNotConfigured, problem: "not_configured"},
		"not so":                {err: run.ErrAppUnavailable.Saying("It says why."), problem: "mode_mismatch", text: "It says why."},
		"the guard":             {err: call(operator.CallRefused), problem: "address_refused", text: "not called: the guard's reason.", hint: "RUNTIME_ALLOWED_HOSTS"},
		"a name":                {err: call(operator.CallName), problem: "name_unknown"},
		"a port":                {err: call(operator.CallConnect), problem: "connection_refused"},
		"TLS":                   {err: call(operator.CallTLS), problem: "tls", hint: "certificate"},
		"a slow connection":     {err: run.ErrTimeout.Because(failed{operator.CallTimeout}), problem: "timeout", hint: "RUNTIME_CONNECT_TIMEOUT"},
		"a slow answer":         {err: run.ErrTimeout, problem: "timeout", hint: "RUNTIME_HEADER_TIMEOUT"},
		"a redirect":            {err: call(operator.CallRedirect), problem: "redirect"},
		"a page":                {err: call("content_type"), problem: "no_answer"},
		"garbage":               {err: run.ErrUnavailable.Because(errors.New("no JSON")), problem: "no_answer", hint: "before /v1"},
		"a limit of its own":    {err: run.ErrQuota, problem: "refused_by_runtime", text: "limit of its own"},
		"a refusal":             {err: run.ErrRefused.Saying("No."), problem: "refused_by_runtime", text: "No."},
		"our own key is broken": {err: fault.ErrInternal},
		"our own store":         {err: fault.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			a := summary(1, "Desk", "Engines")
			if tc.change != nil {
				tc.change(&a.App)
			}
			r := &registered{list: []apps.Summary{a}, said: tc.said, err: tc.err}
			c, err := onApps(t, r).CheckApp(t.Context(), operator.AppRef{App: "Desk"})
			if ours := errors.Is(tc.err, fault.ErrInternal) || errors.Is(tc.err, fault.ErrUnavailable); ours {
				if !errors.Is(err, tc.err) {
					t.Errorf("%+v, %v", c, err)
				}
				return
			}
			if err != nil || c.Problem != tc.problem || c.OK != (tc.problem == "") || !strings.Contains(c.Text, tc.text) || !strings.Contains(c.Hint, tc.hint) || c.Text == "" {
				t.Errorf("%+v, %v", c, err)
			}
			if (c.Hint == "") != c.OK && c.Problem != "refused_by_runtime" || c.Name != "Desk" || c.Warnings == nil || len(c.Warnings) != 0 {
				t.Errorf("%+v", c)
			}
			if strings.Contains(c.Text+c.Hint, "runtime.example") || r.asked.ID != a.ID && tc.problem != "address_missing" {
				t.Errorf("%+v, asked %+v", c, r.asked)
			}
		})
	}
	t.Run("what is off here is told beside it", func(t *testing.T) {
		a := summary(1, "Desk", "Engines")
		a.APIEnabled, a.Status, a.Mode = false, apps.StatusArchived, apps.Channel
		c, err := onApps(t, &registered{list: []apps.Summary{a}}).CheckApp(t.Context(), operator.AppRef{App: "Desk"})
		if err != nil || !c.OK || len(c.Warnings) != 3 {
			t.Errorf("%+v, %v", c, err)
		}
	})
}
