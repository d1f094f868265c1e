// SPDX-License-Identifier: Apache-2.0

package runtimetest_test

import (
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/runtimetest"
)

func ask(t *testing.T, ctx context.Context, method, address, key, body string) (*http.Response, error) {
	t.Helper()
	q, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+key)
	return http.DefaultTransport.RoundTrip(q)
}

func text(t *testing.T, method, address, key, body string) (int, string, error) {
	t.Helper()
	r, err := ask(t, t.Context(), method, address, key, body)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, string(b), err
}

func TestRuntime(t *testing.T) {
	t.Run("it answers as a healthy runtime, and remembers who asked", func(t *testing.T) {
		rt := runtimetest.New(t, "key")
		for _, tc := range []struct {
			method, path, body string
			status             int
			has                string
		}{
			{"POST", "/v1/chat-messages", `{"query":"a \"b\"","user":"u"}`, 200, `data: {"event":"message_end"`},
			{"POST", "/v1/completion-messages", `{"query":"q","user":"u","response_mode":"blocking"}`, 200, `"answer":"echo:q"`},
			{"POST", "/v1/workflows/run", `{"user":"u"}`, 200, `data: {"event":"workflow_finished"`},
			{"POST", "/v1/workflows/w1/run", `{"user":"u"}`, 200, `data: {"event":"workflow_finished"`},
			{"POST", "/v1/chat-messages/t/stop", `{"user":"u"}`, 200, `"success"`},
			{"POST", "/v1/workflows/tasks/t/stop", `{"user":"u"}`, 200, `"success"`},
			{"GET", "/v1/parameters?user=u", ``, 200, `"opening_statement"`},
			{"GET", "/v1/workflow/r1/events?user=u", ``, 200, `"workflow_run_id":"r1"`},
			{"GET", "/v1/workflows/run/r1?user=u", ``, 200, `"id":"r1"`},
			{"DELETE", "/v1/conversations/c", `{"user":"u"}`, 204, ``},
			{"GET", "/v1/nowhere?user=u", ``, 404, `"not_found"`},
		} {
			status, body, err := text(t, tc.method, rt.URL+tc.path, "key", tc.body)
			if err != nil || status != tc.status || !strings.Contains(body, tc.has) {
				t.Errorf("%s: %d %s %v", tc.path, status, body, err)
			}
		}
		for _, c := range rt.Calls("") {
			if c.User != "u" {
				t.Errorf("%s %s: user %q", c.Method, c.Path, c.User)
			}
		}
	})
	t.Run("an upload is read and not kept", func(t *testing.T) {
		rt := runtimetest.New(t, "key")
		var b strings.Builder
		form := multipart.NewWriter(&b)
		_ = form.WriteField("user", "u")
		part, _ := form.CreateFormFile("file", "a.txt")
		_, _ = io.WriteString(part, "abc")
		_ = form.Close()
		q, _ := http.NewRequestWithContext(t.Context(), "POST", rt.URL+"/v1/files/upload", strings.NewReader(b.String()))
		q.Header.Set("Authorization", "Bearer key")
		q.Header.Set("Content-Type", form.FormDataContentType())
		r, err := http.DefaultTransport.RoundTrip(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		c := rt.Wait(t, runtimetest.Upload, 1)[0]
		if r.StatusCode != 201 || c.User != "u" || c.File.Size != 3 || c.File.Name != "a.txt" || !c.File.Whole {
			t.Errorf("%d %+v %+v", r.StatusCode, c, c.File)
		}
	})
	t.Run("another key", func(t *testing.T) {
		rt := runtimetest.New(t, "key")
		if status, body, err := text(t, "GET", rt.URL+"/v1/parameters", "wrong", ""); status != 401 || err != nil {
			t.Errorf("%d %s %v", status, body, err)
		}
	})
	t.Run("scripts go one by one, the last for ever", func(t *testing.T) {
		rt := runtimetest.New(t, "key")
		rt.On(runtimetest.Parameters, runtimetest.Script{runtimetest.Status(500, "x", "y")}, runtimetest.Script{runtimetest.Header("Retry-After", "3"), runtimetest.Status(429, "x", "y")})
		for _, want := range []int{500, 429, 429} {
			if status, body, err := text(t, "GET", rt.URL+"/v1/parameters", "key", ""); status != want || err != nil {
				t.Errorf("%d %s %v", status, body, err)
			}
		}
		rt.On(runtimetest.Parameters)
		if status, _, err := text(t, "GET", rt.URL+"/v1/parameters", "key", ""); status != 200 || err != nil {
			t.Errorf("%d %v", status, err)
		}
	})
	t.Run("a stream that breaks off has no end", func(t *testing.T) {
		rt := runtimetest.New(t, "key")
		rt.On(runtimetest.Chat, runtimetest.Script{runtimetest.Begin(), runtimetest.Event(`{"event":"message"}`), runtimetest.Raw(`data: {"ev`), runtimetest.Cut()})
		if status, body, err := text(t, "POST", rt.URL+"/v1/chat-messages", "key", "{}"); status != 200 || err == nil || !strings.HasSuffix(body, `data: {"ev`) {
			t.Errorf("%d %s %v", status, body, err)
		}
	})
	t.Run("what is no HTTP", func(t *testing.T) {
		rt := runtimetest.New(t, "key")
		rt.On(runtimetest.Chat, runtimetest.Script{runtimetest.Wire("SSH-2.0-x\r\n")})
		if status, _, err := text(t, "POST", rt.URL+"/v1/chat-messages", "key", "{}"); err == nil {
			t.Error(status)
		}
	})
	t.Run("a client that leaves is noticed", func(t *testing.T) {
		rt := runtimetest.New(t, "key")
		for _, script := range []runtimetest.Script{
			{runtimetest.Hang()}, {runtimetest.Begin(), runtimetest.Hang()}, {runtimetest.Begin(), runtimetest.Endless(": x\n")},
		} {
			rt.On(runtimetest.Chat, script)
			ctx, cancel := context.WithCancel(t.Context())
			before := len(rt.Calls(runtimetest.Chat))
			go func() {
				if r, err := ask(t, ctx, "POST", rt.URL+"/v1/chat-messages", "key", "{}"); err == nil {
					<-ctx.Done()
					_ = r.Body.Close()
				}
			}()
			c := rt.Wait(t, runtimetest.Chat, before+1)[before]
			cancel()
			<-c.Dropped()
			<-c.Done()
		}
	})
}
