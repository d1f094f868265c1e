// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/runtimetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// rnAppKey is what a runtime takes. Nobody else may ever see it.
const rnAppKey = "app-a-key-that-stays-with-us"

var rnLocal = apitest.Set("RUNTIME_ALLOWED_HOSTS", "127.0.0.1")

// rnDify makes an app of a mode on a runtime, with its sealed key.
func rnDify(t testing.TB, s *apitest.Server, mode apps.Mode, url string) apps.App {
	t.Helper()
	a := s.NewApp(t, apps.App{WorkspaceID: sqlText(t, s, `SELECT id FROM workspaces`), Mode: mode, Runtime: apps.RuntimeDify, RuntimeURL: url, APIEnabled: true})
	if _, err := s.App.Registry.SetKey(t.Context(), apps.Operator(audit.Operator), a.ID, secret.New(rnAppKey)); err != nil {
		t.Fatal(err)
	}
	return a
}

// read gives what the released client makes of a stream: the name of an event is its
// line's or its data's, an event without its blank line is dropped, and the end is a
// success unless an event says error.
func rnClientReads(t testing.TB, body io.Reader) (names []string, answer string, exit int) {
	t.Helper()
	name, data := "", ""
	for in := bufio.NewScanner(body); in.Scan(); {
		switch line := in.Text(); {
		case line == "":
			var e struct {
				Event, Answer, Message string
				Status                 *int
			}
			if data != "" && json.Unmarshal([]byte(data), &e) != nil {
				t.Fatalf("the client cannot parse %q", data)
			}
			if name == "" {
				name = e.Event
			}
			switch name {
			case "message", "agent_message":
				answer += e.Answer
			case "error":
				if exit = 1; e.Status == nil || e.Message == "" {
					t.Fatalf("the client reads no status or message in %q", data)
				}
			}
			names = append(names, name)
			name, data = "", ""
		case strings.HasPrefix(line, "event:"):
			name = strings.TrimSpace(line[len("event:"):])
		case strings.HasPrefix(line, "data:"):
			data += strings.TrimPrefix(line[len("data:"):], " ")
		}
	}
	return names, answer, exit
}

func TestDifyctlRuns(t *testing.T) {
	rt := runtimetest.New(t, rnAppKey)
	s := apitest.Start(t, unlimited(), rnLocal, apitest.Set("SHUTDOWN_GRACE", "0s"))
	bearer := rnBearer(t, s, ownerID(t, s), apitest.OwnerEmail)
	ask := func(t *testing.T, a apps.App, body string) *http.Response {
		t.Helper()
		c := htDial(t, s.URL)
		c.send("POST /openapi/v1/apps/" + a.ID + "/run HTTP/1.1\r\nauthorization: Bearer " + bearer +
			"\r\ncontent-type: application/json\r\nuser-agent: difyctl/0.1.0-rc.1 (linux; x64; rc)\r\nConnection: keep-alive\r\naccept: text/event-stream\r\nHost: " +
			strings.TrimPrefix(s.URL, "http://") + fmt.Sprintf("\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		res, err := http.ReadResponse(c.in, &http.Request{Method: http.MethodPost})
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == http.StatusOK && (res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Content-Encoding") != "") {
			t.Fatalf("%v", res.Header)
		}
		return res
	}
	user := run.UserOf(token.AccountSubject(ownerID(t, s), ""))
	t.Run("M-26 API-15 API-16 its runs, in every mode that it streams", func(t *testing.T) {
		for mode, tc := range map[apps.Mode]struct {
			route  runtimetest.Route
			body   string
			script runtimetest.Script
			answer string
		}{
			apps.Chat:         {runtimetest.Chat, `{"inputs":{},"query":"hello"}`, rnSays("message", "message_end"), "hi"},
			apps.AgentChat:    {runtimetest.Chat, `{"inputs":{},"query":"hello"}`, rnSays("agent_message", "message_end"), "hi"},
			apps.AdvancedChat: {runtimetest.Chat, `{"inputs":{"a":"b"},"query":"hello"}`, rnSays("message", "workflow_finished", "message_end"), "hi"},
			apps.Completion:   {runtimetest.Completion, `{"inputs":{}}`, rnSays("message", "message_end"), "hi"},
			apps.Workflow:     {runtimetest.Workflow, `{"inputs":{"n":1}}`, rnSays("workflow_started", "node_started", "workflow_finished"), ""},
		} {
			rt.On(tc.route, tc.script)
			a := rnDify(t, s, mode, rt.URL)
			n := len(rt.Calls(tc.route))
			res := ask(t, a, tc.body)
			names, answer, exit := rnClientReads(t, res.Body)
			if res.StatusCode != http.StatusOK || exit != 0 || answer != tc.answer || len(names) != len(tc.script)-1 {
				t.Errorf("%s: %d, exit %d, %q, %v", mode, res.StatusCode, exit, answer, names)
			}
			call := rt.Wait(t, tc.route, n+1)[n]
			if call.User != user || call.Header.Get("Authorization") != "Bearer "+rnAppKey {
				t.Errorf("%s: asked as %q", mode, call.User)
			}
		}
	})
	t.Run("M-26 API-17 a run that breaks off exits 1, and so does one that a runtime refuses", func(t *testing.T) {
		a := rnDify(t, s, apps.Chat, rt.URL)
		rt.On(runtimetest.Chat, append(rnSays("message"), runtimetest.Cut()), runtimetest.Script{runtimetest.Status(400, "provider_quota_exceeded", "Quota exceeded.")})
		if names, _, exit := rnClientReads(t, ask(t, a, rnHello).Body); exit != 1 || len(names) != 2 {
			t.Errorf("exit %d, %v", exit, names)
		}
		res := ask(t, a, rnHello)
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		wantFailureShape(t, apitest.Answer{Status: res.StatusCode, Header: res.Header, Body: string(body)})
		if !strings.Contains(string(body), "provider_quota_exceeded") {
			t.Errorf("%s", body)
		}
	})
	t.Run("M-26 API-19 Ctrl-C drops the connection, and the runtime is told", func(t *testing.T) {
		rt.On(runtimetest.Chat, append(rnSays("message"), runtimetest.Hang()))
		a := rnDify(t, s, apps.Chat, rt.URL)
		before := len(rt.Calls(runtimetest.StopChat))
		c := rnOpen(t, s.URL, bearer, "/openapi/v1/apps/"+a.ID+"/run", rnHello)
		c.next()
		calls := rt.Calls(runtimetest.Chat)
		last := calls[len(calls)-1]
		at := time.Now()
		c.leave()
		rnWithin(t, rnSoon, "the runtime's connection ends", last.Dropped())
		stop := rt.Wait(t, runtimetest.StopChat, before+1)[before]
		if !strings.Contains(stop.Path, last.Task) || stop.User != user || stop.At.Sub(at) > rnSoon {
			t.Errorf("%s as %s after %s", stop.Path, stop.User, stop.At.Sub(at))
		}
	})
	t.Run("API-20 the app's key is in no log", func(t *testing.T) {
		if strings.Contains(s.Log.String(), rnAppKey) {
			t.Error("it is")
		}
	})
}

// rnSays is a stream of these events, each with a task.
func rnSays(names ...string) runtimetest.Script {
	script := runtimetest.Script{runtimetest.Begin()}
	for _, name := range names {
		script = append(script, runtimetest.Event(`{"event":"`+name+`","task_id":"{task}","answer":"hi"}`))
	}
	return script
}

// Four hundred streams at once: what they hold is small, and gone when their clients are.
func TestManyStreams(t *testing.T) {
	slow(t)
	const many = 400
	rt := runtimetest.New(t, rnAppKey)
	s := apitest.Start(t, unlimited(), rnLocal, apitest.Set("SHUTDOWN_GRACE", "0s"))
	bearer := rnBearer(t, s, ownerID(t, s), apitest.OwnerEmail)
	a := rnDify(t, s, apps.Chat, rt.URL)
	rt.On(runtimetest.Chat, append(rnSays("message"), runtimetest.Hang()))
	transport := &http.Transport{DisableKeepAlives: true}
	t.Run("API-19 400 clients leave, and every connection to the runtime, every goroutine and every count goes with them", func(t *testing.T) {
		held := rnHeld()
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		var begun, over sync.WaitGroup
		for range many {
			begun.Add(1)
			over.Go(func() {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/openapi/v1/apps/"+a.ID+"/run", strings.NewReader(rnHello))
				if err != nil {
					panic(err)
				}
				req.Header.Set("Authorization", "Bearer "+bearer)
				req.Header.Set("Content-Type", "application/json")
				res, err := transport.RoundTrip(req)
				if err != nil {
					t.Error(err)
					begun.Done()
					return
				}
				defer func() { _ = res.Body.Close() }()
				if _, err := res.Body.Read(make([]byte, 1)); err != nil {
					t.Error(err)
				}
				begun.Done()
				_, _ = io.Copy(io.Discard, res.Body)
			})
		}
		begun.Wait()
		if n := rnOpenStreams(t, s); n != many {
			t.Errorf("%d streams are open", n)
		}
		// The clients' and the runtime's ends are in this process and in the figure too: core's
		// own part is about half of it.
		grown := rnHeld() - held
		if t.Logf("%d streams hold %d KiB with both of their other ends", many, grown>>10); grown > 110<<20 {
			t.Errorf("%d streams hold %d KiB", many, grown>>10)
		}
		at := time.Now()
		leave()
		over.Wait()
		for _, call := range rt.Calls(runtimetest.Chat) {
			rnWithin(t, htPatience, "a runtime's connection ends", call.Dropped())
		}
		t.Logf("the runtime's connections were closed after %s", time.Since(at))
		rt.Wait(t, runtimetest.StopChat, many)
		eventually(t, func() (bool, string) { return rnOpenStreams(t, s) == 0, "streams are still counted" })
		eventually(t, func() (bool, string) {
			var stacks strings.Builder
			if err := pprof.Lookup("goroutine").WriteTo(&stacks, 1); err != nil {
				return false, err.Error()
			}
			for _, ours := range []string{"internal/run.(*Live)", "internal/run.(*slot)", "server.left", "server.(*streamBody)", "internal/serviceapi."} {
				if strings.Contains(stacks.String(), ours) {
					return false, "a goroutine stands in " + ours
				}
			}
			return true, ""
		})
	})
}

// rnHeld is the memory that is in use once what is not has gone.
func rnHeld() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}
