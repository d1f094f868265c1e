// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/server"
)

func TestHealth(t *testing.T) {
	var readiness server.Readiness
	app := fiber.New()
	server.MountHealth(app, func(context.Context) server.Readiness { return readiness },
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "counted 1\n") }))
	for _, c := range []struct {
		name, path string
		readiness  server.Readiness
		status     int
		body       string
	}{
		{"alive though nothing is ready", "/healthz", server.Readiness{Draining: true}, 200, `{"ok":true}`},
		{"ready", "/readyz", server.Readiness{Checks: map[string]string{"sql": server.CheckOK}}, 200, `{"checks":{"sql":"ok"}}`},
		{"a check failed", "/readyz", server.Readiness{Checks: map[string]string{"sql": "unavailable", "a": server.CheckOK}}, 503, `{"checks":{"a":"ok","sql":"unavailable"}}`},
		{"a shutdown has begun", "/readyz", server.Readiness{Checks: map[string]string{"sql": server.CheckOK}, Draining: true}, 503, `{"checks":{"sql":"ok"},"draining":true}`},
		{"metrics", "/metrics", server.Readiness{}, 200, "counted 1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			readiness = c.readiness
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				res, err := app.Test(httptest.NewRequest(method, c.path, nil))
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if err != nil || res.StatusCode != c.status || method == http.MethodGet && string(body) != c.body {
					t.Errorf("%s: %d %q, %v", method, res.StatusCode, body, err)
				}
			}
		})
	}
}
