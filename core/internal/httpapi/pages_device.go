// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/webui"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// setRetryAfter is for pages that show a refusal in their own words.
func setRetryAfter(c *fiber.Ctx, d time.Duration) {
	c.Set(fiber.HeaderRetryAfter, strconv.Itoa(server.RetrySeconds(d)))
}

// devicePage asks for the code, or shows what was typed on this very browser. A link
// that merely carries a code is ignored: device-code phishing lives on such links
// (RFC 8628 section 5.4).
func (a *api) devicePage(c *fiber.Ctx) error {
	switch outcome := webui.Outcome(c.Query("outcome")); outcome {
	case webui.Approved, webui.Denied:
		return a.render(c, http.StatusOK, webui.DeviceOutcome{Outcome: outcome})
	}
	code, ok := canon.UserCode(c.Query("user_code"))
	if !ok || !a.typedHere(c, code) {
		return a.render(c, http.StatusOK, webui.DeviceEntry{})
	}
	// No budget is asked: a code that was pending when it was typed here is no guess,
	// and others who guess must not keep this person out.
	g, err := a.Devices.FindPending(c.UserContext(), code)
	if err != nil {
		return a.deviceFailure(c, err)
	}
	if signed(c) == nil {
		return a.redirect(c, "/signin?return_to="+url.QueryEscape("/device?user_code="+code))
	}
	return a.askToAllow(c, code, g)
}

func (a *api) typedHere(c *fiber.Ctx, code string) bool {
	return a.Entries.Check(a.cookie(c, entryCookie).Reveal(), code, a.Now())
}

// askToAllow shows who signs in, what asks, from where and since when.
func (a *api) askToAllow(c *fiber.Ctx, code string, g devicegrant.Grant) error {
	m, ok, err := a.currentWorkspace(c.UserContext(), signed(c).Account.ID)
	if err != nil {
		return err
	}
	view := webui.DeviceAuthorize{
		UserCode: code, ClientID: g.ClientID, Label: g.Label, Address: g.CreatedIP, StartedAt: g.CreatedAt, ExpiresAt: g.ExpiresAt,
		TokenEnds: a.Now().Add(a.Tokens.TTL),
	}
	if ok {
		view.Workspace = m.Workspace.Name
	}
	return a.render(c, http.StatusOK, view)
}

// deviceEntryForm takes a typed code. Only a pending one makes this browser the one
// that typed it.
func (a *api) deviceEntryForm(c *fiber.Ctx) error {
	ctx := c.UserContext()
	result, err := a.Limits.Take(ctx, limits.DeviceLookupAddr, server.ClientScope(c))
	server.SetRateLimit(c, result)
	if err != nil {
		return a.deviceFailure(c, err)
	}
	typed := field(c, "user_code")
	_, err = a.findCode(c, typed, signed(c))
	if errors.Is(err, devicegrant.ErrNotFound) || errors.Is(err, devicegrant.ErrAlreadyResolved) {
		return a.render(c, http.StatusBadRequest, webui.DeviceEntry{Invalid: true})
	}
	if err != nil {
		return a.deviceFailure(c, err)
	}
	code, _ := canon.UserCode(typed)
	a.setCookie(c, entryCookie, a.Entries.Prove(code, a.Now()), devicegrant.EntryLifetime, false)
	return a.redirect(c, "/device?user_code="+code)
}

// deviceDecisionForm is the one act that approves.
func (a *api) deviceDecisionForm(c *fiber.Ctx) error {
	code, ok := canon.UserCode(field(c, "user_code"))
	if !ok || !a.typedHere(c, code) {
		return a.render(c, http.StatusBadRequest, webui.DeviceEntry{Invalid: true})
	}
	var allow bool
	switch field(c, "decision") {
	case "allow":
		allow = true
	case "deny":
	default:
		return server.ErrBadRequest
	}
	if err := a.decide(c, code, allow); err != nil { // without a budget, as above
		return a.deviceFailure(c, err)
	}
	a.clearCookie(c, entryCookie)
	if allow {
		return a.redirect(c, "/device?outcome=approved")
	}
	return a.redirect(c, "/device?outcome=denied")
}

// deviceFailure shows what went wrong in the words of the device pages.
func (a *api) deviceFailure(c *fiber.Ctx, err error) error {
	f := fault.Of(err)
	status, view := server.Status(f.Kind()), webui.DeviceOutcome{}
	switch f.Kind() {
	case fault.NotFound, fault.Conflict:
		view.Outcome = webui.Expired
	case fault.TooMany:
		view.Outcome, view.Wait = webui.Limited, server.RetrySeconds(f.Retry())
	case fault.Unavailable:
		view.Outcome = webui.Failed
	default:
		return err
	}
	server.Failed(c, err)
	if f.Retry() > 0 {
		setRetryAfter(c, f.Retry())
	}
	return a.render(c, status, view)
}
