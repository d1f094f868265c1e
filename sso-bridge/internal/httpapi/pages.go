// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bytes"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/page"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/webui"
)

// pagePolicy is the content security policy of every page but one: nothing inline,
// nothing from elsewhere, no form, no frame.
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// leavePolicy is that of the page whose form goes to an identity provider. A browser
// applies form-action to each redirect that follows, and where a provider redirects to is
// its own affair: any address of https, and the provider's own one in a development on
// loopback.
func leavePolicy(address string) string {
	action := "https:"
	if u, err := url.Parse(address); err == nil && u.Scheme == "http" && isLoopback(u.Hostname()) {
		action += " http://" + u.Host
	}
	return strings.Replace(pagePolicy, "form-action 'none'", "form-action "+action, 1)
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// permissionsPolicy denies what no page of ours uses.
const permissionsPolicy = "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), display-capture=(), geolocation=(), gyroscope=(), microphone=(), midi=(), payment=(), usb=()"

// testCookie binds the page of a connection test to the browser that was tested.
const testCookie = "sso_test"

const testCookieLife = 900 // seconds

// start spends a ticket and sends the browser to its provider.
func (a *api) start(c *fiber.Ctx) error {
	d, err := a.Logins.Start(c.UserContext(), secret.New(c.Params("ticket")), visitor(c))
	if err != nil {
		return a.refused(c, failure.Of(err), d.Reference)
	}
	if !d.TestCookie.IsZero() {
		c.Cookie(&fiber.Cookie{
			Name: a.cookieName(), Value: d.TestCookie.Reveal(), Path: "/", MaxAge: testCookieLife, HTTPOnly: true, Secure: a.https, SameSite: fiber.CookieSameSiteLaxMode,
		})
	}
	if d.Post == nil {
		return redirect(c, http.StatusFound, d.URL)
	}
	return a.render(c, http.StatusOK, webui.Leave{Destination: d.Destination})
}

// cookieName has __Host- on https, so that no sub-domain can plant the cookie.
func (a *api) cookieName() string {
	if a.https {
		return "__Host-" + testCookie
	}
	return testCookie
}

// test shows what a connection test has found, to the browser that was tested.
func (a *api) test(c *fiber.Ctx) error {
	result, err := a.Logins.TestResult(c.UserContext(), secret.New(c.Params("ticket")), a.cookie(c))
	switch {
	case errors.Is(err, login.ErrResultOver):
		return a.render(c, http.StatusNotFound, webui.Failure{Public: ssocode.Expired})
	case errors.Is(err, login.ErrWrongBrowser):
		return a.render(c, http.StatusForbidden, webui.Failure{Public: ssocode.WrongBrowser})
	case err != nil:
		return err
	}
	return a.render(c, http.StatusOK, webui.Test{Result: result})
}

// cookie gives the test cookie. One that comes twice counts as absent: somebody planted
// one of them, and nobody can tell which.
func (a *api) cookie(c *fiber.Ctx) secret.Text {
	var value string
	seen := 0
	for key, v := range c.Request().Header.Cookies() {
		if string(key) == a.cookieName() {
			value = string(v)
			seen++
		}
	}
	if seen != 1 {
		return secret.Text{}
	}
	return secret.New(value)
}

// failure is the page of a reference.
func (a *api) failure(c *fiber.Ctx) error {
	reference := c.Params("reference")
	f, err := a.Logins.Failure(c.UserContext(), reference)
	if err != nil {
		return fault.ErrUnavailable.Because(err)
	}
	if !f.Known {
		return a.render(c, http.StatusNotFound, webui.Failure{Public: ssocode.Failed})
	}
	return a.render(c, http.StatusOK, webui.Failure{Public: f.Public, Reference: reference, At: f.At, Intent: f.Intent})
}

// refused is the page of a refusal that has just been noted under a reference.
func (a *api) refused(c *fiber.Ctx, f *failure.Error, reference string) error {
	status := http.StatusBadRequest
	switch f.Public {
	case ssocode.Unavailable, ssocode.ProviderSilent:
		status = http.StatusServiceUnavailable
		c.Set(fiber.HeaderRetryAfter, "2")
	case ssocode.Failed:
		status = http.StatusInternalServerError
	}
	server.Failed(c, fault.ErrInternal.Because(f))
	return a.explain(c, status, f.Public, reference)
}

// explain shows a public code with what is known of its reference. Where that cannot be
// read now the page goes without the time.
func (a *api) explain(c *fiber.Ctx, status int, public ssocode.Code, reference string) error {
	v := webui.Failure{Public: public, Reference: reference, At: a.Now()}
	if f, err := a.Logins.Failure(c.UserContext(), reference); err == nil && f.Known {
		v.At, v.Intent = f.At, f.Intent
	}
	return a.render(c, status, v)
}

// render answers with a page.
func (a *api) render(c *fiber.Ctx, status int, v webui.View) error {
	f := webui.Frame{Lang: page.Language(c.Query("lang"), "", c.Get(fiber.HeaderAcceptLanguage))}
	other := url.Values{"lang": {page.Chinese}}
	if f.Lang == page.Chinese {
		other.Set("lang", page.English)
	}
	switch v := v.(type) {
	case webui.Failure:
		if v.Reference != "" {
			f.Switch = "/sso/error/" + v.Reference + "?" + other.Encode()
		}
	case webui.Test:
		f.Switch = c.Path() + "?" + other.Encode()
	}
	var out bytes.Buffer
	if err := a.UI.Render(&out, f, v); err != nil {
		return fault.ErrInternal.Because(err)
	}
	quietly(c)
	if leave, ok := v.(webui.Leave); ok {
		c.Set(fiber.HeaderContentSecurityPolicy, leavePolicy(leave.URL))
	}
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	return c.Status(status).Send(out.Bytes())
}

func quietly(c *fiber.Ctx) {
	c.Set(fiber.HeaderContentSecurityPolicy, pagePolicy)
	c.Set(fiber.HeaderPragma, "no-cache")
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	c.Set("Cross-Origin-Opener-Policy", "same-origin")
	c.Set("Permissions-Policy", permissionsPolicy)
}

// Pages gives the parts of a listener's configuration that write failures as HTML.
func Pages(d Deps) (page func(c *fiber.Ctx, f *fault.Error) error, isPage func(c *fiber.Ctx) bool) {
	a := newAPI(d)
	return a.failurePage, isPageRequest
}

// failurePage writes a failure of the transport, which is noted nowhere but in the log.
func (a *api) failurePage(c *fiber.Ctx, f *fault.Error) error {
	v := webui.Failure{Public: ssocode.InvalidRequest}
	switch f.Kind() {
	case fault.TooMany:
		v.Public, v.Wait = ssocode.RateLimited, server.RetrySeconds(f.Retry())
	case fault.Unavailable:
		v.Public = ssocode.Unavailable
	case fault.Internal:
		v.Public = ssocode.Failed
	}
	return a.render(c, server.Status(f.Kind()), v)
}
