// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/token"
)

// rnSoon is by when a runtime knows that a client has left.
const rnSoon = 2 * time.Second

// within waits for the end of something.
func rnWithin(t testing.TB, limit time.Duration, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("not within %s: %s", limit, what)
	}
}

func TestClientsThatLeave(t *testing.T) {
	w := rnStart(t)
	user := run.UserOf(token.AccountSubject(w.ids["normal"], ""))
	path := w.path(apps.Chat, "run")
	stopped := func(t *testing.T, task string) (n int) {
		t.Helper()
		for _, s := range w.rt.stopped() {
			if s.task == task {
				n++
				if s.user != user {
					t.Errorf("%s is stopped as %s", task, s.user)
				}
			}
		}
		return n
	}
	t.Run("API-19 on an idle stream: the runtime's request ends and its stop is called once, within 2 s", func(t *testing.T) {
		s := w.open(t, "normal", path, rnHello)
		one := w.rt.run(t, w.rt.asked())
		one.say(`{"event":"message","task_id":"idle"}`)
		s.next()
		at := time.Now()
		s.leave()
		rnWithin(t, rnSoon, "the runtime's request ends", one.closed)
		rnWithin(t, rnSoon, "the runtime's context ends", one.over)
		w.rt.await(t, "told to stop", func() bool { return len(w.rt.stops) > 0 })
		if took := w.rt.stopped()[0].at.Sub(at); took > rnSoon {
			t.Errorf("it took %s", took)
		}
		line := rnLine(t, w.Server, s.res.Header.Get("X-Request-Id"))
		if !strings.Contains(line, `"stream":"left"`) || !strings.Contains(line, `"level":"INFO"`) {
			t.Error(line)
		}
		if n := stopped(t, "idle"); n != 1 {
			t.Errorf("stopped %d times", n)
		}
	})
	t.Run("API-19 on a busy stream", func(t *testing.T) {
		s := w.open(t, "normal", path, rnHello)
		one := w.rt.run(t, w.rt.asked())
		for range 1000 {
			one.say(`{"event":"message","task_id":"busy"}`)
		}
		s.next()
		s.leave()
		rnWithin(t, rnSoon, "the runtime's request ends", one.closed)
		w.rt.await(t, "told to stop", func() bool { return len(w.rt.stops) == 2 })
		if stopped(t, "busy") != 1 {
			t.Errorf("%v", w.rt.stopped())
		}
	})
	t.Run("API-19 before a task is known there is nothing to stop, and the request ends all the same", func(t *testing.T) {
		n := len(w.rt.stopped())
		s := w.open(t, "normal", path, rnHello)
		one := w.rt.run(t, w.rt.asked())
		one.say(`{"event":"message"}`)
		s.next()
		s.leave()
		rnWithin(t, rnSoon, "the runtime's request ends", one.closed)
		rnLine(t, w.Server, s.res.Header.Get("X-Request-Id"))
		if len(w.rt.stopped()) != n {
			t.Errorf("%v", w.rt.stopped())
		}
	})
	t.Run("API-19 before the runtime has answered at all", func(t *testing.T) {
		asked, over := make(chan struct{}), make(chan struct{})
		w.rt.note(func() {
			w.rt.begun = func(ctx context.Context) error { close(asked); <-ctx.Done(); close(over); return ctx.Err() }
		})
		defer w.rt.note(func() { w.rt.begun = nil })
		c := htDial(t, w.URL)
		c.send(rnRaw(path, w.bearers["normal"], rnHello))
		<-asked
		_ = c.conn.Close()
		rnWithin(t, rnSoon, "the runtime's request ends", over)
	})
	for _, last := range []string{"message_end", "workflow_paused", "human_input_required"} {
		t.Run("API-19 after "+last+" nothing is stopped", func(t *testing.T) {
			n := len(w.rt.stopped())
			s := w.open(t, "normal", path, rnHello)
			one := w.rt.run(t, w.rt.asked())
			one.say(`{"event":"` + last + `","task_id":"` + last + `"}`)
			one.say(`{"event":"node_finished"}`) // of a branch that goes on
			s.next()
			s.next()
			s.leave()
			rnWithin(t, rnSoon, "the runtime's request ends", one.closed)
			rnLine(t, w.Server, s.res.Header.Get("X-Request-Id"))
			if len(w.rt.stopped()) != n {
				t.Errorf("%v", w.rt.stopped())
			}
		})
	}
	t.Run("API-19 a runtime that refuses to stop, or hangs, is asked once", func(t *testing.T) {
		for task, stop := range map[string]func(context.Context) error{
			"refuses": func(context.Context) error { return run.ErrUnavailable },
			"panics":  func(context.Context) error { panic("a defect") },
			"hangs":   func(ctx context.Context) error { <-ctx.Done(); return errors.New("late") },
		} {
			n := len(w.rt.stopped())
			w.rt.note(func() { w.rt.stop = stop })
			s := w.open(t, "normal", path, rnHello)
			w.rt.run(t, w.rt.asked()).say(`{"event":"message","task_id":"` + task + `"}`)
			s.next()
			s.leave()
			w.rt.await(t, "told to stop", func() bool { return len(w.rt.stops) == n+1 })
		}
		w.rt.note(func() { w.rt.stop = nil })
	})
	t.Run("API-18 a run in one piece is given up too", func(t *testing.T) {
		asked, over := make(chan struct{}), make(chan struct{})
		w.rt.block = func(ctx context.Context, _ run.Request) (json.RawMessage, error) {
			close(asked)
			<-ctx.Done()
			close(over)
			return nil, ctx.Err()
		}
		c := htDial(t, w.URL)
		c.send(rnRaw(path, w.bearers["normal"], `{"inputs":{},"query":"x","response_mode":"blocking"}`))
		<-asked
		_ = c.conn.Close()
		rnWithin(t, rnSoon, "the runtime's request ends", over)
	})
}

// rnRaw is a run as bytes.
func rnRaw(path, bearer, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, bearer, len(body), body)
}

func TestClientsThatLeaveAreLeftToTheRuntime(t *testing.T) {
	w := rnStart(t, apitest.Set("RUN_STOP_ON_DISCONNECT", "false"))
	t.Run("API-19 the setting leaves a runtime at its work", func(t *testing.T) {
		s := w.open(t, "normal", w.path(apps.Chat, "run"), rnHello)
		one := w.rt.run(t, 1)
		one.say(`{"event":"message","task_id":"t"}`)
		s.next()
		s.leave()
		rnWithin(t, rnSoon, "the runtime's request ends", one.closed)
		rnLine(t, w.Server, s.res.Header.Get("X-Request-Id"))
		if err := w.Stop(); err != nil { // waits for what runs leave behind
			t.Fatal(err)
		}
		if got := w.rt.stopped(); len(got) != 0 {
			t.Errorf("%v", got)
		}
	})
}

func TestStreamsOverTLS(t *testing.T) {
	w := rnStart(t, apitest.OverTLS(apitest.NewCertificate(t, 7, time.Hour)))
	t.Run("API-19 a client that leaves is noticed below TLS", func(t *testing.T) {
		s := w.open(t, "normal", w.path(apps.Chat, "run"), rnHello)
		one := w.rt.run(t, 1)
		one.say(`{"event":"message","task_id":"tls"}`)
		s.next()
		s.leave()
		rnWithin(t, rnSoon, "the runtime's request ends", one.closed)
		w.rt.await(t, "told to stop", func() bool { return len(w.rt.stops) == 1 })
	})
	t.Run("API-16 a stream below TLS is whole", func(t *testing.T) {
		s := w.open(t, "normal", w.path(apps.Chat, "run"), rnHello)
		one := w.rt.run(t, 2)
		one.say(`{"event":"message","task_id":"t","answer":"` + strings.Repeat("x", 1<<18) + `"}`)
		s.next()
		w.finish(t, s)
	})
}
