// SPDX-License-Identifier: Apache-2.0

package serve_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/control"
	"github.com/dify-sso/dify-sso/pkg/lifecycle"
	"github.com/dify-sso/dify-sso/pkg/serve"
)

var discard = slog.New(slog.DiscardHandler)

// app answers with its name.
func app(name string, answer fiber.Handler) *fiber.App {
	a := fiber.New(fiber.Config{DisableStartupMessage: true})
	a.Get("/", func(c *fiber.Ctx) error {
		if answer != nil {
			return answer(c)
		}
		return c.SendString(name)
	})
	return a
}

func service(t *testing.T, draining *atomic.Bool, public fiber.Handler, workers ...lifecycle.Worker) (serve.Service, *serve.Listeners) {
	t.Helper()
	commands, err := control.NewServer(control.Deps{
		Service: "svc", Log: discard, Now: time.Now,
		Operations: map[string]control.Operation{"none": func(context.Context, control.Caller, []byte) (any, error) { return nil, nil }},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := serve.Listen("127.0.0.1:0", "127.0.0.1:0", "", discard)
	if err != nil {
		t.Fatal(err)
	}
	return serve.Service{
		Public: app("public", public), Inner: app("inner", nil), Control: commands, Workers: workers, Draining: draining, MaxConnections: 10,
		Grace: 10 * time.Second, Log: discard,
	}, l
}

func get(l net.Listener) (string, error) {
	r, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + l.Addr().String() + "/")
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	return string(body), err
}

func TestAnEndInOrder(t *testing.T) {
	var draining, answered atomic.Bool
	arrived, release := make(chan struct{}), make(chan struct{})
	last := ""
	s, l := service(t, &draining, func(c *fiber.Ctx) error {
		close(arrived)
		<-release
		answered.Store(true)
		return c.SendString("late")
	}, lifecycle.Worker{Name: "writes", Run: func(ctx context.Context) error {
		<-ctx.Done()
		if answered.Load() {
			last = "written"
		}
		return nil
	}})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Until(ctx, l) }()
	if body, err := get(l.Inner); err != nil || body != "inner" {
		t.Fatal(body, err)
	}
	type got struct {
		body string
		err  error
	}
	running := make(chan got, 1)
	go func() { body, err := get(l.Public); running <- got{body, err} }()
	<-arrived
	stop()
	close(release)
	if r := <-running; r.err != nil || r.body != "late" {
		t.Errorf("a request that was under way: %+v", r)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !draining.Load() || last != "written" {
		t.Errorf("draining %t, the worker had %q", draining.Load(), last)
	}
	if _, err := get(l.Public); err == nil {
		t.Error("it still answers")
	}
}

func TestTheFirstFailureEndsAll(t *testing.T) {
	var draining atomic.Bool
	broken := errors.New("broken")
	s, l := service(t, &draining, nil, lifecycle.Worker{Name: "fails", Run: func(context.Context) error { return broken }})
	if err := s.Until(t.Context(), l); !errors.Is(err, broken) || !draining.Load() {
		t.Error(err)
	}
	if _, err := get(l.Inner); err == nil {
		t.Error("it still answers")
	}
}

func TestNothingIsServedInClearWhereACertificateIsNamed(t *testing.T) {
	var draining atomic.Bool
	s, l := service(t, &draining, nil)
	s.WithTLS = true
	if err := s.Until(t.Context(), l); err == nil {
		t.Error("served")
	}
	if _, err := get(l.Public); err == nil {
		t.Error("the port is still open")
	}
}

func TestListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	at := taken.Addr().String()
	for key, ports := range map[string][2]string{"LISTEN": {at, "127.0.0.1:0"}, "INNER_LISTEN": {"127.0.0.1:0", at}} {
		if _, err := serve.Listen(ports[0], ports[1], "", discard); err == nil || !strings.HasPrefix(err.Error(), key+":") {
			t.Errorf("%s: %v", key, err)
		}
	}
	var log bytes.Buffer
	l, err := serve.Listen("127.0.0.1:0", "127.0.0.1:0", filepath.Join(t.TempDir(), "no", "such", "folder", "s"), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || l.Control != nil || !strings.Contains(log.String(), "no control socket") {
		t.Fatalf("a place without sockets: %v, %s", err, &log)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestSurviving(t *testing.T) {
	var log bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	runs := 0
	w := serve.Surviving(slog.New(slog.NewTextHandler(&log, nil)), "moody", func(context.Context) error {
		if runs++; runs == 1 {
			panic("a defect")
		}
		stop()
		return nil
	})
	if err := lifecycle.Run(ctx, w); err != nil || runs != 2 || !strings.Contains(log.String(), "moody") {
		t.Errorf("%d runs, %v, %s", runs, err, &log)
	}
}
