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

// innerKey lets pass who presents the expected key, exactly once. Without an expected
// key the route does not exist, so that nobody learns what a deployment left out.
func innerKey(expected secret.Text) fiber.Handler {
	if expected.IsZero() {
		return func(*fiber.Ctx) error { return server.ErrNotFound }
	}
	want := sha256.Sum256([]byte(expected.Reveal()))
	return func(c *fiber.Ctx) error {
		presented := c.Request().Header.PeekAll(innerKeyHeader)
		if len(presented) != 1 {
			return errInnerKey
		}
		// Of equal length whatever was sent: the comparison tells nothing of the key's.
		got := sha256.Sum256(presented[0])
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			return errInnerKey
		}
		return c.Next()
	}
}

// innerRow is one route of the second listener that takes a credential.
type innerRow struct {
	method    string // empty takes every method
	path      string
	key       secret.Text // none: the route does not exist, whatever the method
	media     []string    // content types of the body; none means that no body is read
	body      int         // cap in bytes
	challenge func(f *fault.Error) string
	handle    fiber.Handler
}

// mountKeyed adds the rows whose key is configured.
func mountKeyed(app *fiber.App, rows ...innerRow) {
	for _, r := range rows {
		if r.key.IsZero() {
			continue
		}
		chain := []fiber.Handler{
			server.Enter(server.Route{Pattern: r.path, Pragma: true, Challenge: r.challenge}),
			innerKey(r.key), readBody(row{media: r.media, body: r.body}), r.handle,
		}
		if r.method == "" {
			app.All(r.path, chain...)
			continue
		}
		app.Add(r.method, r.path, chain...)
	}
}
