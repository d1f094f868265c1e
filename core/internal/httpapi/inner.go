// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// Inner is what the second listener shows. Health, readiness and metrics take no
// credential: only operators reach it. Every other route takes the key of its purpose
// and does not exist without one.
type Inner struct {
	Readiness func(ctx context.Context) server.Readiness
	Metrics   *prometheus.Registry
	// Profiles shows Go's profiles under /debug/pprof.
	Profiles bool

	// OperatorKey opens the routes of operators; Access is what they call.
	OperatorKey, OperatorKeyPrevious secret.Text
	Access                           *access.Service

	// Bridge admits requests of sso-bridge, and Replay lets each of them in once; nil
	// without the Enterprise Edition, and then no token opens anything.
	Bridge *envelope.Inner
	Replay envelope.Replay

	// ForwardAuthKey opens the routes of proxies; the others are what they ask.
	ForwardAuthKey, ForwardAuthKeyPrevious secret.Text
	Bearer                                 *authz.BearerAuthenticator
	Recorder                               *audit.Recorder
	Now                                    func() time.Time
}

// keyed is every route that takes a credential.
func (d Inner) keyed() []innerRow { return append(d.endingRows(), d.proxyRows()...) }

// MountInner adds the second listener's routes. None of them exists on the public one.
func MountInner(app *fiber.App, d Inner) {
	server.MountHealth(app, d.Readiness, promhttp.HandlerFor(d.Metrics, promhttp.HandlerOpts{}))
	if d.Profiles {
		server.MountProfiles(app)
	}
	d.mountKeyed(app, d.keyed()...)
}
