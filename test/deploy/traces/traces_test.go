// SPDX-License-Identifier: Apache-2.0

package traces_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/process"
	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

func TestMain(m *testing.M) { process.Main(m) }

const email, password, appKey = "ada@example.com", "correct horse battery", "app-abcdefghijklmnopqrstuvwx"

// runtime answers a chat with two events, and keeps the traceparent that it was sent.
func runtime(t *testing.T) (address string, parent chan string) {
	parent = make(chan string, 8)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		parent <- r.Header.Get("Traceparent")
		w.Header().Set("Content-Type", "text/event-stream")
		for _, event := range []string{
			`{"event":"message","task_id":"t","id":"m","message_id":"m","conversation_id":"c","answer":"hello","created_at":1700000000}`,
			`{"event":"message_end","task_id":"t","id":"m","message_id":"m","conversation_id":"c","metadata":{}}`,
		} {
			_, _ = fmt.Fprintf(w, "data: %s\n\n", event)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, parent
}

func TestTraces(t *testing.T) {
	program, c := process.Program(t, "core"), startCollector(t)
	answers, parent := runtime(t)
	public, inner, dir := process.Free(t, "127.0.0.1"), process.Free(t, "127.0.0.1"), t.TempDir()
	environ := []string{
		"DATA_DIR=" + dir, "LISTEN=" + public, "INNER_LISTEN=" + inner, "CONSOLE_API_URL=http://" + public, "RUNTIME_ALLOWED_HOSTS=127.0.0.1",
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL, "OTEL_EXPORTER_OTLP_HEADERS=x-tenant=a,authorization=canary",
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(appKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	process.Do(t, environ, password+"\n", program, "admin", "create-owner", "--email", email, "--name", "Ada", "--workspace", "Analytical", "--password-file", "-")
	made := process.Do(t, environ, "", program, "app", "add", "Help desk", "--mode", "chat", "--runtime-url", answers, "--key-file", key)
	app := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).FindString(made)
	core := process.Start(t, environ, program, "serve")
	core.Until("http://" + inner + "/readyz")

	ctx := context.Background()
	v := visitor.New("http://"+public, nil)
	if err := v.SignIn(ctx, email, password); err != nil {
		t.Fatal(err)
	}
	token, err := v.Login(ctx, "laptop")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := v.Get(ctx, token, "/openapi/v1/account", nil); err != nil {
			t.Fatal(err)
		}
	}
	const stranger = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+public+"/openapi/v1/apps/"+app+"/run", strings.NewReader(`{"inputs":{},"query":"canary-query"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "Traceparent": {stranger}}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	events, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || answer.StatusCode != http.StatusOK || strings.Count(string(events), "data: ") != 2 {
		t.Fatalf("%v %d %s", err, answer.StatusCode, events)
	}

	t.Run("a device login: the winning poll's mint is one tree, with its commit", func(t *testing.T) {
		root := c.roots(1, "POST /openapi/v1/oauth/device/token")[0]
		if below := c.below(root); !slices.Contains(below, "BEGIN") || !slices.Contains(below, "COMMIT") || !slices.ContainsFunc(below, func(n string) bool { return strings.HasSuffix(n, " oauth_access_tokens") }) {
			t.Errorf("below: %q", below)
		}
		if len(root.ParentSpanId) != 0 || attr(root, "dify_sso.client_id") != "difyctl" || attr(root, "dify_sso.subject_type") != "account" {
			t.Errorf("%v", root)
		}
	})
	t.Run("a bearer is read from the database once, and then asks no store who it is", func(t *testing.T) {
		both := c.roots(2, "GET /openapi/v1/account")
		cold, warm := c.below(both[0]), c.below(both[1])
		asked := func(names []string) bool { return slices.Contains(names, "SELECT oauth_access_tokens") }
		if !asked(cold) || asked(warm) {
			t.Errorf("cold %q, warm %q", cold, warm)
		}
		if attr(both[0], "dify_sso.token_id") == "" || attr(both[0], "dify_sso.token_id") != attr(both[1], "dify_sso.token_id") {
			t.Error("the reads name no token, or two")
		}
	})
	t.Run("a run is one span from head to end, its runtime is told of it, and a stranger's trace is not taken", func(t *testing.T) {
		root := c.roots(1, "POST /openapi/v1/apps/:app/run")[0]
		id := hex.EncodeToString(root.TraceId)
		told := <-parent
		if len(told) != 55 || told[3:35] != id || strings.Contains(stranger, id) || len(root.ParentSpanId) != 0 {
			t.Errorf("the runtime was told %q of %s", told, id)
		}
		if below := c.below(root); !slices.Contains(below, "POST runtime") {
			t.Errorf("below: %q", below)
		}
		if attr(root, "dify_sso.app") != app {
			t.Errorf("%v", root)
		}
		line := regexp.MustCompile(`(?m)^.*"route":"/openapi/v1/apps/:app/run".*$`).FindString(core.Said.String())
		for _, want := range []string{`"trace_id":"` + id + `"`, `"span_id":"` + hex.EncodeToString(root.SpanId) + `"`, `"events":2`, `"runtime_trips":1`, `"sql_ms":`, `"subject_type":"account"`, `"client_id":"difyctl"`, `"token_id":"`, `"stream":"whole"`} {
			if !strings.Contains(line, want) {
				t.Errorf("no %s in %s", want, line)
			}
		}
	})
	t.Run("the end of the process sends what waits", func(t *testing.T) {
		if err := v.Logout(ctx, token); err != nil {
			t.Fatal(err)
		}
		core.Signal(syscall.SIGTERM)
		<-core.Ended
		c.roots(1, "DELETE /openapi/v1/account/sessions/self")
	})
	t.Run("no secret and nothing that somebody wrote is in a span", func(t *testing.T) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.names["core"] || len(c.names) != 1 || len(c.raw) < 1000 {
			t.Fatalf("services %v, %d bytes: the test proves nothing", c.names, len(c.raw))
		}
		for _, shape := range []string{`df(oa|oe)_[A-Za-z0-9_-]{8}`, `dc_[A-Za-z0-9_-]{43}`, `app-[A-Za-z0-9]{8}`, `eyJ`, `canary`, regexp.QuoteMeta(email), regexp.QuoteMeta(password), `laptop`, `\$1`, regexp.QuoteMeta(token[5:])} {
			if found := regexp.MustCompile(shape).FindString(c.raw); found != "" {
				t.Errorf("%s is in a span", shape)
			}
		}
	})
}

// A collector that is down changes nothing but a count.
func TestWithoutItsCollector(t *testing.T) {
	program := process.Program(t, "core")
	public, inner := process.Free(t, "127.0.0.1"), process.Free(t, "127.0.0.1")
	environ := []string{
		"DATA_DIR=" + t.TempDir(), "LISTEN=" + public, "INNER_LISTEN=" + inner, "CONSOLE_API_URL=http://" + public,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + process.Free(t, "127.0.0.1"),
	}
	core := process.Start(t, environ, program, "serve")
	core.Until("http://" + inner + "/readyz")
	t.Run("the process ends, and says in its last lines what was lost", func(t *testing.T) {
		core.Until("http://" + public + "/openapi/v1/_health")
		core.Stop(30 * time.Second)
		if out := core.Said.String(); !strings.Contains(out, "spans are lost") {
			t.Error(out)
		}
	})
}
