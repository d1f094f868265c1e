// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/dify-sso/dify-sso/pkg/clientip"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
	"github.com/dify-sso/dify-sso/pkg/trace"
	"github.com/dify-sso/dify-sso/pkg/trip"
)

// taken keeps what a tracer took.
type taken struct {
	mu  sync.Mutex
	all []trace.Fragment
}

func (k *taken) tracer() *trace.Tracer {
	return &trace.Tracer{Ratio: 1, Take: func(f trace.Fragment) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.all = append(k.all, f)
	}}
}

// traced is a listener behind a proxy, or behind none; app.Test calls from 0.0.0.0.
func traced(t testing.TB, log *buffer, tracer *trace.Tracer, proxied bool) *fiber.App {
	t.Helper()
	var trusted []netip.Prefix
	if proxied {
		trusted = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	}
	app, err := server.New(server.Config{
		Log: telemetry.NewLogger(log, slog.LevelInfo, "json"), Now: time.Now, Addresses: clientip.New(trusted), Tracer: tracer,
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Get(app, "/plain/:secret", func(c *fiber.Ctx) error {
		trace.Trip(c.UserContext(), trip.Trip{Store: trip.SQL, System: "sqlite", Name: "SELECT a FROM b", Start: time.Now()})
		server.CalledBy(c, "account", "difyctl", "an-id")
		return c.SendString("ok")
	})
	server.Get(app, "/inner", func(c *fiber.Ctx) error {
		trace.Trip(c.UserContext(), trip.Trip{Store: trip.Redis, System: "redis", Name: "set", Start: time.Now()})
		server.ContinueTrace(c)
		return c.SendString("ok")
	})
	server.Get(app, "/fails", func(*fiber.Ctx) error { return errors.New("canary") })
	return app
}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	parents = "00-" + traceID + "-00f067aa0ba902b7-01"
)

func TestTraced(t *testing.T) {
	for _, tc := range []struct {
		name, path    string
		sent          []string
		proxied, cont bool
	}{
		{"a proxy's trace is continued", "/plain/canary?q=canary", []string{parents}, true, true},
		{"a stranger's is not", "/plain/canary?q=canary", []string{parents}, false, false},
		{"two of them are none", "/plain/canary", []string{parents, parents}, true, false},
		{"what is none is none", "/plain/canary", []string{"00-canary"}, true, false},
		{"that of the other service is continued once it is known, with what it has asked before", "/inner", []string{parents}, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log buffer
			k := &taken{}
			app := traced(t, &log, k.tracer(), tc.proxied)
			r := httptest.NewRequest(fiber.MethodGet, tc.path, nil)
			r.Header["Traceparent"] = tc.sent
			answer, err := app.Test(r, -1)
			if err != nil || answer.StatusCode != fiber.StatusOK {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if len(k.all) != 1 || len(k.all[0].Spans) != 2 {
				t.Fatalf("%+v", k.all)
			}
			id, root := hex.EncodeToString(k.all[0].Trace[:]), k.all[0].Spans[1]
			if (id == traceID) != tc.cont || (root.Parent != [8]byte{}) != tc.cont || k.all[0].Spans[0].Parent != root.ID {
				t.Errorf("trace %s, %+v", id, root)
			}
			if !strings.Contains(log.String(), `"trace_id":"`+id+`"`) || !strings.Contains(log.String(), `"span_id":"`+hex.EncodeToString(root.ID[:])+`"`) || strings.Contains(log.String(), "canary") {
				t.Error(log.String())
			}
			if strings.Contains(root.Name, "canary") || !strings.HasPrefix(root.Name, "GET /") {
				t.Error(root.Name)
			}
		})
	}
	t.Run("a probe has no span", func(t *testing.T) {
		var log buffer
		k := &taken{}
		app := traced(t, &log, k.tracer(), true)
		server.MountHealth(app, func(context.Context) server.Readiness { return server.Readiness{} }, http.NotFoundHandler())
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			answer, err := app.Test(httptest.NewRequest(fiber.MethodGet, path, nil), -1)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
		}
		if len(k.all) != 0 || strings.Count(log.String(), `"msg":"request"`) != 3 {
			t.Errorf("%+v %s", k.all, log.String())
		}
	})
	t.Run("a failure is one of its span, by its code alone", func(t *testing.T) {
		var log buffer
		k := &taken{}
		answer, err := traced(t, &log, k.tracer(), false).Test(httptest.NewRequest(fiber.MethodGet, "/fails", nil), -1)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if len(k.all) != 1 || !k.all[0].Spans[0].Failed {
			t.Fatalf("%+v", k.all)
		}
		for _, a := range k.all[0].Spans[0].Attrs {
			if strings.Contains(a.Text, "canary") {
				t.Errorf("%+v", a)
			}
		}
	})
	t.Run("off: the line has the rest, and a trace that a proxy tells of", func(t *testing.T) {
		var log buffer
		app := traced(t, &log, nil, true)
		for _, sent := range []string{"", parents} {
			r := httptest.NewRequest(fiber.MethodGet, "/plain/x", nil)
			if sent != "" {
				r.Header.Set("Traceparent", sent)
			}
			answer, err := app.Test(r, -1)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || strings.Contains(lines[0], "trace_id") || !strings.Contains(lines[1], `"trace_id":"`+traceID+`"`) {
			t.Fatal(log.String())
		}
		for _, want := range []string{`"subject_type":"account"`, `"client_id":"difyctl"`, `"token_id":"an-id"`, `"sql_trips":1`, `"sql_ms":0`} {
			if !strings.Contains(lines[0], want) {
				t.Errorf("no %s in %s", want, lines[0])
			}
		}
	})
}

// BenchmarkFrame is a request that asks nobody, with tracing off: what the frame costs.
func BenchmarkFrame(b *testing.B) {
	app, err := server.New(server.Config{Log: slog.New(slog.DiscardHandler), Now: time.Now, Addresses: clientip.New(nil)})
	if err != nil {
		b.Fatal(err)
	}
	server.Get(app, "/x", func(c *fiber.Ctx) error { return c.SendStatus(fiber.StatusNoContent) })
	serve := app.Handler()
	b.ReportAllocs()
	for b.Loop() {
		var c fasthttp.RequestCtx
		c.Request.Header.SetMethod(fiber.MethodGet)
		c.Request.SetRequestURI("/x")
		serve(&c)
	}
}
