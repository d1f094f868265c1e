// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
)

func TestInnerKey(t *testing.T) {
	key := strings.Repeat("k", 32)
	app := fiber.New(fiber.Config{ErrorHandler: func(c *fiber.Ctx, err error) error {
		if e, ok := errors.AsType[*fiber.Error](err); ok { // no route
			return c.SendStatus(e.Code)
		}
		return c.SendStatus(server.Status(fault.Of(err).Kind()))
	}})
	ok := func(c *fiber.Ctx) error { return c.SendStatus(http.StatusOK) }
	former := strings.Repeat("f", 32)
	app.Get("/keyed", innerKey(secret.New(key), secret.Text{}), ok)
	app.Get("/open", innerKey(secret.Text{}, secret.Text{}), ok)
	app.Get("/changed", innerKey(secret.New(key), secret.New(former)), ok)
	Inner{}.mountKeyed(app, innerRow{path: "/unset", handle: ok}, innerRow{path: "/any", key: secret.New(key), handle: ok})

	for _, tc := range []struct {
		name, method, path string
		keys               []string
		status             int
	}{
		{"the key", http.MethodGet, "/keyed", []string{key}, 200},
		{"none", http.MethodGet, "/keyed", nil, 401},
		{"an empty one", http.MethodGet, "/keyed", []string{""}, 401},
		{"another of that length", http.MethodGet, "/keyed", []string{key[1:] + "x"}, 401},
		{"its beginning", http.MethodGet, "/keyed", []string{key[1:]}, 401},
		{"the key and more", http.MethodGet, "/keyed", []string{key + "k"}, 401},
		{"the key twice", http.MethodGet, "/keyed", []string{key, key}, 401},
		{"no key is configured, none sent", http.MethodGet, "/open", nil, 401},
		{"no key is configured, an empty one sent", http.MethodGet, "/open", []string{""}, 401},
		{"the key, while the former one counts", http.MethodGet, "/changed", []string{key}, 200},
		{"the former key", http.MethodGet, "/changed", []string{former}, 200},
		{"an empty one, while the former counts", http.MethodGet, "/changed", []string{""}, 401},
		{"the former key once it is over", http.MethodGet, "/keyed", []string{former}, 401},
		{"a row without its key", http.MethodGet, "/unset", []string{""}, 404},
		{"a row for every method", http.MethodDelete, "/any", []string{key}, 200},
		{"a row for every method, without its key", http.MethodPut, "/any", nil, 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, tc.path, nil)
			for _, k := range tc.keys {
				r.Header.Add(innerKeyHeader, k)
			}
			resp, err := app.Test(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != tc.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tc.status)
			}
		})
	}
}
