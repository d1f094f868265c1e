// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// caller is the class of caller that a route serves, and with it the guards that
// run before its handler.
type caller int

const (
	// open takes anybody.
	open caller = iota + 1
	// bearer takes an access token, by the row's rule.
	bearer
	// cookieRead takes a console session.
	cookieRead
	// cookieWrite takes a console session, an origin that fits and its CSRF token.
	cookieWrite
	// cookieLoose takes a console session with its CSRF token, or no session at all.
	cookieLoose
	// signIn takes anybody whose origin, where sent, fits.
	signIn
	// setUp is signIn on an installation that may not be set up yet.
	setUp
	// page is a page that judges for itself whether somebody is signed in.
	page
	// pageSigned is a page for the signed-in; others are sent to sign in.
	pageSigned
	// pageWrite is a page's form: origin and CSRF token of the session or pre-session.
	pageWrite
	// pageSignedWrite is a form for the signed-in.
	pageSignedWrite
	// static is an embedded file.
	static
	// client takes a service that authenticates by HTTP Basic (RFC 6749 section 2.3.1).
	client
)

// scope says whom a limit of a row counts.
type scope int

const (
	byAddress scope = iota + 1
	byInstallation
	byAccount
	byClient
)

type limit struct {
	name limits.Name
	by   scope
}

// row is one route. A route without a row does not exist.
type row struct {
	method string
	path   string
	caller caller
	shape  server.Shape
	limits []limit
	rule   authz.Rule
	media  []string // content types of the body; none means that no body is read
	body   int      // cap in bytes
	// first judges the headers before the body is looked at; most rows have none.
	first  fiber.Handler
	handle fiber.Handler
}

const (
	json  = "application/json"
	form  = "application/x-www-form-urlencoded"
	small = 64 << 10 // bytes
)

const base = "/openapi/v1"

var accountsOnly = []token.SubjectType{token.SubjectAccount}

// table is every route of the public listener.
func (a *api) table() []row {
	return []row{
		{method: http.MethodGet, path: base + "/_health", caller: open, handle: a.health},
		{method: http.MethodGet, path: base + "/_version", caller: open, handle: a.version},
		{method: http.MethodGet, path: base + "/_ready", caller: open, handle: a.ready},

		{method: http.MethodPost, path: base + "/oauth/device/code", caller: open, shape: server.OAuth, media: []string{json, form}, body: small,
			limits: []limit{{limits.DeviceCodeAddr, byAddress}, {limits.DeviceCodeAll, byInstallation}}, handle: a.deviceAuthorization},
		// device.poll.addr is asked inside: it answers slow_down, after the request's shape.
		{method: http.MethodPost, path: base + "/oauth/device/token", caller: open, shape: server.OAuth, media: []string{json, form}, body: small,
			first: refuseBasic, handle: a.deviceToken},
		{method: http.MethodGet, path: base + "/oauth/device/lookup", caller: open, limits: []limit{{limits.DeviceLookupAddr, byAddress}}, handle: a.deviceLookup},
		{method: http.MethodPost, path: base + "/oauth/introspect", caller: client, shape: server.OAuth, media: []string{form}, body: small,
			limits: []limit{{limits.IntrospectClient, byClient}}, handle: a.introspect},
		{method: http.MethodPost, path: base + "/oauth/revoke", caller: open, shape: server.OAuth, media: []string{json, form}, body: small,
			limits: []limit{{limits.RevokeAddr, byAddress}}, handle: a.revoke},
		{method: http.MethodPost, path: base + "/oauth/device/approve", caller: cookieWrite, shape: server.Decision, media: []string{json}, body: small,
			limits: []limit{{limits.DeviceDecideAccount, byAccount}}, handle: a.approve},
		{method: http.MethodPost, path: base + "/oauth/device/deny", caller: cookieWrite, shape: server.Decision, media: []string{json}, body: small,
			limits: []limit{{limits.DeviceDecideAccount, byAccount}}, handle: a.deny},

		{method: http.MethodGet, path: base + "/account", caller: bearer, rule: authz.Rule{Subjects: accountsOnly, Extra: limits.AccountRead}, handle: a.account},
		{method: http.MethodGet, path: base + "/account/sessions", caller: bearer, rule: authz.Rule{Subjects: accountsOnly}, handle: a.sessions},
		{method: http.MethodDelete, path: base + "/account/sessions", caller: bearer, rule: authz.Rule{Subjects: accountsOnly}, handle: a.endOtherSessions},
		{method: http.MethodDelete, path: base + "/account/sessions/self", caller: bearer, rule: authz.Rule{Subjects: accountsOnly}, handle: a.endOwnSession},
		{method: http.MethodDelete, path: base + "/account/sessions/:id", caller: bearer, rule: authz.Rule{Subjects: accountsOnly}, handle: a.endSession},

		{method: http.MethodGet, path: "/console/api/setup", caller: open, handle: a.setupState},
		{method: http.MethodPost, path: "/console/api/setup", caller: setUp, media: []string{json}, body: small, limits: setupLimit, handle: a.setup},
		{method: http.MethodPost, path: "/console/api/init", caller: setUp, handle: a.probeSetup},
		{method: http.MethodPost, path: "/console/api/register", caller: setUp, handle: a.probeSetup},
		{method: http.MethodPost, path: "/console/api/login", caller: signIn, media: []string{json}, body: small, handle: a.login},
		{method: http.MethodPost, path: "/console/api/logout", caller: cookieLoose, handle: a.logout},
		{method: http.MethodGet, path: "/console/api/csrf-token", caller: cookieRead, handle: a.csrfToken},
		{method: http.MethodGet, path: "/console/api/account/profile", caller: cookieRead, handle: a.profile},
		{method: http.MethodPost, path: "/console/api/account/password", caller: cookieWrite, media: []string{json}, body: small, handle: a.changePassword},
		{method: http.MethodGet, path: "/console/api/sessions", caller: cookieRead, handle: a.consoleSessions},
		{method: http.MethodDelete, path: "/console/api/sessions/:id", caller: cookieWrite, handle: a.endConsoleSession},
		{method: http.MethodGet, path: "/console/api/workspaces", caller: cookieRead, handle: a.consoleWorkspaces},

		{method: http.MethodGet, path: "/", caller: page, shape: server.Page, handle: a.rootPage},
		{method: http.MethodGet, path: "/setup", caller: page, shape: server.Page, handle: a.setupPage},
		{method: http.MethodPost, path: "/setup", caller: pageWrite, shape: server.Page, media: []string{form}, body: small, limits: setupLimit, handle: a.setupForm},
		{method: http.MethodGet, path: "/signin", caller: page, shape: server.Page, handle: a.signInPage},
		{method: http.MethodPost, path: "/signin", caller: pageWrite, shape: server.Page, media: []string{form}, body: small, handle: a.signInForm},
		{method: http.MethodPost, path: "/signout", caller: pageSignedWrite, shape: server.Page, media: []string{form}, body: small, handle: a.signOutForm},
		{method: http.MethodGet, path: "/device", caller: page, shape: server.Page, handle: a.devicePage},
		{method: http.MethodPost, path: "/device", caller: pageWrite, shape: server.Page, media: []string{form}, body: small, handle: a.deviceEntryForm},
		{method: http.MethodPost, path: "/device/authorize", caller: pageSignedWrite, shape: server.Page, media: []string{form}, body: small,
			limits: []limit{{limits.DeviceDecideAccount, byAccount}}, handle: a.deviceDecisionForm},
		{method: http.MethodGet, path: "/account/sessions", caller: pageSigned, shape: server.Page, handle: a.sessionsPage},
		{method: http.MethodGet, path: "/account/sessions/end", caller: pageSigned, shape: server.Page, handle: a.confirmEndPage},
		{method: http.MethodPost, path: "/account/sessions/end", caller: pageSignedWrite, shape: server.Page, media: []string{form}, body: small, handle: a.endForm},
		{method: http.MethodGet, path: "/static/:name", caller: static, handle: a.staticFile},
	}
}

// mount refuses a row that does not say what it needs to.
func (a *api) mount(app *fiber.App, r row) error {
	fail := func(what string) error { return fmt.Errorf("httpapi: route %s %s %s", r.method, r.path, what) }
	writes := r.method != http.MethodGet && r.method != http.MethodHead
	switch {
	case r.handle == nil:
		return fail("has no handler")
	case r.caller == 0:
		return fail("names no caller")
	case len(r.media) > 0 && r.body <= 0:
		return fail("takes a body without a cap")
	case r.first != nil && r.caller != open:
		return fail("has a first guard that its caller's chain does not run")
	case (r.caller == bearer) != (len(r.rule.Subjects) > 0):
		return fail("and its bearer rule do not fit")
	case writes && slices.Contains([]caller{cookieRead, page, pageSigned, static}, r.caller):
		return fail("changes state without a CSRF guard")
	case (r.caller >= page && r.caller <= pageSignedWrite) != (r.shape == server.Page):
		return fail("is a page without a page's failures, or the reverse")
	}
	chain := a.guards(r)
	app.Add(r.method, r.path, chain...)
	if r.method == http.MethodGet {
		app.Add(http.MethodHead, r.path, chain...)
	}
	return nil
}
