// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"net/http"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
)

// CheckOK is the result of a check that found nothing.
const CheckOK = "ok"

// Readiness is the answer of /readyz.
type Readiness struct {
	// Checks has one entry for each thing that requests need: CheckOK, or a cause
	// without an address.
	Checks map[string]string `json:"checks"`
	// Keyset is the fingerprint of the key set in force, where there is one: processes
	// that show the same hold the same entries.
	Keyset string `json:"keyset_fingerprint,omitempty"`
	// Draining: a shutdown has begun.
	Draining bool `json:"draining,omitempty"`
}

// Well says of each check whether it is.
func (r Readiness) Well() map[string]bool {
	out := make(map[string]bool, len(r.Checks))
	for name, result := range r.Checks {
		out[name] = result == CheckOK
	}
	return out
}

// Ready reports whether requests are wanted.
func (r Readiness) Ready() bool {
	for _, result := range r.Checks {
		if result != CheckOK {
			return false
		}
	}
	return !r.Draining
}

// MountHealth adds /healthz, /readyz and /metrics to a listener that only operators
// reach: none of them takes a credential. An answer that is not ready is 503.
func MountHealth(app *fiber.App, readiness func(ctx context.Context) Readiness, metrics http.Handler) {
	probe := func(path string, h fiber.Handler) { get(app, Route{Pattern: path, Quiet: true}, h) }
	probe("/healthz", func(c *fiber.Ctx) error { return c.JSON(fiber.Map{"ok": true}) })
	probe("/readyz", func(c *fiber.Ctx) error {
		r := readiness(c.UserContext())
		if !r.Ready() {
			c.Status(http.StatusServiceUnavailable)
		}
		return c.JSON(r)
	})
	probe("/metrics", adaptor.HTTPHandler(metrics))
}

// Get adds a route for GET and HEAD that has no name in the service's table.
func Get(app *fiber.App, path string, h fiber.Handler) {
	get(app, Route{Pattern: path}, h)
}

func get(app *fiber.App, r Route, h fiber.Handler) {
	enter := Enter(r)
	app.Get(r.Pattern, enter, h)
	app.Head(r.Pattern, enter, h)
}
