// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// CheckOK is the result of a check that found nothing.
const CheckOK = "ok"

// Readiness is the answer of /readyz.
type Readiness struct {
	// Checks has one entry for each thing that requests need: CheckOK, or a cause
	// without an address.
	Checks map[string]string `json:"checks"`
	// Draining: a shutdown has begun.
	Draining bool `json:"draining,omitempty"`
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

// Inner is what the second listener shows. Health, readiness and metrics take no
// credential: only operators reach it. Every other route takes the key of its purpose
// and does not exist without one.
type Inner struct {
	Readiness func(ctx context.Context) Readiness
	Metrics   *prometheus.Registry
	// Profiles shows Go's profiles under /debug/pprof.
	Profiles bool

	// OperatorKey opens the routes of operators; Access is what they call.
	OperatorKey secret.Text
	Access      *access.Service

	// ForwardAuthKey opens the routes of proxies; the others are what they ask.
	ForwardAuthKey secret.Text
	Bearer         *authz.BearerAuthenticator
	Recorder       *audit.Recorder
	Now            func() time.Time
}

// keyed is every route that takes a credential.
func (d Inner) keyed() []innerRow { return append(d.operatorRows(), d.proxyRows()...) }

// MountInner adds the second listener's routes. None of them exists on the public one.
func MountInner(app *fiber.App, d Inner) {
	get := func(path string, h fiber.Handler) {
		enter := server.Enter(server.Route{Pattern: path})
		app.Get(path, enter, h)
		app.Head(path, enter, h)
	}
	get("/healthz", func(c *fiber.Ctx) error { return c.JSON(fiber.Map{"ok": true}) })
	get("/readyz", func(c *fiber.Ctx) error {
		r := d.Readiness(c.UserContext())
		if !r.Ready() {
			c.Status(http.StatusServiceUnavailable)
		}
		return c.JSON(r)
	})
	get("/metrics", adaptor.HTTPHandler(promhttp.HandlerFor(d.Metrics, promhttp.HandlerOpts{})))
	if d.Profiles {
		get("/debug/pprof/:name", profile)
	}
	mountKeyed(app, d.keyed()...)
}
