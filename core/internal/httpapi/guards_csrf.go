// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// csrfHeaderGuard judges a scripted write: where it comes from, then its token. A row
// that pages of other origins may read takes writes from them, too.
func (a *api) csrfHeaderGuard(shared bool) fiber.Handler {
	return func(c *fiber.Ctx) error {
		presented := c.Get("X-CSRF-Token")
		if presented == "" {
			presented = c.Get("X-CSRFToken")
		}
		from := provenance(c)
		from.TokenInHeader = presented != ""
		from.Embedder = shared && a.embedder(c) != ""
		if err := a.checkCSRF(c, from, presented); err != nil {
			return err
		}
		return c.Next()
	}
}

// looseGuard lets a request without a session pass: there is nothing to protect.
func (a *api) looseGuard(c *fiber.Ctx) error {
	s, err := a.Console.Authenticate(c.UserContext(), a.cookie(c, sessionCookie))
	if errors.Is(err, console.ErrUnauthorized) {
		return c.Next()
	}
	if err != nil {
		return err
	}
	a.enter(c, s)
	return a.csrfHeaderGuard(false)(c)
}

func (a *api) signInOriginGuard(c *fiber.Ctx) error {
	if err := console.CheckProvenance(provenance(c), a.public, true); err != nil {
		return a.csrfRefused(c, err)
	}
	return c.Next()
}

// formGuard parses a form before the CSRF check: its token is in it.
func formGuard(c *fiber.Ctx) error {
	values, err := wire.Form(body(c))
	if err != nil {
		return server.ErrBadRequest.Because(err)
	}
	c.Locals(formKey, values)
	return c.Next()
}

func formOf(c *fiber.Ctx) wire.Values { v, _ := c.Locals(formKey).(wire.Values); return v }

func field(c *fiber.Ctx, name string) string { v, _ := formOf(c).Get(name); return v }

func (a *api) csrfFormGuard(c *fiber.Ctx) error {
	if err := a.checkCSRF(c, provenance(c), field(c, "csrf_token")); err != nil {
		return err
	}
	return c.Next()
}

func (a *api) checkCSRF(c *fiber.Ctx, from console.Provenance, presented string) error {
	if err := console.CheckProvenance(from, a.public, false); err != nil {
		return a.csrfRefused(c, err)
	}
	binder, _ := c.Locals(binderKey).(secret.Digest)
	if binder.IsZero() {
		return a.csrfRefused(c, console.ErrCSRFMismatch)
	}
	if err := a.Console.CheckCSRF(binder, presented); err != nil {
		return a.csrfRefused(c, err)
	}
	return nil
}

func (a *api) csrfRefused(c *fiber.Ctx, err error) error {
	actor := audit.Anonymous
	if s := signed(c); s != nil {
		actor = audit.Account(s.Account.ID)
	}
	pattern, _ := c.Locals(patternKey).(string)
	a.Recorder.Later(audit.New(c.UserContext(), a.Now(), actor, console.CSRFRefused{Route: pattern, Cause: fault.Of(err).Code()}))
	return err
}

func provenance(c *fiber.Ctx) console.Provenance {
	return console.Provenance{FetchSite: c.Get("Sec-Fetch-Site"), Origin: c.Get(fiber.HeaderOrigin), Referer: c.Get(fiber.HeaderReferer)}
}
