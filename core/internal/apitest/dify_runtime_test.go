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
	"github.com/dify-sso/dify-sso/core/internal/runtimetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

const dyKey = "app-Key_of.the+runtime"

// dyWorld is a server with a member, and a runtime that is reached over HTTP.
type dyWorld struct {
	*wsWorld
	rt *runtimetest.Runtime
}

func dyStart(t *testing.T, options ...apitest.Option) dyWorld {
	t.Helper()
	return dyWorld{wsStart(t, append([]apitest.Option{apitest.Set("SHUTDOWN_GRACE", "0s")}, options...)...), runtimetest.New(t, dyKey)}
}

// app is one at an address, with its key, and the path of its runs.
func (w dyWorld) app(t *testing.T, mode apps.Mode, address string) string {
	t.Helper()
	id := canon.NewID()
	w.NewApp(t, apps.App{
		ID: id, WorkspaceID: w.id, Mode: mode, APIEnabled: true, Runtime: apps.RuntimeDify, RuntimeURL: address,
		SealedKey: w.App.Registry.Sealing.Seal([]byte(dyKey), apps.KeyPlace(id)),
	})
	return "/openapi/v1/apps/" + id + "/run"
}

// secret fails when the key is in what somebody has read, or the server has written.
func (w dyWorld) secret(t *testing.T, read string) {
	t.Helper()
	if strings.Contains(read, dyKey) || strings.Contains(read, w.rt.URL) {
		t.Errorf("the key or the address is in %q", read)
	}
	if strings.Contains(w.Log.String(), dyKey) {
		t.Error("the key is in the log")
	}
}

func TestRuntimesOverHTTP(t *testing.T) {
	w := dyStart(t, apitest.Set("RUNTIME_ALLOWED_HOSTS", "127.0.0.1"))
	chat, workflow := w.app(t, apps.Chat, w.rt.URL), w.app(t, apps.Workflow, w.rt.URL+"/v1")
	t.Run("API-16 API-21 a run streams as its runtime says it, in the name of its caller", func(t *testing.T) {
		data := `{"event":"message","task_id":"{task}","answer":"\u00e9 <&>" }`
		w.rt.On(runtimetest.Chat, runtimetest.Script{runtimetest.Begin(), runtimetest.Ping(), runtimetest.Event(data), runtimetest.Event(`{"event":"message_end"}`)})
		s := rnOpen(t, w.URL, w.bearers["normal"], chat, `{"inputs":{},"query":"hello","user":"somebody else"}`)
		frames := s.rest()
		call := w.rt.Calls("")[0]
		want := "event: ping\n\ndata: " + strings.ReplaceAll(data, "{task}", call.Task) + "\n\ndata: {\"event\":\"message_end\"}\n\n"
		if strings.Join(frames, "") != want {
			t.Errorf("%q", frames)
		}
		who := run.UserOf(token.Subject{Issuer: "dify:account", ID: w.ids["normal"]})
		if call.User != who || call.Header.Get("Authorization") != "Bearer "+dyKey || strings.Contains(string(call.Body), "somebody") {
			t.Errorf("%v %s", call.Header, call.Body)
		}
		w.rt.On(runtimetest.Chat)
	})
	t.Run("API-18 a run in one piece comes back as its runtime has made it", func(t *testing.T) {
		a := w.as(t, "normal", http.MethodPost, workflow, `{"inputs":{"a":1},"response_mode":"blocking"}`)
		call := w.rt.Wait(t, runtimetest.Workflow, 1)[0]
		if a.Status != 200 || !strings.Contains(a.Body, `"workflow_run_id":"`+call.Run+`"`) || call.Path != "/v1/workflows/run" {
			t.Errorf("%d %s %s", a.Status, a.Body, call.Path)
		}
	})
	for _, tc := range []struct {
		name   string
		script runtimetest.Script
		status int
		code   string
		text   string
		retry  string
	}{
		{"400 with a code", runtimetest.Script{runtimetest.Status(400, "provider_quota_exceeded", "Used\x1b up")}, 400, "provider_quota_exceeded", "Used up", ""},
		{"400 otherwise", runtimetest.Script{runtimetest.Status(400, "invalid_param", "age must be a valid number")}, 400, "bad_request", "age must be a valid number", ""},
		{"401", runtimetest.Script{runtimetest.Status(401, "unauthorized", dyKey)}, 502, "runtime_key_rejected", run.ErrKeyRejected.Text(), ""},
		{"403", runtimetest.Script{runtimetest.Status(403, "forbidden", dyKey)}, 502, "runtime_key_rejected", run.ErrKeyRejected.Text(), ""},
		{"404 about a conversation", runtimetest.Script{runtimetest.Status(404, "not_found", "Conversation Not Exists.")}, 404, "conversation_not_found", "Conversation Not Exists.", ""},
		{"404 about a workflow", runtimetest.Script{runtimetest.Status(404, "not_found", "Workflow not found")}, 404, "workflow_run_not_found", run.ErrNoWorkflowRun.Text(), ""},
		{"404 otherwise", runtimetest.Script{runtimetest.Status(404, "not_found", "Nothing")}, 502, "runtime_unavailable", run.ErrUnavailable.Text(), ""},
		{"429", runtimetest.Script{runtimetest.Header("Retry-After", "7"), runtimetest.Status(429, "x", "y")}, 429, "rate_limit_error", run.ErrQuota.Text(), "7"},
		{"500", runtimetest.Script{runtimetest.Status(500, "x", dyKey)}, 502, "runtime_unavailable", run.ErrUnavailable.Text(), ""},
		{"a redirect", runtimetest.Script{runtimetest.Redirect(302, "/"+dyKey)}, 502, "runtime_unavailable", run.ErrUnavailable.Text(), ""},
		{"no HTTP", runtimetest.Script{runtimetest.Wire(dyKey + "\r\n\r\n")}, 502, "runtime_unavailable", run.ErrUnavailable.Text(), ""},
		{"no answer", runtimetest.Script{runtimetest.Cut()}, 502, "runtime_unavailable", run.ErrUnavailable.Text(), ""},
	} {
		t.Run("API-20 TOK-13 before the stream: "+tc.name, func(t *testing.T) {
			w.rt.On(runtimetest.Chat, tc.script)
			for _, how := range []string{"streaming", "blocking"} {
				a := w.as(t, "normal", http.MethodPost, chat, `{"inputs":{},"query":"hello","response_mode":"`+how+`"}`)
				var said struct {
					Code, Message string
					Status        int
				}
				if err := json.Unmarshal([]byte(a.Body), &said); err != nil || a.Status != tc.status || said.Status != tc.status || said.Code != tc.code || said.Message != tc.text || a.Header.Get("Retry-After") != tc.retry {
					t.Errorf("%s: %d %v %s", how, a.Status, a.Header, a.Body)
				}
				w.secret(t, a.Body)
			}
		})
	}
	t.Run("API-20 the log says why", func(t *testing.T) {
		for _, why := range []string{"a redirect is not followed", "the runtime answers 403 forbidden", "the runtime answers 500 x"} {
			if !strings.Contains(w.Log.String(), why) {
				t.Errorf("not that %s", why)
			}
		}
		id := strings.Split(chat, "/")[4]
		if !strings.Contains(w.Log.String(), `"app":"`+id+`","code":"runtime_key_rejected"`) {
			t.Error("nor which app it was")
		}
	})
	for name, step := range map[string]runtimetest.Step{"it breaks off": runtimetest.Cut(), "no JSON": runtimetest.Event(dyKey), "its end is missing": runtimetest.Raw("")} {
		t.Run("API-17 TOK-13 within the stream: "+name, func(t *testing.T) {
			w.rt.On(runtimetest.Chat, runtimetest.Script{runtimetest.Begin(), runtimetest.Event(`{"event":"message","task_id":"t"}`), step})
			s := rnOpen(t, w.URL, w.bearers["normal"], chat, rnHello)
			s.next()
			s.wantEnd(502, "runtime_unavailable", "t")
			w.secret(t, "")
		})
	}
	t.Run("API-19 a client that leaves ends the runtime's connection, and the task is stopped once", func(t *testing.T) {
		rt := runtimetest.New(t, dyKey)
		rt.On(runtimetest.Chat, runtimetest.Script{runtimetest.Begin(), runtimetest.Event(`{"event":"message","task_id":"{task}"}`), runtimetest.Hang()})
		s := rnOpen(t, w.URL, w.bearers["normal"], w.app(t, apps.Chat, rt.URL), rnHello)
		s.next()
		s.leave()
		call := rt.Calls(runtimetest.Chat)[0]
		<-call.Dropped()
		stop := rt.Wait(t, runtimetest.StopChat, 1)
		if len(stop) != 1 || stop[0].Path != "/v1/chat-messages/"+call.Task+"/stop" || stop[0].User != call.User {
			t.Errorf("%d: %s by %s", len(stop), stop[0].Path, stop[0].User)
		}
	})
	t.Run("API-32 this service is no runtime, though its host is allowed", func(t *testing.T) {
		for _, address := range []string{w.URL, w.URL + "/openapi/v1"} {
			a := w.as(t, "normal", http.MethodPost, w.app(t, apps.Chat, address), `{"inputs":{},"query":"hello","response_mode":"blocking"}`)
			wantAnswer(t, a, 502, "runtime_unavailable")
		}
		for address, good := range map[string]bool{w.URL: false, "http://127.0.0.1:5001": false, "http://127.0.0.1:5002": false, "http://127.0.0.1:5003": true} { // LISTEN and INNER_LISTEN
			if err := w.App.Registry.Acceptable(address); good != (err == nil) {
				t.Errorf("%s: %v", address, err)
			}
		}
	})
}

func TestRuntimesThatNobodyAllowed(t *testing.T) {
	w := dyStart(t)
	for name, address := range map[string]string{
		"loopback": w.rt.URL, "localhost": strings.Replace(w.rt.URL, "127.0.0.1", "localhost", 1), "link-local": "http://169.254.169.254", "mapped": strings.Replace(w.rt.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1),
		"no address at all": "",
	} {
		t.Run("API-32 "+name, func(t *testing.T) {
			a := w.as(t, "normal", http.MethodPost, w.app(t, apps.Chat, address), `{"inputs":{},"query":"hello","response_mode":"blocking"}`)
			wantAnswer(t, a, 502, "runtime_unavailable")
		})
	}
	if n := w.rt.Opened(); n != 0 {
		t.Errorf("%d connections", n)
	}
}
