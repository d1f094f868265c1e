// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

func TestHumanInput(t *testing.T) {
	w := tsStart(t)
	one := w.app(t, apps.Workflow)
	user := run.UserOf(w.subject("normal"))
	form := func(id, token string) string { return tsApp(id) + "/form/human_input/" + token }
	const stored = `{"form_content":"<b>Go?</b>","inputs":[],  "resolved_default_values":{"a":"b"},"user_actions":[{"id":"yes","title":"Yes"}],"expiration_time":1900000000,"more":1.50}`
	const answered = `{"inputs":{"b":1.50,"a":"<x>"},"action":"yes"}`

	t.Run("API-25 an open form: as the runtime describes it, unchanged", func(t *testing.T) {
		w.rt.body = json.RawMessage(stored)
		tsWantBody(t, w.as(t, "normal", http.MethodGet, form(one, "tok-1._~A"), ""), http.StatusOK, stored)
		w.wantAsked(t, "Form "+one+" tok-1._~A")
	})
	t.Run("API-25 API-21 an answer goes to the runtime in the caller's opaque name, its inputs unchanged", func(t *testing.T) {
		tsWantBody(t, w.as(t, "normal", http.MethodPost, form(one, "tok"), `{"action":"yes","inputs":{"b":1.50,"a":"<x>"},"user":"somebody else","unknown":1}`), http.StatusOK, `{}`)
		w.wantAsked(t, "Submit "+one+" tok "+user+` yes {"b":1.50,"a":"<x>"}`)
		tsWantBody(t, w.as(t, "normal", http.MethodPost, form(one, "tok"), `{"action":"","inputs":{}}`), http.StatusOK, `{}`)
		w.wantAsked(t, "Submit "+one+" tok "+user+"  {}")
	})
	t.Run("API-25 submitted, expired, another app's, and what the form does not take", func(t *testing.T) {
		defer func() { w.rt.fails = nil }()
		for _, tc := range []struct {
			of     *fault.Error
			status int
		}{
			{run.ErrFormSubmitted, http.StatusPreconditionFailed}, {run.ErrFormExpired, http.StatusPreconditionFailed}, {run.ErrFormNotFound, http.StatusNotFound},
			{run.ErrFormData, http.StatusBadRequest}, {run.ErrUnavailable, http.StatusBadGateway}, {run.ErrTimeout, http.StatusGatewayTimeout}, {run.ErrKeyRejected, http.StatusBadGateway},
		} {
			w.rt.fails = tc.of.Because(errTS)
			a := w.as(t, "normal", http.MethodPost, form(one, "tok"), answered)
			wantAnswer(t, a, tc.status, tc.of.Code())
			wantFailureShape(t, a)
			if tc.of != run.ErrFormData {
				wantAnswer(t, w.as(t, "normal", http.MethodGet, form(one, "tok"), ""), tc.status, tc.of.Code())
			}
		}
		w.rt.take()
	})
	t.Run("API-25 API-3 a token of another shape is no form's, and no runtime is asked", func(t *testing.T) {
		for _, token := range []string{"%20", "a%2Fb", "a%20b", "..%2F..", "%2e%2e", "a%00", "a%0D%0Ab", "%C3%BC", "a%3Fb", "a;b", "a:b", strings.Repeat("a", 513)} {
			a := w.as(t, "normal", http.MethodGet, form(one, token), "")
			if a.Status != http.StatusNotFound || reasonOf(a) != "form_not_found" {
				t.Errorf("%q: %d %s", token, a.Status, a.Body)
			}
			a = w.as(t, "normal", http.MethodPost, form(one, token), answered)
			if a.Status != http.StatusNotFound || reasonOf(a) != "form_not_found" {
				t.Errorf("POST %q: %d %s", token, a.Status, a.Body)
			}
		}
		w.wantAsked(t)
	})
	t.Run("API-25 an answer that does not say what it has to", func(t *testing.T) {
		for _, body := range []string{
			`{}`, `{"action":"yes"}`, `{"inputs":{}}`, `{"inputs":null,"action":"yes"}`, `{"inputs":[],"action":"yes"}`, `{"inputs":"{}","action":"yes"}`, `{"inputs":{},"action":null}`, `{"inputs":{},"action":1}`,
			`{"inputs":{},"action":"` + strings.Repeat("a", 256) + `"}`, `{"Inputs":{},"Action":"yes"}`,
		} {
			a := w.as(t, "normal", http.MethodPost, form(one, "tok"), body)
			if a.Status != http.StatusUnprocessableEntity || reasonOf(a) != "invalid_param" {
				t.Errorf("%s: %d %s", body, a.Status, a.Body)
			}
		}
		for _, body := range []string{`{"inputs":{},"inputs":{},"action":"yes"}`, `{"inputs":{"a":1,"a":2},"action":"yes"}`, `{"inputs":{},"action":"yes"} x`, `{`, "{\"inputs\":{},\"action\":\"\xff\"}"} {
			a := w.as(t, "normal", http.MethodPost, form(one, "tok"), body)
			if a.Status != http.StatusBadRequest || reasonOf(a) != "invalid_json" {
				t.Errorf("HTTP-09 %s: %d %s", body, a.Status, a.Body)
			}
		}
		w.wantAsked(t)
	})
	t.Run("M-21 M-22 HTTP-08 HTTP-10 another type, an encoding, a body that is too large", func(t *testing.T) {
		send := func(media, body string, more ...string) apitest.Answer {
			return w.Call(t, http.MethodPost, form(one, "tok"), body, append([]string{"Authorization", "Bearer " + w.bearers["normal"], "Content-Type", media}, more...)...)
		}
		for _, media := range []string{"text/plain", "application/xml", "multipart/form-data; boundary=b", "application/x-www-form-urlencoded"} {
			wantAnswer(t, send(media, answered), http.StatusUnsupportedMediaType, "unsupported_media_type")
		}
		wantAnswer(t, send("application/json", answered, "Content-Encoding", "gzip"), http.StatusUnsupportedMediaType, "unsupported_media_type")
		large := func(n int) string {
			start, end := `{"action":"yes","inputs":{"a":"`, `"}}`
			return start + strings.Repeat("a", n-len(start)-len(end)) + end
		}
		tsWantBody(t, send("application/json", large(1<<20)), http.StatusOK, `{}`)
		w.rt.take()
		wantAnswer(t, send("application/json", large(1<<20+1)), http.StatusRequestEntityTooLarge, "request_entity_too_large")
		w.wantAsked(t)
	})
	t.Run("API-3 TOK-11 an app of which the caller may not learn is none", func(t *testing.T) {
		for name, id := range w.hidden(t) {
			for method, body := range map[string]string{http.MethodGet: "", http.MethodPost: answered} {
				if a := w.as(t, "normal", method, form(id, "tok"), body); a.Status != http.StatusNotFound || reasonOf(a) != "app_not_found" {
					t.Errorf("%s %s: %d %s", method, name, a.Status, a.Body)
				}
			}
		}
		w.wantAsked(t)
	})
}

func TestDeletingAConversation(t *testing.T) {
	w := tsStart(t)
	chat := w.app(t, apps.AdvancedChat)
	id := canon.NewID()
	remove := func(appID, conversation string) apitest.Answer {
		return w.as(t, "normal", http.MethodDelete, tsApp(appID)+"/conversations/"+conversation, "")
	}
	t.Run("API-26 one's own", func(t *testing.T) {
		tsWantBody(t, remove(chat, id), http.StatusOK, tsDone)
		w.wantAsked(t, "DeleteConversation "+chat+" "+id+" "+run.UserOf(w.subject("normal")))
	})
	t.Run("API-26 API-3 foreign, malformed, and of an app that holds none: one answer", func(t *testing.T) {
		w.rt.fails = run.ErrNoConversation.Because(errTS)
		want := remove(chat, id)
		w.rt.fails = nil
		wantAnswer(t, want, http.StatusNotFound, "conversation_not_found")
		w.rt.take()
		for _, c := range [][2]string{
			{chat, "x"}, {chat, strings.ToUpper(id)}, {chat, id + "x"}, {chat, "%00"}, {chat, "a%2Fb"}, {w.app(t, apps.Workflow), id}, {w.app(t, apps.Completion), id}, {w.app(t, apps.Channel), id},
		} {
			if a := remove(c[0], c[1]); a.Status != want.Status || a.Body != want.Body {
				t.Errorf("%q: %d %s", c, a.Status, a.Body)
			}
		}
		w.wantAsked(t)
	})
	t.Run("a runtime that does not answer", func(t *testing.T) {
		w.rt.fails = run.ErrUnavailable.Because(errTS)
		defer func() { w.rt.fails = nil }()
		wantAnswer(t, remove(chat, id), http.StatusBadGateway, "runtime_unavailable")
	})
}
