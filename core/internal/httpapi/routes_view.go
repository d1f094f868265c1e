// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"
	"slices"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// Route is a row of the public listener's route table as others may read it: tests
// and documents.
type Route struct {
	Method string
	// Path is the pattern; a segment that begins with a colon is a parameter.
	Path string
	// Caller is the class of caller: open, bearer, cookie, cookie write, cookie or
	// none, sign-in, set-up, page, signed-in page, form, signed-in form, static, client, navigation or approval grant.
	Caller string
	// Subjects are the kinds of person whose tokens a bearer route takes.
	Subjects []token.SubjectType
	// Media lists the content types of the body; empty means that no body is read.
	Media []string
	// Body is the cap of the body in bytes.
	Body int
	// Streams: it answers with events, and a GET with them answers no HEAD.
	Streams bool
	// App: the path names an app. Roles are those that a member needs one of.
	App   bool
	Roles []workspace.Role
	// Described: members may learn of an app whose API is off.
	Described bool
	// Limits are the rate limits that the route's guards ask, in their order. Handlers
	// may ask others.
	Limits []limits.Name
}

// Routes lists every route of the public listener in the table's order. A GET route
// answers HEAD too, unless it streams.
func Routes() []Route { return views((&api{}).table()) }

// EnterpriseRoutes lists the bearer routes that the Enterprise Edition alone has.
func EnterpriseRoutes() []Route {
	has := func(list []Route, r Route) bool {
		return slices.ContainsFunc(list, func(o Route) bool { return o.Method == r.Method && o.Path == r.Path })
	}
	rows, everybody := (&api{Deps: Deps{Enterprise: true, SSO: &sso.Service{}}}).table(), Routes()
	return slices.DeleteFunc(views(rows), func(r Route) bool { return r.Caller != bearer.String() || has(everybody, r) })
}

func views(rows []row) []Route {
	out := make([]Route, len(rows))
	for i, r := range rows {
		out[i] = Route{Method: r.method, Path: r.path, Caller: r.caller.String(), Subjects: slices.Clone(r.rule.Subjects), Media: slices.Clone(r.media), Body: r.body, Streams: r.streams(),
			App: r.rule.App, Roles: slices.Clone(r.rule.Roles), Described: r.rule.Described, Limits: r.asked()}
	}
	return out
}

// asked names the limits that stand before the handler, in their order.
func (r row) asked() (names []limits.Name) {
	if r.caller == bearer {
		names = append(names, limits.BearerToken)
	}
	if r.rule.Extra != "" {
		names = append(names, r.rule.Extra)
	}
	for _, l := range r.limits {
		names = append(names, l.name)
	}
	return names
}

var callerNames = map[caller]string{
	open: "open", bearer: "bearer", cookieRead: "cookie", cookieWrite: "cookie write", cookieLoose: "cookie or none", signIn: "sign-in", setUp: "set-up",
	page: "page", pageSigned: "signed-in page", pageWrite: "form", pageSignedWrite: "signed-in form", static: "static", client: "client", asking: "preflight",
	navigation: "navigation", grantWrite: "approval grant",
}

// String names the class.
func (c caller) String() string { return callerNames[c] }

// compare finds routes without a row, rows without a route and rows that stand twice.
func compare(mounted []fiber.Route, rows []row) error {
	table := make([]server.Address, 0, 2*len(rows))
	for _, r := range rows {
		table = append(table, server.Address{Method: r.method, Path: r.path})
		if r.answersHead() {
			table = append(table, server.Address{Method: http.MethodHead, Path: r.path})
		}
	}
	return server.Compare(mounted, table)
}
