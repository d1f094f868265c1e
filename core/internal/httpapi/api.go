// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/webui"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Deps is what the handlers call. Everything up to Ready is required.
type Deps struct {
	Installation *installation.Service
	Access       *access.Service
	Console      *console.Service
	Devices      *devicegrant.Service
	Entries      *devicegrant.Entries
	Tokens       *token.Service
	Workspaces   *workspace.Service
	Members      *workspace.Members
	Apps         *apps.Service
	Registry     *apps.Registry
	Run          *run.Service
	Bearer       *authz.BearerAuthenticator
	Clients      *authz.Clients
	Limits       *limits.Table
	UI           *webui.Renderer
	Recorder     *audit.Recorder
	Log          *slog.Logger
	Now          func() time.Time
	// Kinds are the kinds of token of this edition.
	Kinds *token.KindRegistry
	// Public is the origin under which people and clients reach this service.
	Public *url.URL
	// LinkedCodes lets an address bring a user code (RFC 8628 section 3.3.1), which is
	// then confirmed against the device before it is allowed.
	LinkedCodes bool
	// Version is ours, without a leading v.
	Version string
	// SessionMax is the life of a remembered console session's cookie.
	SessionMax time.Duration
	// Ready reports whether every store can be asked.
	Ready func() bool

	// Enterprise is the Enterprise Edition. Without it the routes of people without an account
	// do not exist, and neither do their tokens.
	Enterprise bool
	// SSO runs device logins through a company's identity provider. Nil where they are off:
	// then their routes do not exist.
	SSO *sso.Service

	// Origins are those of other sites' pages that may use the API, as a browser writes
	// them in Origin; usually there is none.
	Origins []string
	// Stepped hears how a step of somebody's login ended; nil hears nothing.
	Stepped func(step Step, how StepEnd)
	// WithoutAPI: OPENAPI_ENABLED is off, and the API with its pages does not exist.
	WithoutAPI bool
}

type api struct {
	Deps
	document func() ([]byte, error) // openapi.json
	public   string
	https    bool
}

// Mount adds every row of the route table to app. It fails when a row is
// incomplete, or when app has a route that is not a row, so that a service with an
// unguarded route does not start. What no row takes is 404, or 405 with Allow.
func Mount(app *fiber.App, d Deps) error {
	if d.Installation == nil || d.Access == nil || d.Console == nil || d.Devices == nil || d.Entries == nil || d.Tokens == nil || d.Workspaces == nil || d.Members == nil || d.Apps == nil || d.Registry == nil || d.Run == nil ||
		d.Bearer == nil || d.Clients == nil || d.Limits == nil || d.UI == nil || d.Recorder == nil || d.Log == nil || d.Now == nil || d.Public == nil || d.Kinds == nil || d.Ready == nil {
		return errors.New("httpapi: every dependency is required")
	}
	a := newAPI(d)
	rows, err := a.rows()
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := a.mount(app, r); err != nil {
			return err
		}
	}
	return compare(app.GetRoutes(true), rows)
}

func newAPI(d Deps) *api {
	a := &api{Deps: d, public: d.Public.Scheme + "://" + d.Public.Host, https: d.Public.Scheme == "https"}
	// Made when somebody asks for it, which few do: it takes 5 MB and a good part of a start.
	a.document = sync.OnceValues(func() ([]byte, error) { return a.describe(a.table()) })
	return a
}

// Pages gives the parts of a listener's configuration that write failures as HTML.
func Pages(d Deps) (page func(c *fiber.Ctx, f *fault.Error) error, isPage func(c *fiber.Ctx) bool) {
	a := newAPI(d)
	return a.failurePage, isPageRequest
}
