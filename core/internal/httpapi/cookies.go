// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// The cookies of core, without the prefix that https adds.
const (
	sessionCookie    = "console_session"
	csrfCookie       = "csrf_token"
	presessionCookie = "presession"
	entryCookie      = "device_entry"
	langCookie       = "lang"
)

const (
	presessionLife = time.Hour
	langLife       = 365 * 24 * time.Hour
)

// cookieName adds __Host- on https, so that no sub-domain can plant the cookie.
func (a *api) cookieName(name string) string {
	if a.https {
		return "__Host-" + name
	}
	return name
}

// cookie gives the value of one of our cookies on the whole origin.
func (a *api) cookie(c *fiber.Ctx, name string) secret.Text { return onlyCookie(c, a.cookieName(name)) }

// onlyCookie gives the value of a cookie. A name that occurs twice counts as absent:
// somebody planted one of them, and nobody can tell which.
func onlyCookie(c *fiber.Ctx, full string) secret.Text {
	var (
		value string
		seen  int
	)
	for key, v := range c.Request().Header.Cookies() {
		if string(key) == full {
			value = string(v)
			seen++
		}
	}
	if seen != 1 {
		return secret.Text{}
	}
	return secret.New(value)
}

// setCookie writes a cookie on the whole origin. A life of zero ends with the
// browser, a negative one at once.
func (a *api) setCookie(c *fiber.Ctx, name, value string, life time.Duration, scriptable bool) {
	cookie := &fiber.Cookie{
		Name: a.cookieName(name), Value: value, Path: "/", HTTPOnly: !scriptable, Secure: a.https, SameSite: fiber.CookieSameSiteLaxMode,
	}
	switch {
	case life > 0:
		cookie.MaxAge = int(life.Seconds())
	case life < 0:
		cookie.Expires = time.Unix(0, 0)
	default:
		cookie.SessionOnly = true
	}
	c.Cookie(cookie)
}

func (a *api) clearCookie(c *fiber.Ctx, name string) { a.setCookie(c, name, "", -1, false) }

// setSession hands a beginning session to the browser, with the copy of the CSRF
// token for scripts, and drops what served before the sign-in.
func (a *api) setSession(c *fiber.Ctx, s console.Issued) {
	var life time.Duration
	if s.Session.Remember {
		life = a.SessionMax
	}
	a.setCookie(c, sessionCookie, s.Cookie.Reveal(), life, false)
	a.setCookie(c, csrfCookie, a.Console.CSRFToken(s.Session.TokenHash), life, true)
	a.clearCookie(c, presessionCookie)
}

func (a *api) clearSession(c *fiber.Ctx) {
	a.clearCookie(c, sessionCookie)
	a.setCookie(c, csrfCookie, "", -1, true)
}
