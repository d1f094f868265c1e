// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	engine "github.com/dify-sso/dify-sso/pkg/limits"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/limits"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/webui"
)

// Logins runs attempts; *login.Service does.
type Logins interface {
	// Start spends a ticket. Each error is a *failure.Error.
	Start(ctx context.Context, ticket secret.Text, v login.Visitor) (login.Departure, error)
	// Finish judges an answer and gives where the browser goes.
	Finish(ctx context.Context, a login.Arrival) (location string)
	// Refuse notes a callback that cannot be read and gives the reference of its page.
	Refuse(ctx context.Context, f *failure.Error, v login.Visitor) (reference string)
	// Failure gives what the page of a reference shows.
	Failure(ctx context.Context, reference string) (login.Failed, error)
	// TestResult gives the page of a test to the browser that was tested. It returns
	// login.ErrResultOver, login.ErrWrongBrowser or a store failure.
	TestResult(ctx context.Context, ticket, cookie secret.Text) (login.Result, error)
}

// Metadata writes what we publish of ourselves for a connection.
type Metadata interface {
	// Describe gives the document and its entity tag (RFC 9110 section 8.8.3, with its
	// quotes). It returns an error of kind fault.NotFound for a connection that is deleted,
	// never was or is not of SAML, or a store failure.
	Describe(ctx context.Context, connectionID string) (doc []byte, etag string, err error)
}

// Deps is what the handlers call; all fields are required. Public is the origin under
// which browsers reach the bridge.
type Deps struct {
	Logins   Logins
	Metadata Metadata
	Readers  *Readers
	Limits   *engine.Table
	UI       *webui.Renderer
	Public   *url.URL
	Now      func() time.Time
}

type api struct {
	Deps
	https bool
}

// row is one route. HEAD decides nothing here and is taken by the row that says so: a
// mail scanner that asks by HEAD must not spend a ticket.
type row struct {
	method string
	path   string
	limit  engine.Name // per address; a file has none
	head   bool
	page   bool // its failures are pages
	handle fiber.Handler
}

func (a *api) table() []row {
	oidc, oauth2 := a.callback(connection.OIDC), a.callback(connection.OAuth2)
	return []row{
		{method: http.MethodGet, path: "/sso/start/:ticket", limit: limits.StartAddr, page: true, handle: a.start},
		{method: http.MethodGet, path: "/sso/oidc/callback", limit: limits.CallbackAddr, page: true, handle: oidc},
		{method: http.MethodGet, path: "/sso/oidc/callback/:connection", limit: limits.CallbackAddr, page: true, handle: oidc},
		{method: http.MethodPost, path: "/sso/oidc/callback", limit: limits.CallbackAddr, page: true, handle: oidc},
		{method: http.MethodPost, path: "/sso/oidc/callback/:connection", limit: limits.CallbackAddr, page: true, handle: oidc},
		{method: http.MethodGet, path: "/sso/oauth2/callback", limit: limits.CallbackAddr, page: true, handle: oauth2},
		{method: http.MethodGet, path: "/sso/oauth2/callback/:connection", limit: limits.CallbackAddr, page: true, handle: oauth2},
		{method: http.MethodPost, path: "/sso/saml/acs", limit: limits.CallbackAddr, page: true, handle: a.consume},
		{method: http.MethodPost, path: "/sso/saml/acs/:connection", limit: limits.CallbackAddr, page: true, handle: a.consume},
		{method: http.MethodGet, path: "/sso/saml/metadata/:connection", limit: limits.MetadataAddr, head: true, handle: a.metadata},
		{method: http.MethodGet, path: "/sso/test/:ticket", limit: limits.ErrorAddr, page: true, handle: a.test},
		{method: http.MethodGet, path: "/sso/error/:reference", limit: limits.ErrorAddr, head: true, page: true, handle: a.failure},
		{method: http.MethodGet, path: "/sso/static/:name", handle: a.static},
	}
}

// Mount adds every row of the table to app. It fails when a row is incomplete, or when
// app has a route that is not a row. What no row takes is 404, or 405 with Allow.
func Mount(app *fiber.App, d Deps) error {
	if d.Logins == nil || d.Metadata == nil || d.Readers == nil || d.Limits == nil || d.UI == nil || d.Public == nil || d.Now == nil {
		return errors.New("httpapi: every dependency is required")
	}
	a := newAPI(d)
	rows := a.table()
	var addresses []server.Address
	for _, r := range rows {
		if err := a.mount(app, r); err != nil {
			return err
		}
		addresses = append(addresses, r.addresses()...)
	}
	return server.Compare(app.GetRoutes(true), addresses)
}

func newAPI(d Deps) *api { return &api{Deps: d, https: d.Public.Scheme == "https"} }

func (r row) addresses() []server.Address {
	list := []server.Address{{Method: r.method, Path: r.path}}
	if r.head {
		list = append(list, server.Address{Method: http.MethodHead, Path: r.path})
	}
	return list
}

func (a *api) mount(app *fiber.App, r row) error {
	switch {
	case r.handle == nil:
		return errors.New("httpapi: " + r.path + " has no handler")
	case r.limit == "" && r.page:
		return errors.New("httpapi: " + r.path + " has no limit")
	}
	shape := server.Canonical
	if r.page {
		shape = server.Page
	}
	chain := []fiber.Handler{server.Enter(server.Route{Pattern: r.path, Shape: shape, Pragma: r.page}), quiet}
	if r.limit != "" {
		chain = append(chain, a.limited(r.limit))
	}
	for _, to := range r.addresses() {
		app.Add(to.Method, to.Path, append(chain, r.handle)...)
	}
	return nil
}

// quiet keeps addresses, which hold tickets and codes, from the next site.
func quiet(c *fiber.Ctx) error {
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	return c.Next()
}

func (a *api) limited(name engine.Name) fiber.Handler {
	return func(c *fiber.Ctx) error {
		result, err := a.Limits.Take(c.UserContext(), name, server.ClientScope(c))
		server.SetRateLimit(c, result)
		if err != nil {
			return err
		}
		return c.Next()
	}
}

func visitor(c *fiber.Ctx) login.Visitor {
	return login.Visitor{UserAgent: c.Get(fiber.HeaderUserAgent), Address: server.ClientIP(c).String()}
}

// redirect sends the browser on. The address is the service's own work: nothing that was
// received becomes one.
func redirect(c *fiber.Ctx, status int, location string) error {
	c.Set(fiber.HeaderLocation, location)
	return c.SendStatus(status)
}

// static serves an embedded file by its hashed name.
func (a *api) static(c *fiber.Ctx) error {
	asset, ok := webui.Static(c.Params("name"))
	if !ok {
		return server.ErrNotFound
	}
	c.Set(fiber.HeaderCacheControl, "public, max-age=86400")
	c.Set(fiber.HeaderContentType, asset.Type)
	return c.Send(asset.Content)
}

// isPageRequest tells a browser's address bar from anything else.
func isPageRequest(c *fiber.Ctx) bool {
	return strings.HasPrefix(c.Path(), "/sso/") && !strings.HasPrefix(c.Path(), "/sso/static/") &&
		strings.Contains(c.Get(fiber.HeaderAccept), fiber.MIMETextHTML)
}
