// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

func TestStoppingATask(t *testing.T) {
	w := tsStart(t)
	one, other := w.app(t, apps.Workflow), w.app(t, apps.Chat)
	mine, theirs, elsewhere := w.begun(t, one, w.subject("normal")), w.begun(t, one, w.subject("admin")), w.begun(t, other, w.subject("normal"))
	stop := func(who, appID, task string) apitest.Answer {
		return w.as(t, who, http.MethodPost, tsApp(appID)+"/tasks/"+task+"/stop", "")
	}

	t.Run("API-22 API-21 a task of one's own: its runtime is asked, by a name that says nothing of the caller", func(t *testing.T) {
		for range 2 { // a second time, too: a runtime knows what is over
			tsWantBody(t, stop("normal", one, mine.TaskID), http.StatusOK, tsDone)
			w.wantAsked(t, "Stop "+one+" "+mine.TaskID+" "+run.UserOf(w.subject("normal")))
		}
	})
	t.Run("API-22 TOK-11 of another subject's, another app's, a run's id and an unknown task the answer is the same and no runtime is asked", func(t *testing.T) {
		for name, c := range map[string]struct{ who, app, task string }{
			"another subject's":         {"normal", one, theirs.TaskID},
			"even to the owner":         {"owner", one, mine.TaskID},
			"another app's":             {"normal", one, elsewhere.TaskID},
			"this one's of another app": {"normal", other, mine.TaskID},
			"the workflow run's id":     {"normal", one, mine.WorkflowRunID},
			"unknown":                   {"normal", one, canon.NewID()},
		} {
			tsWantBody(t, stop(c.who, c.app, c.task), http.StatusOK, tsDone)
			if asked := w.rt.take(); len(asked) > 0 {
				t.Errorf("%s: %q", name, asked)
			}
		}
	})
	t.Run("API-3 API-22 what is no UUID reaches neither the store nor a runtime", func(t *testing.T) {
		w.store.take()
		for _, task := range []string{"x", "%2e%2e", "a%2Fb", "%00", strings.ToUpper(mine.TaskID), mine.TaskID + "x", strings.ReplaceAll(mine.TaskID, "-", ""), strings.Repeat("9", 4000)} {
			tsWantBody(t, stop("normal", one, task), http.StatusOK, tsDone)
		}
		if n := w.store.take(); n != 0 {
			t.Errorf("the store was asked %d times", n)
		}
		w.wantAsked(t)
	})
	t.Run("API-22 a runtime that refuses changes nothing for the caller, and the log is told", func(t *testing.T) {
		w.rt.fails = run.ErrUnavailable.Because(errTS)
		defer func() { w.rt.fails = nil }()
		tsWantBody(t, stop("normal", one, mine.TaskID), http.StatusOK, tsDone)
		w.wantAsked(t, "Stop "+one+" "+mine.TaskID+" "+run.UserOf(w.subject("normal")))
		if log := w.Log.String(); !strings.Contains(log, "a task was not stopped at its runtime") || !strings.Contains(log, "ts: injected") {
			t.Error("the log says nothing of it")
		}
	})
	t.Run("a store that is down is a failure of ours, and no runtime is asked", func(t *testing.T) {
		w.faults.Plan(storetest.Fault{Method: "Runs.ByTask"})
		defer w.faults.Clear()
		a := stop("normal", one, mine.TaskID)
		wantAnswer(t, a, http.StatusServiceUnavailable, "service_unavailable")
		w.wantAsked(t)
	})
	t.Run("API-3 TOK-11 an app of which the caller may not learn is none, whatever the task", func(t *testing.T) {
		want := ""
		for name, id := range w.hidden(t) {
			a := stop("normal", id, mine.TaskID)
			wantAnswer(t, a, http.StatusNotFound, "app_not_found")
			if want == "" {
				want = a.Body
			}
			if a.Body != want {
				t.Errorf("%s: %s, others %s", name, a.Body, want)
			}
		}
		w.wantAsked(t)
	})
	t.Run("an app whose API is off is refused to members", func(t *testing.T) {
		off := w.app(t, apps.Workflow, func(a *apps.App) { a.APIEnabled = false })
		wantAnswer(t, stop("normal", off, mine.TaskID), http.StatusForbidden, "service_api_disabled")
	})
	t.Run("M-21 a body is neither asked for nor looked at", func(t *testing.T) {
		a := w.Call(t, http.MethodPost, tsApp(one)+"/tasks/"+mine.TaskID+"/stop", "<x/>", "Authorization", "Bearer "+w.bearers["normal"], "Content-Type", "application/xml")
		tsWantBody(t, a, http.StatusOK, tsDone)
	})
}

func TestTasksOfPeopleWithoutAnAccount(t *testing.T) {
	w := tsStart(t, apitest.Enterprise(t))
	public := w.app(t, apps.Workflow, func(a *apps.App) { a.Access = apps.Public })
	inside := w.app(t, apps.Workflow)
	guest := exGuest(t, w.Server, "ann", "ann@corp.example", "corp")
	ann := token.Subject{Issuer: klIDP, ID: "ann"}
	mine := w.begun(t, public, ann)
	theirs := w.begun(t, public, token.Subject{Issuer: "https://other.example", ID: "ann"})
	stop := func(appID, task string) apitest.Answer {
		return w.Bearer(t, guest, http.MethodPost, tsApp(appID)+"/tasks/"+task+"/stop")
	}
	t.Run("API-22 API-21 their own tasks, by a name that another issuer's subject does not have", func(t *testing.T) {
		tsWantBody(t, stop(public, mine.TaskID), http.StatusOK, tsDone)
		w.wantAsked(t, "Stop "+public+" "+mine.TaskID+" "+run.UserOf(ann))
		tsWantBody(t, stop(public, theirs.TaskID), http.StatusOK, tsDone)
		w.wantAsked(t)
	})
	t.Run("an app that is not for them is none", func(t *testing.T) {
		wantAnswer(t, stop(inside, mine.TaskID), http.StatusNotFound, "app_not_found")
	})
}
