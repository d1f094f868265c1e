// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/fault"
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
	// asking takes a browser's question before a page of another origin acts; preflights
	// alone makes such rows.
	asking
	// navigation takes a browser that is sent from page to page: its handler tells on a page
	// what fails.
	navigation
	// grantWrite takes an approval grant, an origin that fits and the grant's CSRF token.
	grantWrite
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
	// workspaceQuery: the workspace of the rule is named by the parameter workspace_id of the
	// query.
	workspaceQuery bool
	media          []string // content types of the body; none means that no body is read
	body           int      // cap in bytes
	// unread: the handler reads the body itself, while it passes it on.
	unread bool
	// share says which pages of other origins may use the row; zero goes by the caller.
	share sharing
	// codes: a wrong user code spends the account's budget (limits.DeviceWrongAccount).
	codes bool
	// unswitched: the row answers where ENABLE_OAUTH_BEARER is off, too.
	unswitched bool
	// about describes the route in the API's document.
	about operation
	// byGrant answers in place of the chain who asks by an approval grant.
	byGrant fiber.Handler
	// first judges the headers before the body is looked at, or a page's address before who
	// asks for it; most rows have none.
	first  fiber.Handler
	handle fiber.Handler
	step   Step // of a login, which is counted
}

// operation is what the API's document says of a row. The values are zero values of the
// types that the handler reads and writes, so that document and code cannot differ.
type operation struct {
	summary string
	query   any            // a struct whose fields are the query parameters
	body    any            // the request, of JSON and form alike
	strict  bool           // whether members of the body that nobody knows are refused
	answers map[int]any    // the body of each 2xx; nil where it has none, events for a stream, mixed for JSON or a stream
	sample  any            // an example of the request, of the body's type
	samples map[int]any    // examples of answers: a value, or the text of a stream, or mixed, for both
	fails   []*fault.Error // what the handler refuses with; the guards' refusals follow from the row
}

const (
	json  = "application/json"
	form  = "application/x-www-form-urlencoded"
	parts = "multipart/form-data"
	small = 64 << 10 // bytes
)

const base = "/openapi/v1"

var (
	accountsOnly = []token.SubjectType{token.SubjectAccount}
	anySubject   = []token.SubjectType{token.SubjectAccount, token.SubjectExternal}
)

// table is every route of the public listener of this edition, whatever is switched off.
func (a *api) table() []row {
	return slices.Concat(a.metaRows(), a.oauthRows(), a.accountRows(), a.workspaceRows(), a.appRows(), a.runRows(), a.taskRows(), a.consoleRows(), a.registryRows(), a.pageRows(), a.ssoRows())
}

// answersHead: a navigation draws, counts and uses things up, and none of it for a
// preview's HEAD.
func (r row) answersHead() bool {
	return r.method == http.MethodGet && r.caller != navigation && !r.streams()
}

// streams: the row answers with events. A HEAD of it would have an app's runtime asked for
// what nobody reads.
func (r row) streams() bool {
	for _, answer := range r.about.answers {
		if list, ok := answer.(mixed); ok && slices.ContainsFunc(list, isEvents) || isEvents(answer) {
			return true
		}
	}
	return false
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
	case r.byGrant != nil && r.caller != cookieRead:
		return fail("answers by approval grant what its caller's chain does not ask for")
	case r.first != nil && r.caller != open && r.caller != page:
		return fail("has a first guard that its caller's chain does not run")
	case !r.shareable():
		return fail("shares with other origins what its caller's class keeps")
	case r.switched() && !slices.Contains(switchable, r.caller):
		return fail("belongs to the device flow, and its caller's chain has no place for the switch")
	case r.codes && r.caller != cookieRead && r.caller != cookieWrite:
		return fail("takes codes on an account's budget from callers without an account")
	case (r.caller == bearer) != (len(r.rule.Subjects) > 0):
		return fail("and its bearer rule do not fit")
	case r.workspaceQuery && (r.caller != bearer || !r.rule.Workspace):
		return fail("names a workspace in its query that its rule does not ask for")
	case r.caller != asking && r.rule.Workspace != (r.workspaceQuery || strings.Contains(r.path, "/:"+workspaceParam)),
		r.caller == bearer && r.rule.App != strings.Contains(r.path, "/:"+appParam),
		r.rule.App && r.rule.Workspace,
		len(r.rule.Roles) > 0 && !r.rule.Workspace && !r.rule.App:
		return fail("and the workspace or app of its rule do not fit")
	case writes && slices.Contains([]caller{cookieRead, page, pageSigned, static}, r.caller):
		return fail("changes state without a CSRF guard")
	case (r.caller >= page && r.caller <= pageSignedWrite) != (r.shape == server.Page):
		return fail("is a page without a page's failures, or the reverse")
	}
	chain := a.guards(r)
	app.Add(r.method, r.path, chain...)
	if r.answersHead() {
		app.Add(http.MethodHead, r.path, chain...)
	}
	return nil
}
