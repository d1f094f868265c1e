// SPDX-License-Identifier: Apache-2.0

package onhost_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/process"
	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

// chatRuntime is an app of a runtime that says the next event when it is told to, and
// measures what is uploaded.
type chatRuntime struct {
	more     chan int
	uploaded chan int64
}

func (c *chatRuntime) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/files/upload") {
		f, head, err := r.FormFile("file")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		size, _ := io.Copy(io.Discard, f)
		c.uploaded <- size
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"id": "0b6ca4d5-0000-4000-8000-000000000001", "name": head.Filename, "size": size, "extension": "mp4", "mime_type": "video/mp4", "created_at": 1})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	for {
		_ = http.NewResponseController(w).Flush()
		select {
		case n, open := <-c.more:
			if !open {
				return
			}
			_, _ = fmt.Fprintf(w, "data: {\"event\":\"message\",\"task_id\":\"t\",\"answer\":\"%d\"}\n\n", n)
		case <-r.Context().Done():
			return
		}
	}
}

// streams shows that a proxy holds nothing back, in either direction.
func streams(t *testing.T, way http.RoundTripper, data string) {
	c := &chatRuntime{more: make(chan int), uploaded: make(chan int64, 1)}
	runtime := httptest.NewServer(c)
	t.Cleanup(runtime.Close)
	core, environ := process.Program(t, "core"), []string{"DATA_DIR=" + data}
	process.Do(t, environ, ownerPassword+"\n", core, "admin", "create-owner", "--email", ownerEmail, "--name", "Ada", "--workspace", "Engines", "--password-file", "-")
	var app struct {
		ID string `json:"app_id"`
	}
	if out := process.Do(t, environ, "app-key\n", core, "app", "add", "Chat", "--mode", "chat", "--runtime-url", runtime.URL, "--key-file", "-", "-o", "json"); json.Unmarshal([]byte(out), &app) != nil || app.ID == "" {
		t.Fatal(out)
	}
	v := visitor.New("https://"+coreHost, way)
	if err := v.SignIn(t.Context(), ownerEmail, ownerPassword); err != nil {
		t.Fatal(err)
	}
	token, err := v.Login(t.Context(), "laptop")
	if err != nil {
		t.Fatal(err)
	}
	post := func(path, media string, body io.Reader) *http.Response {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		t.Cleanup(cancel)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+coreHost+"/openapi/v1/apps/"+app.ID+path, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", media)
		a, err := way.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = a.Body.Close() })
		return a
	}

	t.Run("API-16 an event arrives before the runtime says the next", func(t *testing.T) {
		a := post("/run", "application/json", strings.NewReader(`{"inputs":{},"query":"hello"}`))
		if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "text/event-stream" {
			said, _ := io.ReadAll(a.Body)
			t.Fatalf("%d %s", a.StatusCode, said)
		}
		lines := bufio.NewScanner(a.Body)
		for n := range 3 {
			c.more <- n
			for lines.Scan() && !strings.HasPrefix(lines.Text(), "data:") {
			}
			if !strings.Contains(lines.Text(), fmt.Sprintf(`"answer":"%d"`, n)) {
				t.Fatalf("event %d is %q: %v", n, lines.Text(), lines.Err())
			}
		}
		close(c.more)
	})
	t.Run("API-24 a file of 8 MiB passes whole", func(t *testing.T) {
		const size = 8 << 20
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		part, err := form.CreateFormFile("file", "film.mp4")
		if err == nil {
			_, err = part.Write(make([]byte, size))
		}
		if err != nil || form.Close() != nil {
			t.Fatal(err)
		}
		a := post("/files/upload", form.FormDataContentType(), &body)
		if said, _ := io.ReadAll(a.Body); a.StatusCode != http.StatusCreated {
			t.Fatalf("%d %s", a.StatusCode, said)
		}
		if got := <-c.uploaded; got != size {
			t.Errorf("%d bytes arrived", got)
		}
	})
}
