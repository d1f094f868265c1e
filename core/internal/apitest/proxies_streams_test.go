// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/runtimetest"
)

// What the documented proxies do to streams and to large bodies: nothing.
func TestStreamsBehindProxies(t *testing.T) {
	for _, kind := range pxKinds {
		t.Run(kind, func(t *testing.T) { pxStreams(t, kind) })
	}
}

func pxStreams(t *testing.T, kind string) {
	w := dyStart(t, faProxied, apitest.Set("TRUSTED_PROXIES", "127.0.0.1/32"), apitest.Set("RUNTIME_ALLOWED_HOSTS", "127.0.0.1"))
	path := w.app(t, apps.Chat, w.rt.URL)
	p := pxStart(t, kind, pxTargets{core: w.URL, inner: w.Inner, api: w.URL, key: faKey})
	open := func(t *testing.T) *rnStream {
		t.Helper()
		ctx, leave := context.WithCancel(t.Context())
		req := p.request(t, pxCore, "POST", path, rnHello, "Authorization", "Bearer "+w.bearers["normal"], "Content-Type", "application/json")
		res := p.do(t, req.WithContext(ctx))
		t.Cleanup(func() { leave(); _ = res.Body.Close() })
		return &rnStream{t: t, res: res, in: bufio.NewReader(res.Body), leave: leave}
	}

	t.Run("API-16 the head and each event come before the runtime says more", func(t *testing.T) {
		const events = 3
		var gates [events + 1]chan struct{}
		script := runtimetest.Script{runtimetest.Begin()}
		for i := range gates {
			gates[i] = make(chan struct{})
			script = append(script, runtimetest.Await(gates[i]), runtimetest.Event(fmt.Sprintf(`{"event":"message","task_id":"{task}","answer":"%d"}`, i)))
		}
		w.rt.On(runtimetest.Chat, append(script, runtimetest.Event(`{"event":"message_end"}`)))
		s := open(t) // nothing was said by then
		if got := s.res.Header.Get("Content-Type"); s.res.StatusCode != http.StatusOK || got != "text/event-stream" {
			t.Fatalf("%d %s", s.res.StatusCode, got)
		}
		for i := range events {
			close(gates[i])
			if frame := s.next(); !strings.Contains(frame, fmt.Sprintf(`"answer":"%d"`, i)) {
				t.Fatalf("event %d is %q", i, frame)
			}
		}
		close(gates[events])
		if rest := s.rest(); len(rest) != 2 || rest[1] != "data: {\"event\":\"message_end\"}\n\n" {
			t.Errorf("%q", rest)
		}
	})
	t.Run("API-19 a client that leaves an idle stream ends the work behind both, within 2 s", func(t *testing.T) {
		stops := len(w.rt.Calls(runtimetest.StopChat))
		w.rt.On(runtimetest.Chat, runtimetest.Script{runtimetest.Begin(), runtimetest.Event(`{"event":"message","task_id":"{task}"}`), runtimetest.Hang()})
		s := open(t)
		s.next()
		calls := w.rt.Calls(runtimetest.Chat)
		call := calls[len(calls)-1]
		at := time.Now()
		s.leave()
		rnWithin(t, rnSoon, "the runtime's request ends", call.Dropped())
		stopped := w.rt.Wait(t, runtimetest.StopChat, stops+1)[stops]
		if took := stopped.At.Sub(at); took > rnSoon || !strings.Contains(stopped.Path, call.Task) {
			t.Errorf("%s after %s", stopped.Path, took)
		}
	})
	// A file as large as any may be, and one that is too large: core judges, by kind.
	upload := func(t *testing.T, name string, size int64) apitest.Answer {
		t.Helper()
		head, foot := tsHead(name, "application/octet-stream"), "\r\n--b--\r\n"
		req := p.request(t, pxCore, "POST", strings.TrimSuffix(path, "run")+"files/upload", "", "Authorization", "Bearer "+w.bearers["normal"], "Content-Type", tsMultipart)
		req.Body = io.NopCloser(io.MultiReader(strings.NewReader(head), io.LimitReader(pxZeros{}, size), strings.NewReader(foot)))
		req.ContentLength = int64(len(head)+len(foot)) + size
		res := p.do(t, req)
		return apitest.Answer{Status: res.StatusCode, Header: res.Header, Body: string(tkReadAll(t, res))}
	}
	t.Run("API-24 the largest upload passes", func(t *testing.T) {
		const size = 100 << 20
		wantAnswer(t, upload(t, "film.mp4", size), http.StatusCreated, "")
		calls := w.rt.Calls(runtimetest.Upload)
		if f := calls[len(calls)-1].File; f == nil || !f.Whole || f.Size != size {
			t.Errorf("%+v", f)
		}
	})
	t.Run("API-24 a larger one is refused in core's words", func(t *testing.T) {
		wantAnswer(t, upload(t, "notes.txt", 15<<20+1), http.StatusRequestEntityTooLarge, "file_too_large")
	})
}

// pxZeros is a file of any size.
type pxZeros struct{}

func (pxZeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
