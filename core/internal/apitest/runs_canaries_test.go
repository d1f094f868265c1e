// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/runtimetest"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// What people ask apps, and what they are answered, is theirs: core passes it on and keeps
// nothing of it, however a runtime fails and whatever it repeats.
func TestNothingOfARunIsLeftBehind(t *testing.T) {
	w := dyStart(t, unlimited(), apitest.Set("RUNTIME_ALLOWED_HOSTS", "127.0.0.1"), apitest.Set("LOG_LEVEL", "debug"))
	canary := &apitest.Scanner{}
	plant := func(name string) string {
		v := "canary-" + canon.NewID()
		canary.Add(name, v)
		return v
	}
	canary.Add("key", dyKey)
	query, input, answer, action := plant("query"), plant("input"), plant("answer"), plant("action")
	fileName, file, form, member := plant("file name"), plant("file"), plant("form token"), plant("unknown member")
	conversation := canon.NewID()
	canary.Add("conversation", conversation)
	chat, workflow := w.app(t, apps.Chat, w.rt.URL), w.app(t, apps.Workflow, w.rt.URL)
	chatApp, flowApp := strings.TrimSuffix(chat, "/run"), strings.TrimSuffix(workflow, "/run")

	head := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	said := `{"event":"message","task_id":"{task}","answer":"` + answer + `","query":"` + query + `"}`
	failures := []runtimetest.Script{
		{runtimetest.Begin(), runtimetest.Event(said), runtimetest.Event(`{"event":"message_end"}`)},
		{runtimetest.Begin(), runtimetest.Event(said), runtimetest.Cut()},
		{runtimetest.Begin(), runtimetest.Event(said), runtimetest.Raw("data: " + query)},
		{runtimetest.Begin(), runtimetest.Event(said), runtimetest.Raw(query + ": " + answer + "\n\ndata: [" + query + "]\n\n")},
		{runtimetest.Begin(), runtimetest.Event(`{"event":"error","code":"` + query + `","message":"` + answer + `"}`)},
		{runtimetest.Begin(), runtimetest.Event(`{"event":"` + query + `","task_id":"` + query + ` "}`)},
		{runtimetest.Status(400, query, answer)}, {runtimetest.Status(400, "bad_request", dyKey)}, {runtimetest.Status(404, "not_found", query)}, {runtimetest.Status(429, query, answer)},
		{runtimetest.Status(500, query, answer)}, {runtimetest.Status(401, query, dyKey)}, {runtimetest.Redirect(302, "http://"+query+".example/"+dyKey)},
		{runtimetest.Wire(query + "\r\n\r\n")}, {runtimetest.Wire(head + "Content-Length: " + query + "\r\n\r\n")}, {runtimetest.Wire(head + query + "\r\n\r\n")},
		{runtimetest.Wire(head + "Transfer-Encoding: " + query + "\r\n\r\n")}, {runtimetest.Wire(head + "Transfer-Encoding: chunked\r\n\r\n" + query + "\r\n")},
		{runtimetest.Wire("HTTP/1.1 " + dyKey + "\r\n\r\n")}, {runtimetest.Wire("HTTP/1.1 101 " + query + "\r\n\r\n")},
		{runtimetest.Wire("HTTP/1.1 200 OK\r\nContent-Type: " + query + "\r\nContent-Encoding: " + query + "\r\nContent-Length: 0\r\n\r\n")},
	}
	w.rt.On(runtimetest.Chat, failures...)
	for _, how := range []string{"streaming", "blocking"} {
		if how == "blocking" {
			w.rt.On(runtimetest.Chat, failures...)
		}
		for range failures {
			a := w.Call(t, http.MethodPost, chat, fmt.Sprintf(`{"inputs":{"a":%q},"query":%q,"conversation_id":%q,"response_mode":%q,"files":[{"url":%q}],%q:1}`, input, query, conversation, how, input, member),
				"Authorization", "Bearer "+w.bearers["normal"], "Content-Type", "application/json")
			if strings.Contains(a.Body, dyKey) || strings.Contains(a.Body, w.rt.URL) {
				t.Errorf("a client reads the key or the address: %s", a.Body)
			}
		}
	}
	bearer := []string{"Authorization", "Bearer " + w.bearers["normal"], "Content-Type", "application/json"}
	w.Call(t, http.MethodPost, chat, `{"inputs":{"a":"`+input+`"},"query":"`+query+`","query":"`+query+`"}`, bearer...)
	w.Call(t, http.MethodPost, chat, `{"inputs":"`+input+`","query":"`+query+`","response_mode":"`+query+`"}`, bearer...)
	w.Call(t, http.MethodPost, chatApp+"/run?"+query, `{`+query, bearer...)
	for _, name := range []string{fileName + ".txt", fileName + "/x", fileName + ".exe", fileName + `%0d%0a`} {
		w.Call(t, http.MethodPost, chatApp+"/files/upload", tsForm(name, "text/"+fileName, file), "Authorization", "Bearer "+w.bearers["normal"], "Content-Type", tsMultipart)
	}
	for range 2 {
		w.Call(t, http.MethodGet, flowApp+"/form/human_input/"+form, "", bearer...)
		w.Call(t, http.MethodPost, flowApp+"/form/human_input/"+form, `{"inputs":{"a":"`+input+`"},"action":"`+action+`"}`, bearer...)
		w.Call(t, http.MethodDelete, chatApp+"/conversations/"+conversation, "", bearer...)
		w.Call(t, http.MethodGet, chatApp+"/describe", "", bearer...)
		for _, route := range []runtimetest.Route{runtimetest.Form, runtimetest.Submit, runtimetest.Conversation, runtimetest.Parameters} {
			w.rt.On(route, runtimetest.Script{runtimetest.Wire("HTTP/1.1 " + form + action + conversation + dyKey + "\r\n\r\n")})
		}
	}
	awaitEvents(t, w.Server, "app.run.openapi", 2*len(failures))
	places := map[string]string{
		"log": w.Log.String(), "audit": strings.Join(sqlTexts(t, w.Server, `SELECT event || ' ' || fields FROM audit_events`), "\n"),
		"runs":    strings.Join(sqlTexts(t, w.Server, `SELECT COALESCE(task_id, '') || ' ' || COALESCE(workflow_run_id, '') FROM app_runs`), "\n"),
		"metrics": w.At(w.Inner).Call(t, http.MethodGet, "/metrics", "").Body,
	}
	for place, want := range map[string]string{"log": "what the runtime sends is no HTTP", "audit": "app.run.openapi", "runs": "-", "metrics": "/openapi/v1/apps/:app"} {
		t.Run("LOG-01 TOK-13 "+place, func(t *testing.T) {
			if !strings.Contains(places[place], want) {
				t.Errorf("it does not tell of runs at all: it is not what was meant")
			}
			for _, found := range canary.Find([]byte(places[place])) {
				t.Errorf("holds %s", found)
			}
		})
	}
}
