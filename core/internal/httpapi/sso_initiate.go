// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/core/internal/webui"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

const ssoInitiatePath = devicePath + "/sso-initiate"

// ssoInitiate begins a login for a code that was typed here and sends the browser to the
// bridge. Whatever fails is told on the page /device.
func (a *api) ssoInitiate(c *fiber.Ctx) error {
	if err := a.initiateLimits(c); err != nil {
		return a.ssoFailed(c, ssoRefusal(err))
	}
	// A login that a link elsewhere began would end at a question about a stranger's code
	// (RFC 8628 section 5.4). What is sent of Origin counts for nothing: no navigation has one.
	from := console.Provenance{FetchSite: c.Get("Sec-Fetch-Site"), Referer: c.Get(fiber.HeaderReferer)}
	if console.CheckProvenance(from, a.public, false) != nil {
		turnedAway(c, StepRefused)
		return a.found(c, a.public+"/device")
	}
	start, err := a.parseInitiate(c)
	if err != nil {
		return a.ssoFailed(c, err)
	}
	g, err := a.pendingForSSO(c, start.UserCode)
	if err != nil {
		return a.ssoFailed(c, ssoRefusal(err))
	}
	start.ClientID, start.Locale = g.ClientID, a.language(c)
	begun, err := a.SSO.Begin(c.UserContext(), start)
	if err != nil {
		return a.ssoFailed(c, err)
	}
	a.setDeviceCookie(c, a.flowCookie(), begun.Flow.Cookie(), sso.FlowLifetime)
	if begun.Choice != nil {
		turnedAway(c, "")
		return a.render(c, http.StatusOK, chooseView(*begun.Choice))
	}
	a.clearDeviceCookie(c, approvalCookie)
	if start.Email != "" {
		// It came from a form, and no form of ours may end on another origin: what leaves is a
		// link (CSP Level 3 section 6.4.1).
		return a.render(c, http.StatusOK, webui.SSOContinue{Start: begun.StartURL})
	}
	return a.found(c, begun.StartURL)
}

// initiateLimits counts the address, and the browser by what it has of ours. Before a
// sign-in that is the pre-session, which stays the same; the flow is drawn anew each time.
func (a *api) initiateLimits(c *fiber.Ctx) error {
	scopes := []struct {
		name  limits.Name
		scope string
	}{{limits.SSOInitiateAddr, server.ClientScope(c)}, {limits.SSOInitiateBrowser, a.browserScope(c)}}
	for _, s := range scopes {
		if s.scope == "" {
			continue
		}
		result, err := a.Limits.Take(c.UserContext(), s.name, s.scope)
		server.SetRateLimit(c, result)
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *api) browserScope(c *fiber.Ctx) string {
	if value := a.cookie(c, presessionCookie); len(value.Reveal()) == presessionLength {
		return secret.DigestOf(value.Reveal()).Hex()
	}
	if flow, ok := a.ssoFlow(c); ok {
		return flow.Scope()
	}
	return ""
}

// parseInitiate takes one well-formed code, of the query or of the flow that this browser
// began before, and at most one way to a connection.
func (a *api) parseInitiate(c *fiber.Ctx) (sso.Start, error) {
	query, err := wire.Query(string(c.Request().URI().QueryString()))
	if err != nil {
		return sso.Start{}, &sso.RefusedError{Code: ssocode.InvalidRequest}
	}
	start := sso.Start{}
	if typed, given := query.Get("user_code"); given {
		code, ok := canon.UserCode(typed)
		if !ok {
			return sso.Start{}, &sso.RefusedError{Code: ssocode.InvalidUserCode}
		}
		start.UserCode = code
	} else if flow, ok := a.ssoFlow(c); ok {
		start.UserCode = flow.UserCode
	} else {
		return sso.Start{}, &sso.RefusedError{Code: ssocode.InvalidUserCode}
	}
	connection, named := query.Get("connection")
	email, typed := query.Get("email")
	if named && typed || named && !sso.IsConnection(connection) {
		return sso.Start{}, &sso.RefusedError{Code: ssocode.InvalidRequest}
	}
	if start.Connection = connection; typed {
		canonical, ok := canon.PlainEmail(email)
		if !ok {
			return sso.Start{}, &sso.RefusedError{Code: ssocode.InvalidRequest}
		}
		start.Email = canonical
	}
	fresh, _ := query.Get("fresh")
	start.Fresh = fresh == "1"
	return start, nil
}

// pendingForSSO finds a pending grant. A code that was typed in this browser is no guess:
// it spends nothing, and others who guess keep nobody from it. Any other code that is not
// pending is a wrong one, whatever became of it.
func (a *api) pendingForSSO(c *fiber.Ctx, code string) (g devicegrant.Grant, err error) {
	find := func() error {
		g, err = a.Devices.FindPending(c.UserContext(), code)
		if errors.Is(err, devicegrant.ErrAlreadyResolved) {
			err = devicegrant.ErrNotFound
		}
		return err
	}
	if _, here := a.enteredHere(c, code); here {
		return g, find()
	}
	return g, a.underWrongCodes(c, nil, find)
}

// ssoRefusal gives the public code of what kept a login from beginning.
func ssoRefusal(err error) error {
	switch {
	case errors.Is(err, limits.ErrTooMany):
		return errors.Join(&sso.RefusedError{Code: ssocode.RateLimited}, err)
	case errors.Is(err, devicegrant.ErrNotFound):
		return &sso.RefusedError{Code: ssocode.InvalidUserCode}
	}
	return errors.Join(&sso.RefusedError{Code: ssocode.Unavailable}, err)
}

// ssoFailed sends the browser to the page that says what went wrong.
func (a *api) ssoFailed(c *fiber.Ctx, err error) error {
	refused, ok := errors.AsType[*sso.RefusedError](err)
	if !ok {
		return err
	}
	if f, known := errors.AsType[*fault.Error](err); known {
		server.Failed(c, f)
		if f.Retry() > 0 {
			setRetryAfter(c, f.Retry())
		}
	}
	turnedAway(c, endOfSSO(refused.Code))
	q := url.Values{"sso_error": {string(refused.Code)}}
	if refused.Reference != "" {
		q.Set("attempt", refused.Reference)
	}
	return a.found(c, a.public+"/device?"+q.Encode())
}

// found answers 302, as navigations that browsers made by GET do.
func (a *api) found(c *fiber.Ctx, target string) error {
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	return c.Redirect(target, http.StatusFound)
}

func chooseView(offer sso.Offer) webui.SSOChoose {
	view := webui.SSOChoose{At: ssoInitiatePath, Email: offer.Mode.ByEmail()}
	if offer.Mode != sso.ModeEmail {
		for _, o := range offer.Connections {
			view.Connections = append(view.Connections, webui.SSOConnection{ID: o.ID, Text: o.Button})
		}
	}
	return view
}

// ssoComplete takes what the bridge sent the browser back with: an assertion, or the code
// of what went wrong there.
func (a *api) ssoComplete(c *fiber.Ctx) error {
	result, err := a.Limits.Take(c.UserContext(), limits.SSOCompleteAddr, server.ClientScope(c))
	server.SetRateLimit(c, result)
	if err != nil {
		return a.ssoFailed(c, ssoRefusal(err))
	}
	query, err := wire.Query(string(c.Request().URI().QueryString()))
	if err != nil {
		return a.ssoFailed(c, &sso.RefusedError{Code: ssocode.InvalidRequest})
	}
	assertion, came := query.Get("sso_assertion")
	relayed, failed := query.Get("sso_error")
	switch {
	case came == failed:
		return a.ssoFailed(c, &sso.RefusedError{Code: ssocode.InvalidRequest})
	case failed:
		refused := &sso.RefusedError{Code: ssocode.Of(relayed)}
		if reference, _ := query.Get("attempt"); ssocode.IsReference(reference) {
			refused.Reference = reference
		}
		return a.ssoFailed(c, refused)
	}
	flow, began := a.ssoFlow(c)
	grant, err := a.SSO.Complete(c.UserContext(), assertion, flow, began)
	if err != nil {
		return a.ssoFailed(c, err)
	}
	a.setDeviceCookie(c, approvalCookie, grant, sso.ApprovalLifetime)
	a.clearDeviceCookie(c, a.flowCookie())
	return a.found(c, a.public+"/device?sso_verified=1")
}
