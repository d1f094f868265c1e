// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/authz"
)

// wellKnown is where documents about an address live (RFC 8615).
const wellKnown = "/.well-known/"

// rows is what this installation mounts: the table without what is switched off, and
// what browsers of other origins ask first.
func (a *api) rows() ([]row, error) {
	rows := a.table()
	if a.WithoutAPI {
		// What is not mounted answers like an address that never was, before any budget.
		rows = slices.DeleteFunc(rows, row.partOfAPI)
	}
	asked, err := a.preflights(rows)
	return append(rows, asked...), err
}

// under reports whether a row's path is root or below it.
func (r row) under(root string) bool {
	return r.path == root || strings.HasPrefix(r.path, root+"/")
}

// partOfAPI: the row goes with OPENAPI_ENABLED. It is read off the row's own path, not
// off a request's, so that nothing a client writes decides it and no row can forget it.
func (r row) partOfAPI() bool {
	return r.under(base) || r.under("/device") || strings.HasPrefix(r.path, wellKnown+"oauth-")
}

// switched: the row refuses where ENABLE_OAUTH_BEARER is off. That is every bearer route,
// which the pipeline refuses by itself, and the device flow with its pages.
func (r row) switched() bool {
	return !r.unswitched && (r.caller == bearer || r.under(base+"/oauth/device") || r.under("/device"))
}

// switchable are the callers whose chains have a place for flagGuard.
var switchable = []caller{open, bearer, cookieRead, cookieWrite, page, pageSigned, pageWrite, pageSignedWrite, navigation, grantWrite}

// flagGuard refuses what is switched off, at the place that the chain of the row's caller
// gives it.
func (a *api) flagGuard(r row) []fiber.Handler {
	if !a.Bearer.Disabled || !r.switched() {
		return nil
	}
	return []fiber.Handler{func(*fiber.Ctx) error { return authz.ErrDisabled }}
}
