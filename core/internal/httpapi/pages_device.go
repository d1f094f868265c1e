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

// devicePage asks for the code, or shows what was sent from this very browser. A link
// that merely carries a code gets at most as far as the filled form: device-code
// phishing lives on such links (RFC 8628 section 5.4).
func (a *api) devicePage(c *fiber.Ctx) error {
	switch outcome := webui.Outcome(c.Query("outcome")); outcome {
	case webui.Approved, webui.Denied:
		return a.render(c, http.StatusOK, webui.DeviceOutcome{Outcome: outcome})
	}
	if comesBack(c) {
		return a.backFromSSO(c)
	}
	code, ok := canon.UserCode(c.Query("user_code"))
	from, here := a.enteredHere(c, code)
	if !ok || !here {
		var view webui.DeviceEntry
		if a.LinkedCodes {
			view.Linked = code // empty when it is none
		}
		return a.render(c, http.StatusOK, view)
	}
	// No budget is asked: a code that was pending when it was typed here is no guess,
	// and others who guess must not keep this person out.
	g, err := a.Devices.FindPending(c.UserContext(), code)
	if err != nil {
		return a.deviceFailure(c, err)
	}
	if signed(c) == nil {
		if a.offersSSO(c.UserContext()) {
			return a.render(c, http.StatusOK, webui.Chooser{UserCode: code})
		}
		return a.redirect(c, "/signin?return_to="+url.QueryEscape("/device?user_code="+code))
	}
	return a.askToAllow(c, http.StatusOK, webui.DeviceAuthorize{UserCode: code, Linked: from == devicegrant.Linked}, g)
}

// enteredHere says whether this browser sent the code, and how it had come.
func (a *api) enteredHere(c *fiber.Ctx, code string) (devicegrant.Source, bool) {
	return a.Entries.Check(a.cookie(c, entryCookie).Reveal(), code, a.Now())
}

// askToAllow completes the view: who signs in, what asks, from where and since when.
func (a *api) askToAllow(c *fiber.Ctx, status int, view webui.DeviceAuthorize, g devicegrant.Grant) error {
	m, ok, err := a.currentWorkspace(c.UserContext(), signed(c).Account.ID)
	if err != nil {
		return err
	}
	view.ClientID, view.Label, view.Address = g.ClientID, g.Label, g.CreatedIP
	view.StartedAt, view.ExpiresAt, view.TokenEnds = g.CreatedAt, g.ExpiresAt, a.Now().Add(a.Tokens.TTL)
	if ok {
		view.Workspace = m.Workspace.Name
	}
	return a.render(c, status, view)
}

// deviceEntryForm takes a code. Only a pending one makes this browser the one that
// sent it. What a link filled in and nobody changed was not typed.
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
	from := devicegrant.Typed
	if linked, _ := canon.UserCode(field(c, "linked")); linked == code {
		from = devicegrant.Linked
	}
	a.setCookie(c, entryCookie, a.Entries.Prove(code, from, a.Now()), devicegrant.EntryLifetime, false)
	return a.redirect(c, "/device?user_code="+code)
}

// deviceDecisionForm is the one act that approves.
func (a *api) deviceDecisionForm(c *fiber.Ctx) error {
	code, ok := canon.UserCode(field(c, "user_code"))
	from, here := a.enteredHere(c, code)
	if !ok || !here {
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
	if allow && from == devicegrant.Linked && field(c, "confirm") != "yes" {
		return a.askForTick(c, code)
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

// askForTick shows the question again: a code that a link brought is allowed only by
// somebody who says that the device shows it, too.
func (a *api) askForTick(c *fiber.Ctx, code string) error {
	g, err := a.Devices.FindPending(c.UserContext(), code)
	if err != nil {
		return a.deviceFailure(c, err)
	}
	view := webui.DeviceAuthorize{UserCode: code, Linked: true, Problems: []webui.Problem{{Field: "confirm", Key: "problem.confirm"}}}
	return a.askToAllow(c, http.StatusBadRequest, view, g)
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
