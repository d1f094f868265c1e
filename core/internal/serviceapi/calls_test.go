// SPDX-License-Identifier: Apache-2.0

package serviceapi_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/runtimetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

func TestCalls(t *testing.T) {
	t.Run("each is answered by a healthy runtime", func(t *testing.T) {
		for name, call := range calls {
			rt, c := runtime(t, limits{})
			if err := call.do(t, c, target(rt, apps.Chat)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if n := len(rt.Calls(call.route)); n != 1 {
				t.Errorf("%s: called %d times", name, n)
			}
		}
	})
	for _, tc := range []struct {
		mode                apps.Mode
		workflow            string
		route               runtimetest.Route
		path, stop          string
		query, conv, naming string // members of the body
		member              string // workflow_id
	}{
		{apps.Chat, "", runtimetest.Chat, "/v1/chat-messages", "/v1/chat-messages/t%201/stop", `"Hello"`, `"c1"`, "true", ""},
		{apps.AgentChat, "w1", runtimetest.Chat, "/v1/chat-messages", "/v1/chat-messages/t%201/stop", `"Hello"`, `"c1"`, "true", `"w1"`},
		{apps.AdvancedChat, "w1", runtimetest.Chat, "/v1/chat-messages", "/v1/chat-messages/t%201/stop", `"Hello"`, `"c1"`, "true", `"w1"`},
		{apps.Completion, "w1", runtimetest.Completion, "/v1/completion-messages", "/v1/completion-messages/t%201/stop", `"Hello"`, "", "", ""},
		{apps.Workflow, "", runtimetest.Workflow, "/v1/workflows/run", "/v1/workflows/tasks/t%201/stop", "", "", "", ""},
		{apps.Workflow, "w1", runtimetest.WorkflowByID, "/v1/workflows/w1/run", "/v1/workflows/tasks/t%201/stop", "", "", "", ""},
	} {
		t.Run("API-15 the mode says which route runs and stops: "+string(tc.mode)+" "+tc.workflow, func(t *testing.T) {
			rt, c := runtime(t, limits{})
			at := target(rt, tc.mode)
			r := request()
			r.Files, r.ConversationID, r.WorkflowID, r.AutoName = json.RawMessage(`[{"type":"image"}]`), "c1", tc.workflow, true
			if _, err := c.Block(t.Context(), at, r); err != nil {
				t.Fatal(err)
			}
			s, err := c.Stream(t.Context(), at, r)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(drain(s), s.Close()); err != nil {
				t.Error(err)
			}
			for i, call := range rt.Wait(t, tc.route, 2) {
				how := []string{`"blocking"`, `"streaming"`}[i]
				if call.Path != tc.path || call.Member("response_mode") != how || call.Member("inputs") != `{"a":1}` || call.Member("files") != `[{"type":"image"}]` ||
					call.Member("query") != tc.query || call.Member("conversation_id") != tc.conv || call.Member("auto_generate_name") != tc.naming || call.Member("workflow_id") != tc.member {
					t.Errorf("%s %s", call.Path, call.Body)
				}
			}
			if err := c.Stop(t.Context(), at, "t 1", user); err != nil {
				t.Error(err)
			}
			if all := rt.Calls(""); all[2].Path != tc.stop || string(all[2].Body) != `{"user":"`+user+`"}` {
				t.Errorf("%s %s", all[2].Path, all[2].Body)
			}
		})
	}
	for _, m := range []apps.Mode{apps.Agent, apps.Channel, apps.RAGPipeline} {
		t.Run("API-15 an app that does not run: "+string(m), func(t *testing.T) {
			rt, c := runtime(t, limits{})
			_, blocked := c.Block(t.Context(), target(rt, m), request())
			_, streamed := c.Stream(t.Context(), target(rt, m), request())
			stopped := c.Stop(t.Context(), target(rt, m), "t1", user)
			for _, err := range []error{blocked, streamed, stopped} {
				if !errors.Is(err, run.ErrNotRunnable) {
					t.Error(err)
				}
			}
			if n := len(rt.Calls("")); n != 0 {
				t.Errorf("called %d times", n)
			}
		})
	}
	t.Run("API-15 a completion without a query has an empty one, and no inputs are an object", func(t *testing.T) {
		rt, c := runtime(t, limits{})
		if _, err := c.Block(t.Context(), target(rt, apps.Completion), run.Request{User: user}); err != nil {
			t.Fatal(err)
		}
		if call := rt.Calls("")[0]; call.Member("query") != `""` || call.Member("inputs") != `{}` {
			t.Errorf("%s", call.Body)
		}
	})
	t.Run("API-23 a run that is followed", func(t *testing.T) {
		rt, c := runtime(t, limits{})
		if err := calls["events"].do(t, c, target(rt, apps.Workflow)); err != nil {
			t.Fatal(err)
		}
		if q := rt.Calls("")[0].Query; q.Get("include_state_snapshot") != "true" || q.Get("continue_on_pause") != "false" || q.Get("user") != user {
			t.Errorf("%v", q)
		}
	})
	for _, tc := range []struct {
		name, body string
		finished   bool
		event      string
		want       error
	}{
		{"it has ended", `{"id":"r1","workflow_id":"w","status":"failed","inputs":"{\"a\":1}","outputs":"{\"b\":2}","error":"no","total_steps":1,"total_tokens":2,"created_at":3,"finished_at":4,"elapsed_time":1.5}`, true,
			`{"id":"r1","workflow_id":"w","status":"failed","outputs":{"b":2},"error":"no","elapsed_time":1.5,"total_tokens":2,"total_steps":1,"created_at":3,"finished_at":4}`, nil},
		{"outputs that are an object, and little else", `{"status":"succeeded","outputs":{"b":2}}`, true,
			`{"id":null,"workflow_id":null,"status":"succeeded","outputs":{"b":2},"error":null,"elapsed_time":null,"total_tokens":null,"total_steps":null,"created_at":null,"finished_at":null}`, nil},
		{"it goes on", `{"id":"r1","status":"running"}`, false, "", nil},
		{"it waits", `{"id":"r1","status":"paused"}`, false, "", nil},
		{"nobody knows it", `null`, false, "", run.ErrNoWorkflowRun},
		{"no status", `{"id":"r1"}`, false, "", run.ErrUnavailable},
	} {
		t.Run("API-23 how a run ended: "+tc.name, func(t *testing.T) {
			rt, c := runtime(t, limits{})
			rt.On(runtimetest.Detail, runtimetest.Script{runtimetest.Answer(200, tc.body)})
			o, err := c.Outcome(t.Context(), target(rt, apps.Workflow), "r1")
			if !errors.Is(err, tc.want) || o.Finished != tc.finished || string(o.Event) != tc.event {
				t.Errorf("%v %s %v", o.Finished, o.Event, err)
			}
		})
	}
	t.Run("API-13 parameters of an app that is not set up", func(t *testing.T) {
		rt, c := runtime(t, limits{})
		rt.On(runtimetest.Parameters, runtimetest.Script{runtimetest.Status(400, "app_unavailable", "App unavailable")})
		if _, err := c.Parameters(t.Context(), target(rt, apps.Chat)); !errors.Is(err, run.ErrNotConfigured) {
			t.Error(err)
		}
	})
	t.Run("API-25 an answer to a form", func(t *testing.T) {
		rt, c := runtime(t, limits{})
		if err := c.Submit(t.Context(), target(rt, apps.Workflow), "f1", user, "yes", json.RawMessage(`{"a":[1]}`)); err != nil {
			t.Fatal(err)
		}
		if call := rt.Calls("")[0]; string(call.Body) != `{"inputs":{"a":[1]},"action":"yes","user":"`+user+`"}` {
			t.Errorf("%s", call.Body)
		}
	})
	for _, suffix := range []string{"", "/", "/v1", "/v1/", "/base", "/base/v1"} {
		t.Run("a base address that ends in "+suffix, func(t *testing.T) {
			rt, c := runtime(t, limits{})
			at := target(rt, apps.Chat)
			at.URL += suffix
			_, _ = c.Parameters(t.Context(), at)
			want := strings.TrimSuffix(strings.TrimSuffix(suffix, "/"), "/v1") + "/v1/parameters"
			if call := rt.Calls("")[0]; call.Path != want {
				t.Errorf("%s, not %s", call.Path, want)
			}
		})
	}
}

func TestUser(t *testing.T) {
	t.Run("API-21 every call that names somebody names the subject", func(t *testing.T) {
		for name, call := range calls {
			rt, c := runtime(t, limits{})
			if err := call.do(t, c, target(rt, apps.Chat)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			want := user
			if name == "parameters" || name == "info" || name == "outcome" || name == "form" {
				want = "" // of the app, whoever asks
			}
			if got := rt.Calls("")[0]; got.User != want || got.Header.Get("Authorization") != "Bearer "+key || got.Header.Get("Cookie") != "" {
				t.Errorf("%s: %q %v", name, got.User, got.Header)
			}
		}
	})
	t.Run("API-21 a user that comes from elsewhere is sent nowhere", func(t *testing.T) {
		rt, c := runtime(t, limits{})
		at := target(rt, apps.Chat)
		for _, who := range []string{"", "alice@example.com"} {
			_, blocked := c.Block(t.Context(), at, run.Request{User: who})
			_, streamed := c.Stream(t.Context(), at, run.Request{User: who})
			_, followed := c.Events(t.Context(), at, "r1", who, run.EventOptions{})
			_, uploaded := c.Upload(t.Context(), at, who, run.File{Name: "a", Content: strings.NewReader("")})
			for _, err := range []error{blocked, streamed, followed, uploaded, c.Stop(t.Context(), at, "t", who), c.Submit(t.Context(), at, "f", who, "", nil), c.DeleteConversation(t.Context(), at, "c", who)} {
				if !errors.Is(err, fault.ErrInternal) {
					t.Errorf("%v", err)
				}
			}
		}
		if n := len(rt.Calls("")); n != 0 {
			t.Errorf("called %d times", n)
		}
	})
	t.Run("API-21 it is stable, opaque, and of two issuers never alike", func(t *testing.T) {
		a := run.UserOf(token.Subject{Issuer: "https://a.example", ID: "alice@example.com"})
		b := run.UserOf(token.Subject{Issuer: "https://b.example", ID: "alice@example.com"})
		if a == b || a != run.UserOf(token.Subject{Issuer: "https://a.example", ID: "alice@example.com"}) || len(a) != 66 || strings.Contains(a, "alice") {
			t.Error(a, b)
		}
		if user != "u_82e62b41913ed61ada805a113179464db1e60586a891ed8e26b42ec5c808926c" {
			t.Error(user)
		}
	})
}

func TestForeignElementsOfPaths(t *testing.T) {
	for _, id := range []string{"", ".", "..", "a/b", `a\b`, "a%2fb", "a?b", "a#b", "a;b", "a\nb", "a\x00b", "a\x7fb", strings.Repeat("a", 256)} {
		rt, c := runtime(t, limits{})
		at := target(rt, apps.Workflow)
		_, form := c.Form(t.Context(), at, id)
		_, events := c.Events(t.Context(), at, id, user, run.EventOptions{})
		_, outcome := c.Outcome(t.Context(), at, id)
		for name, got := range map[error]error{
			run.ErrFormNotFound: form, run.ErrNoWorkflowRun: errors.Join(events, outcome), run.ErrNoConversation: c.DeleteConversation(t.Context(), at, id, user),
			run.ErrRefused: c.Stop(t.Context(), at, id, user),
		} {
			if !errors.Is(got, name) {
				t.Errorf("%q: %v, not %v", id, got, name)
			}
		}
		if err := c.Submit(t.Context(), at, id, user, "yes", nil); !errors.Is(err, run.ErrFormNotFound) {
			t.Errorf("%q: %v", id, err)
		}
		if id != "" {
			if _, err := c.Block(t.Context(), at, run.Request{User: user, WorkflowID: id}); !errors.Is(err, run.ErrRefused) {
				t.Errorf("%q: %v", id, err)
			}
		}
		if n := len(rt.Calls("")); n != 0 {
			t.Errorf("%q: called %d times", id, n)
		}
	}
}

func TestUpload(t *testing.T) {
	t.Run("API-24 a file is sent while it is read, and never held whole", func(t *testing.T) {
		rt, c := runtime(t, limits{})
		const size = 64 << 20
		before := allocated()
		body, err := c.Upload(t.Context(), target(rt, apps.Chat), user, run.File{Name: `a "b" é.bin`, MediaType: "application/pdf", Content: io.LimitReader(zeros{}, size)})
		if err != nil || !strings.Contains(string(body), `"size":67108864`) {
			t.Fatalf("%s %v", body, err)
		}
		if f := rt.Calls("")[0].File; f.Name != `a "b" é.bin` || f.MediaType != "application/pdf" || f.Size != size || !f.Whole {
			t.Errorf("%+v", f)
		}
		if grown := allocated() - before; grown > 16<<20 {
			t.Errorf("%d bytes were allocated", grown)
		}
	})
	t.Run("API-24 a file that breaks off ends the request, and is what failed", func(t *testing.T) {
		rt, c := runtime(t, limits{})
		broken := errors.New("the client has left")
		_, err := c.Upload(t.Context(), target(rt, apps.Chat), user, run.File{Name: "a", Content: io.MultiReader(strings.NewReader("abc"), failing{broken})})
		if !errors.Is(err, broken) {
			t.Error(err)
		}
		if f := rt.Wait(t, runtimetest.Upload, 1)[0].File; f.Whole {
			t.Errorf("%+v", f)
		}
	})
	t.Run("API-24 HTTP-22 a media type of several lines is sent to nobody", func(t *testing.T) {
		rt, c := runtime(t, limits{})
		_, err := c.Upload(t.Context(), target(rt, apps.Chat), user, run.File{Name: "a", MediaType: "a/b\r\nX: y", Content: strings.NewReader("abc")})
		if n := len(rt.Calls("")); err == nil || n != 0 {
			t.Errorf("%v, %d calls", err, n)
		}
	})
	t.Run("API-24 nobody reads the file after the end", func(t *testing.T) {
		rt, c := runtime(t, limits{})
		rt.On(runtimetest.Upload, runtimetest.Script{runtimetest.Cut()})
		guarded := &guarded{t: t}
		if _, err := c.Upload(t.Context(), target(rt, apps.Chat), user, run.File{Name: "a", Content: io.LimitReader(guarded, 8<<20)}); !errors.Is(err, run.ErrUnavailable) {
			t.Error(err)
		}
		guarded.over.Store(true)
	})
	t.Run("API-24 a refusal that comes before the file was read is the refusal", func(t *testing.T) {
		early := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			_, _ = io.WriteString(w, `{"code":"file_too_large","message":"x","status":413}`)
		}))
		t.Cleanup(early.Close)
		rt, c := runtime(t, limits{})
		at := target(rt, apps.Chat)
		at.URL = early.URL
		for range 10 {
			if _, err := c.Upload(t.Context(), at, user, run.File{Name: "a", Content: io.LimitReader(zeros{}, 16<<20)}); !errors.Is(err, run.ErrFileTooLarge) {
				t.Error(err)
			}
		}
	})
}
