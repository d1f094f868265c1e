// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"net/http"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dify-sso/dify-sso/pkg/server"
)

// Inner is what the second listener shows. It has no credentials: only operators
// reach it.
type Inner struct {
	// Ready returns an error that names, without an address, what is not usable.
	Ready   func(ctx context.Context) error
	Metrics *prometheus.Registry
}

// MountInner adds the second listener's routes. None of them exists on the public one.
func MountInner(app *fiber.App, d Inner) {
	get := func(path string, h fiber.Handler) {
		enter := server.Enter(server.Route{Pattern: path})
		app.Get(path, enter, h)
		app.Head(path, enter, h)
	}
	get("/healthz", func(c *fiber.Ctx) error { return c.JSON(fiber.Map{"ok": true}) })
	get("/readyz", func(c *fiber.Ctx) error {
		if err := d.Ready(c.UserContext()); err != nil {
			return c.Status(http.StatusServiceUnavailable).JSON(fiber.Map{"ready": false, "not_ready": err.Error()})
		}
		return c.JSON(fiber.Map{"ready": true})
	})
	get("/metrics", adaptor.HTTPHandler(promhttp.HandlerFor(d.Metrics, promhttp.HandlerOpts{})))
	app.Use(func(*fiber.Ctx) error { return server.ErrNotFound })
}
