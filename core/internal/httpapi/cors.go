// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// sharing says which pages of other origins may use a row: those that
// OPENAPI_CORS_ALLOW_ORIGINS lists, and nobody else. It belongs to the row, so that no
// spelling of an address changes it.
type sharing int

const (
	// byCaller shares what takes no cookie: whoever holds a bearer may use it anywhere.
	byCaller sharing = iota
	// private answers other origins like any stranger, without a header for them.
	private
	// readable lets a listed origin read the answer to a request without cookies.
	readable
	// credentialed lets a listed origin act with the console cookie of its reader.
	credentialed
	// credentialedByCode is credentialed for requests that name a user code.
	credentialedByCode
)

// What a listed origin may send and read. The list of methods is that of the whole API:
// a route refuses what it does not take in words that the script can read.
const (
	allowMethods = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
	allowHeaders = "Authorization, Content-Type, X-CSRF-Token"
	exposed      = "X-Request-Id, Retry-After, WWW-Authenticate"
	// preflightAge is for how long a browser need not ask again, in seconds.
	preflightAge = "600"
)

// shared resolves what the row says.
func (r row) shared() sharing {
	if r.share != byCaller {
		return r.share
	}
	switch r.caller {
	case open, bearer, client:
		return readable
	}
	return private
}

// shareable: cookies are shared by rows of a signed-in browser's script alone, and other
// cookie routes not at all.
func (r row) shareable() bool {
	switch r.shared() {
	case credentialed, credentialedByCode:
		return slices.Contains([]caller{cookieRead, cookieWrite, asking}, r.caller)
	case readable:
		return slices.Contains([]caller{open, bearer, client, asking}, r.caller)
	}
	return true
}

// shareGuard tells a browser whether the page that asked may read the answer, failures
// included. Without listed origins there is no such header anywhere.
func (a *api) shareGuard(r row) []fiber.Handler {
	class := r.shared()
	if class == private || len(a.Origins) == 0 {
		return nil
	}
	return []fiber.Handler{func(c *fiber.Ctx) error {
		if class == credentialedByCode && !c.Context().QueryArgs().Has("user_code") {
			return c.Next()
		}
		// Also where nobody is let in: a cache must not hand this answer to a listed origin.
		c.Vary(fiber.HeaderOrigin)
		if origin := a.embedder(c); origin != "" {
			c.Set(fiber.HeaderAccessControlAllowOrigin, origin)
			c.Set(fiber.HeaderAccessControlExposeHeaders, exposed)
			if class != readable {
				c.Set(fiber.HeaderAccessControlAllowCredentials, "true")
			}
		}
		return c.Next()
	}}
}

// embedder gives the origin that a request names when it is a listed one, compared byte
// by byte: a browser writes an origin in one way only (RFC 6454 section 6.2).
func (a *api) embedder(c *fiber.Ctx) string {
	lines := headerLines(c, fiber.HeaderOrigin)
	if len(lines) != 1 || !slices.Contains(a.Origins, lines[0]) {
		return ""
	}
	return lines[0]
}

// preflights are the rows by which a browser asks beforehand, one for each path that is
// shared. They are answered before any credential, switch or budget: a browser sends none
// of its reader's credentials with them, and takes any failure for a refusal whose reason
// no script can read.
func (a *api) preflights(rows []row) ([]row, error) {
	if len(a.Origins) == 0 {
		return nil, nil
	}
	var (
		out     []row
		methods = map[string][]string{}
		class   = map[string]sharing{}
	)
	for _, r := range rows {
		if known, ok := class[r.path]; ok && known != r.shared() {
			return nil, fmt.Errorf("httpapi: the rows of %s are shared in different ways, and one preflight answers for all", r.path)
		}
		class[r.path] = r.shared()
		methods[r.path] = append(methods[r.path], r.method)
		if r.answersHead() {
			methods[r.path] = append(methods[r.path], http.MethodHead)
		}
	}
	for path := range class {
		if class[path] == private {
			continue
		}
		allow := strings.Join(append(methods[path], http.MethodOptions), ", ")
		out = append(out, row{method: http.MethodOptions, path: path, caller: asking, share: class[path], unswitched: true, handle: preflight(allow)})
	}
	return out, nil
}

// preflight answers what shareGuard has begun.
func preflight(allow string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderAllow, allow) // RFC 9110 section 9.3.7
		if len(c.Response().Header.Peek(fiber.HeaderAccessControlAllowOrigin)) > 0 {
			c.Set(fiber.HeaderAccessControlAllowMethods, allowMethods)
			c.Set(fiber.HeaderAccessControlAllowHeaders, allowHeaders)
			c.Set(fiber.HeaderAccessControlMaxAge, preflightAge)
		}
		c.Status(http.StatusOK)
		return nil
	}
}
