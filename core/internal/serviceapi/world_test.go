// SPDX-License-Identifier: Apache-2.0

package serviceapi_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/runtimetest"
	"github.com/dify-sso/dify-sso/core/internal/serviceapi"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

const key = "app-Key_of.the+tests"

var user = run.UserOf(token.Subject{Issuer: "dify:account", ID: "a"})

// limits are the times of a client; zero is long enough for every test.
type limits struct{ connect, header, answer, idle, blocking time.Duration }

func (l limits) orLong() limits {
	for _, d := range []*time.Duration{&l.connect, &l.header, &l.answer, &l.idle, &l.blocking} {
		if *d == 0 {
			*d = 20 * time.Second
		}
	}
	return l
}

func client(t testing.TB, l limits, o egress.RuntimeOptions) *serviceapi.Client {
	t.Helper()
	l = l.orLong()
	o.Connect, o.Header, o.Now = l.connect, l.header, now
	guard, err := egress.NewRuntime(o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := serviceapi.New(serviceapi.Deps{Egress: guard, Answer: l.answer, Idle: l.idle, Blocking: l.blocking, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

// now stands still, but where certificates are judged it is today.
func now() time.Time { return today }

var today = time.Now().Truncate(time.Second)

// runtime is a runtime on loopback and a client that may call it.
func runtime(t testing.TB, l limits) (*runtimetest.Runtime, *serviceapi.Client) {
	t.Helper()
	return runtimetest.New(t, key), client(t, l, egress.RuntimeOptions{Allowed: []string{"127.0.0.1"}})
}

func target(rt *runtimetest.Runtime, m apps.Mode) run.Target {
	return run.Target{AppID: "app", Mode: m, Runtime: apps.RuntimeDify, URL: rt.URL, Key: secret.New(key)}
}

func request() run.Request {
	query := "Hello"
	return run.Request{Inputs: json.RawMessage(`{"a":1}`), Query: &query, User: user}
}

// calls are all that a client does, each as short as can be.
var calls = map[string]struct {
	route runtimetest.Route
	do    func(testing.TB, *serviceapi.Client, run.Target) error
}{
	"parameters": {runtimetest.Parameters, func(t testing.TB, c *serviceapi.Client, at run.Target) error {
		_, err := c.Parameters(t.Context(), at)
		return err
	}},
	"info": {runtimetest.Info, func(t testing.TB, c *serviceapi.Client, at run.Target) error {
		mode, err := c.Info(t.Context(), at)
		if err == nil && mode != "chat" {
			t.Errorf("mode %q", mode)
		}
		return err
	}},
	"stream": {runtimetest.Chat, func(t testing.TB, c *serviceapi.Client, at run.Target) error {
		s, err := c.Stream(t.Context(), at, request())
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		return drain(s)
	}},
	"block": {runtimetest.Chat, func(t testing.TB, c *serviceapi.Client, at run.Target) error {
		_, err := c.Block(t.Context(), at, request())
		return err
	}},
	"stop": {runtimetest.StopChat, func(t testing.TB, c *serviceapi.Client, at run.Target) error {
		return c.Stop(t.Context(), at, "t1", user)
	}},
	"events": {runtimetest.Events, func(t testing.TB, c *serviceapi.Client, at run.Target) error {
		s, err := c.Events(t.Context(), at, "r1", user, run.EventOptions{Snapshot: true})
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		return drain(s)
	}},
	"outcome": {runtimetest.Detail, func(t testing.TB, c *serviceapi.Client, at run.Target) error {
		_, err := c.Outcome(t.Context(), at, "r1")
		return err
	}},
	"upload": {runtimetest.Upload, func(t testing.TB, c *serviceapi.Client, at run.Target) error {
		_, err := c.Upload(t.Context(), at, user, run.File{Name: "a.txt", MediaType: "text/plain", Content: strings.NewReader("abc")})
		return err
	}},
	"form": {runtimetest.Form, func(t testing.TB, c *serviceapi.Client, at run.Target) error {
		_, err := c.Form(t.Context(), at, "f1")
		return err
	}},
	"submit": {runtimetest.Submit, func(t testing.TB, c *serviceapi.Client, at run.Target) error {
		return c.Submit(t.Context(), at, "f1", user, "yes", json.RawMessage(`{}`))
	}},
	"conversation": {runtimetest.Conversation, func(t testing.TB, c *serviceapi.Client, at run.Target) error {
		return c.DeleteConversation(t.Context(), at, "c1", user)
	}},
	"export": {runtimetest.Export, func(t testing.TB, c *serviceapi.Client, at run.Target) error {
		_, err := c.Export(t.Context(), at, user, run.ExportOptions{Secrets: true})
		return err
	}},
	"lacks": {runtimetest.Dependencies, func(t testing.TB, c *serviceapi.Client, at run.Target) error {
		_, err := c.Dependencies(t.Context(), at, user)
		return err
	}},
	"import": {runtimetest.Import, func(t testing.TB, c *serviceapi.Client, at run.Target) error {
		_, err := c.Import(t.Context(), at, user, run.Description{Mode: "yaml-content", YAMLContent: new("kind: app")})
		return err
	}},
	"acknowledge": {runtimetest.Confirm, func(t testing.TB, c *serviceapi.Client, at run.Target) error {
		_, err := c.Confirm(t.Context(), at, user, "i1")
		return err
	}},
}

// drain reads a stream to its end, which is nil.
func drain(s run.Stream) error {
	for {
		if _, err := s.Next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// quiet fails for a failure that shows the key anywhere, or the address to people.
func quiet(t testing.TB, err error, at run.Target) {
	t.Helper()
	if err == nil {
		return
	}
	f := fault.Of(err)
	for _, text := range []string{f.Text(), f.Hint(), f.Code()} {
		if strings.Contains(text, "127.0.0.1") || strings.Contains(text, at.URL) {
			t.Errorf("the address is in %q", text)
		}
	}
	for _, text := range []string{err.Error(), f.Text(), f.Hint(), f.Code()} {
		if strings.Contains(text, at.Key.Reveal()) {
			t.Errorf("the key is in %q", text)
		}
	}
	if f.Code() == fault.ErrInternal.Code() {
		t.Errorf("not classified: %v", err)
	}
}
