// SPDX-License-Identifier: Apache-2.0

package serviceapi_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/runtimetest"
)

func begin(t testing.TB, c run.Runtime, at run.Target) run.Stream {
	t.Helper()
	s, err := c.Stream(t.Context(), at, request())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStreams(t *testing.T) {
	t.Run("API-16 events arrive as they are made", func(t *testing.T) {
		rt, c := runtime(t, limits{})
		more := make(chan struct{})
		rt.On(runtimetest.Chat, runtimetest.Script{
			runtimetest.Begin(), runtimetest.Event(`{"event":"message","task_id":"{task}"}`), runtimetest.Await(more), runtimetest.Ping(), runtimetest.Event(`{"event":"message_end"}`),
		})
		s := begin(t, c, target(rt, apps.Chat))
		e, err := s.Next()
		task := rt.Calls("")[0].Task
		if err != nil || e.Name != "message" || e.TaskID != task || string(e.Frame) != `data: {"event":"message","task_id":"`+task+"\"}\n\n" || s.Ready() {
			t.Fatalf("%+v %v", e, err)
		}
		close(more)
		if e, err = s.Next(); err != nil || string(e.Frame) != "event: ping\n\n" {
			t.Errorf("%+v %v", e, err)
		}
		if e, err = s.Next(); err != nil || !e.Final() {
			t.Errorf("%+v %v", e, err)
		}
		for range 2 {
			if _, err = s.Next(); !errors.Is(err, io.EOF) || s.Ready() {
				t.Error(err)
			}
		}
	})
	for _, tc := range []struct {
		name   string
		script runtimetest.Script
	}{
		{"it breaks off between events", runtimetest.Script{runtimetest.Cut()}},
		{"it breaks off within an event", runtimetest.Script{runtimetest.Raw(`data: {"ev`), runtimetest.Cut()}},
		{"it ends within an event", runtimetest.Script{runtimetest.Raw(`data: {"ev`)}},
		{"no JSON", runtimetest.Script{runtimetest.Event(key)}},
		{"an event of 10 MB", runtimetest.Script{runtimetest.Big(10_000_000), runtimetest.Hang()}},
		{"an event of 1 MiB and one byte", runtimetest.Script{runtimetest.Big(1<<20 + 1), runtimetest.Hang()}},
		{"no line ever ends", runtimetest.Script{runtimetest.Endless("x")}},
	} {
		t.Run("API-17 "+tc.name, func(t *testing.T) {
			rt, c := runtime(t, limits{})
			at := target(rt, apps.Chat)
			rt.On(runtimetest.Chat, append(runtimetest.Script{runtimetest.Begin(), runtimetest.Event(`{"event":"message"}`)}, tc.script...))
			s := begin(t, c, at)
			if e, err := s.Next(); err != nil || e.Name != "message" {
				t.Fatalf("%+v %v", e, err)
			}
			for range 2 {
				_, err := s.Next()
				if !errors.Is(err, run.ErrUnavailable) {
					t.Error(err)
				}
				quiet(t, err, at)
			}
			_ = s.Close()
			<-rt.Calls("")[0].Done()
		})
	}
	t.Run("API-16 an event of 1 MiB", func(t *testing.T) {
		rt, c := runtime(t, limits{})
		rt.On(runtimetest.Chat, runtimetest.Script{runtimetest.Begin(), runtimetest.Big(1 << 20), runtimetest.Big(1 << 20)})
		if err := drain(begin(t, c, target(rt, apps.Chat))); err != nil {
			t.Error(err)
		}
	})
	t.Run("API-19 who closes ends the runtime's connection, also while another waits", func(t *testing.T) {
		rt, c := runtime(t, limits{})
		rt.On(runtimetest.Chat, runtimetest.Script{runtimetest.Begin(), runtimetest.Event(`{"event":"message"}`), runtimetest.Hang()})
		for i := range 20 {
			s := begin(t, c, target(rt, apps.Chat))
			if _, err := s.Next(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { _, err := s.Next(); ended <- err }()
			_ = s.Close()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			<-rt.Calls("")[i].Dropped()
		}
	})
	t.Run("API-19 the context ends the run, and is no timeout", func(t *testing.T) {
		rt, c := runtime(t, limits{})
		rt.On(runtimetest.Chat, runtimetest.Script{runtimetest.Begin(), runtimetest.Hang()})
		left := errors.New("the client has left")
		for i, tc := range []struct {
			cause, want error
		}{{nil, context.Canceled}, {left, left}, {run.ErrBusy, run.ErrBusy}, {context.DeadlineExceeded, run.ErrTimeout}} {
			ctx, cancel := context.WithCancelCause(t.Context())
			s, err := c.Stream(ctx, target(rt, apps.Chat), request())
			if err != nil {
				t.Fatal(err)
			}
			go func() { rt.Wait(t, runtimetest.Chat, i+1); cancel(tc.cause) }()
			if _, err := s.Next(); !errors.Is(err, tc.want) || tc.want != run.ErrTimeout && errors.Is(err, run.ErrTimeout) { //nolint:errorlint // the table's
				t.Error(err)
			}
			<-rt.Calls("")[i].Dropped()
			_ = s.Close()
		}
	})
	t.Run("a connection whose stream has ended is used again", func(t *testing.T) {
		rt, c := runtime(t, limits{})
		for range 5 {
			s := begin(t, c, target(rt, apps.Chat))
			if err := drain(s); err != nil {
				t.Fatal(err)
			}
			_ = s.Close()
			if _, err := c.Parameters(t.Context(), target(rt, apps.Chat)); err != nil {
				t.Fatal(err)
			}
		}
		if n := rt.Opened(); n != 2 { // other calls have one of theirs
			t.Errorf("%d connections", n)
		}
	})
}

func TestBlocking(t *testing.T) {
	whole := func(n int) string { return `{"x":"` + strings.Repeat("x", n-len(`{"x":""}`)) + `"}` }
	t.Run("API-18 8 MiB come back unchanged", func(t *testing.T) {
		rt, c := runtime(t, limits{})
		body := whole(8 << 20)
		rt.On(runtimetest.Chat, runtimetest.Script{runtimetest.Answer(200, body)})
		if got, err := c.Block(t.Context(), target(rt, apps.Chat), request()); err != nil || string(got) != body {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
	for name, script := range map[string]runtimetest.Script{
		"with a length": {runtimetest.Header("Content-Length", "8388609"), runtimetest.Answer(200, whole(8<<20+1))}, "without one": {runtimetest.Raw(whole(8<<20 + 1))},
	} {
		t.Run("API-18 8 MiB and a byte do not, "+name, func(t *testing.T) {
			rt, c := runtime(t, limits{})
			rt.On(runtimetest.Chat, script)
			if _, err := c.Block(t.Context(), target(rt, apps.Chat), request()); !errors.Is(err, run.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
	t.Run("API-18 the whole run has its time, and the other limits are not its", func(t *testing.T) {
		rt, c := runtime(t, limits{header: time.Millisecond, answer: time.Millisecond, idle: time.Millisecond})
		rt.On(runtimetest.Chat, runtimetest.Script{runtimetest.Pause(50 * time.Millisecond), runtimetest.Raw(`{"a":`), runtimetest.Pause(50 * time.Millisecond), runtimetest.Raw(`1}`)})
		if got, err := c.Block(t.Context(), target(rt, apps.Chat), request()); err != nil || string(got) != `{"a":1}` {
			t.Errorf("%s %v", got, err)
		}
	})
}
