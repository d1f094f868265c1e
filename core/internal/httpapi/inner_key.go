// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// innerKeyHeader carries the key of one purpose.
const innerKeyHeader = "X-Inner-Api-Key"

// errInnerKey is one refusal for a key that is absent, wrong, doubled or of another
// purpose.
var errInnerKey = fault.New(fault.Unauthenticated, "unauthorized", "This address takes a key of its own.")

// innerKey lets pass who presents the expected key or the one before it, exactly once.
// Without an expected key nobody passes.
func innerKey(expected, former secret.Text) fiber.Handler {
	want, before := sha256.Sum256([]byte(expected.Reveal())), sha256.Sum256([]byte(former.Reveal()))
	return func(c *fiber.Ctx) error {
		presented := c.Request().Header.PeekAll(innerKeyHeader)
		if len(presented) != 1 {
			return errInnerKey
		}
		// Of equal length whatever was sent: the comparison tells nothing of the key's.
		got := sha256.Sum256(presented[0])
		right := subtle.ConstantTimeCompare(got[:], want[:])
		if !former.IsZero() {
			right |= subtle.ConstantTimeCompare(got[:], before[:])
		}
		if right != 1 || expected.IsZero() {
			return errInnerKey
		}
		return c.Next()
	}
}

// innerRow is one route of the second listener that takes a credential: a key, the token
// of sso-bridge, or either, each with a handler of its own.
type innerRow struct {
	method    string // empty takes every method
	path      string
	key       secret.Text // none: no key opens the route
	former    secret.Text // of a rotation: opens it too
	media     []string    // content types of the body; none means that no body is read
	body      int         // cap in bytes
	challenge func(f *fault.Error) string
	handle    fiber.Handler // for the holder of the key
	bridge    fiber.Handler // for sso-bridge; nil: its token opens nothing here
}

// exists reports whether anything opens the row. A row that nothing opens does not exist,
// whatever the method.
func (d Inner) exists(r innerRow) bool { return !r.key.IsZero() || r.bridge != nil && d.Bridge != nil }

// mountKeyed adds the rows that something opens.
func (d Inner) mountKeyed(app *fiber.App, rows ...innerRow) {
	for _, r := range rows {
		if !d.exists(r) {
			continue
		}
		enter := server.Enter(server.Route{Pattern: r.path, Pragma: true, Challenge: r.challenge})
		chain := []fiber.Handler{enter, innerKey(r.key, r.former), readBody(row{media: r.media, body: r.body}), r.handle}
		switch {
		case r.bridge == nil || d.Bridge == nil:
		case r.handle == nil:
			chain = []fiber.Handler{enter, d.bridgeToken, readBody(row{media: r.media, body: r.body}), d.admitBridge, r.bridge}
		default:
			chain = []fiber.Handler{enter, d.either(r), readBody(row{media: r.media, body: r.body}), d.admitBridge, func(c *fiber.Ctx) error {
				if byBridge(c) {
					return r.bridge(c)
				}
				return r.handle(c)
			}}
		}
		if r.method == "" {
			app.All(r.path, chain...)
			continue
		}
		app.Add(r.method, r.path, chain...)
	}
}
