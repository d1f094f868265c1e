// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/url"
	"slices"

	"github.com/gofiber/fiber/v2"
)

// loopbackGuard brings a browser that came by another loopback name to the
// configured one: cookies and origins are bound to it.
func (a *api) loopbackGuard(c *fiber.Ctx) error {
	host := string(c.Request().Host())
	if host != a.Public.Host && isLoopback(a.Public.Host) && isLoopback(host) && portOf(host) == portOf(a.Public.Host) {
		return a.redirect(c, a.public+string(c.Request().RequestURI()))
	}
	return c.Next()
}

func isLoopback(hostport string) bool {
	u := url.URL{Host: hostport}
	return slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
}

func portOf(hostport string) string { u := url.URL{Host: hostport}; return u.Port() }
