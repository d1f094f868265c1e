// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/core/internal/webui"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// grantContext is what an external subject has to see before they decide.
type grantContext struct {
	SubjectEmail  string          `json:"subject_email" api:"format=idn-email"`
	SubjectIssuer string          `json:"subject_issuer"`
	SubjectName   *string         `json:"subject_name"`
	Connection    grantConnection `json:"connection"`
	UserCode      string          `json:"user_code"`
	ClientID      string          `json:"client_id"`
	DeviceLabel   string          `json:"device_label"`
	RequestedAt   string          `json:"requested_at" api:"format=date-time"`
	RequestedFrom string          `json:"requested_from" doc:"a network address"`
	ExpiresAt     string          `json:"expires_at" api:"format=date-time"`
	CSRFToken     string          `json:"csrf_token" doc:"for the header X-CSRF-Token of the decision"`
}

// grantConnection is the one that the person signed in through.
type grantConnection struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// grantContextQuery is approvalContextQuery where a request without a code is the approval
// grant's.
type grantContextQuery struct {
	UserCode string `json:"user_code" doc:"in any case, with or without its hyphen; without it the approval grant's cookie is asked" api:"min=1"`
}

// byGrantGuard gives to ask what names no user code, and the row's own chain the rest.
func byGrantGuard(ask fiber.Handler, flag []fiber.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if c.Context().QueryArgs().Has("user_code") {
			return c.Next()
		}
		for _, refuse := range flag {
			if err := refuse(c); err != nil {
				return err
			}
		}
		return ask(c)
	}
}

// grantContext serves a page what the holder of an approval grant decides about. It
// changes nothing.
func (a *api) grantContext(c *fiber.Ctx) error {
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	result, err := a.Limits.Take(c.UserContext(), limits.SSOContextAddr, server.ClientScope(c))
	server.SetRateLimit(c, result)
	if err != nil {
		return err
	}
	q, err := a.SSO.Context(c.UserContext(), approvalGrant(c))
	if err != nil {
		return err
	}
	who := q.Subject()
	out := grantContext{
		SubjectEmail: who.Email, SubjectIssuer: who.Issuer, Connection: grantConnection{ID: who.ConnectionID, Name: q.ConnectionName()},
		UserCode: q.UserCode(), ClientID: q.Grant.ClientID, DeviceLabel: q.Grant.Label,
		RequestedAt: stamp(q.Grant.CreatedAt), RequestedFrom: q.Grant.CreatedIP, ExpiresAt: stamp(q.ExpiresAt), CSRFToken: q.CSRFToken(),
	}
	if name := q.Name(); name != "" {
		out.SubjectName = &name
	}
	return c.JSON(out)
}

// approvalKey holds the sso.Approval of a request.
const approvalKey localKey = iota + 100

func approvalOf(c *fiber.Ctx) sso.Approval { v, _ := c.Locals(approvalKey).(sso.Approval); return v }

// grantViewGuard shows what a form post comes to as a page.
func (a *api) grantViewGuard(c *fiber.Ctx) error {
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	if !isForm(c) {
		return c.Next()
	}
	err := c.Next()
	if err == nil {
		return nil
	}
	return a.grantFailure(c, err)
}

func isForm(c *fiber.Ctx) bool {
	media, ok := wire.MediaType(c.Get(fiber.HeaderContentType))
	return ok && media == form
}

// grantGuard asks the approval grant's cookie alone, and counts the person.
func (a *api) grantGuard(c *fiber.Ctx) error {
	approval, ok := a.SSO.Open(approvalGrant(c))
	if !ok {
		return sso.ErrInvalidSession
	}
	c.Locals(approvalKey, approval)
	result, err := a.Limits.Take(c.UserContext(), limits.SSODecideSubject, approval.Subject().Key())
	server.SetRateLimit(c, result)
	if err != nil {
		return err
	}
	return c.Next()
}

// grantCSRFGuard judges where a decision comes from, then its token. A form is read
// before, for the token is in it.
func (a *api) grantCSRFGuard(r row) fiber.Handler {
	read := readBody(r)
	return func(c *fiber.Ctx) error {
		if !isForm(c) {
			presented := c.Get("X-CSRF-Token")
			if presented == "" {
				presented = c.Get("X-CSRFToken")
			}
			from := provenance(c)
			from.TokenInHeader = presented != ""
			if err := a.checkGrantCSRF(c, from, presented); err != nil {
				return err
			}
			return read(c)
		}
		bounded, err := server.Body(c, r.body)
		if err != nil {
			return err
		}
		values, err := wire.Form(bounded)
		if err != nil {
			return server.ErrBadRequest.Because(err)
		}
		c.Locals(formKey, values)
		if err := a.checkGrantCSRF(c, provenance(c), field(c, "csrf_token")); err != nil {
			return err
		}
		return c.Next()
	}
}

func (a *api) checkGrantCSRF(c *fiber.Ctx, from console.Provenance, presented string) error {
	if err := console.CheckProvenance(from, a.public, false); err != nil {
		return a.csrfRefused(c, err)
	}
	if !approvalOf(c).FitsCSRF(presented) {
		return a.csrfRefused(c, console.ErrCSRFMismatch)
	}
	return nil
}

// approveExternal lets the external subject be signed in by the device that shows the
// code.
func (a *api) approveExternal(c *fiber.Ctx) error { return a.decideExternal(c, true) }

// denyExternal refuses the device that shows the code.
func (a *api) denyExternal(c *fiber.Ctx) error { return a.decideExternal(c, false) }

func (a *api) decideExternal(c *fiber.Ctx, allow bool) error {
	fromForm := isForm(c)
	typed := field(c, "user_code")
	if !fromForm {
		var err error
		if typed, err = parseUserCode(c); err != nil {
			return err
		}
	}
	approval := approvalOf(c)
	d := sso.Decision{
		UserCode: typed, Allow: allow, IP: server.ClientIP(c).String(),
		Unconfirmed: fromForm && a.cameByLink(c, approval.UserCode()) && field(c, "confirm") != "yes",
	}
	if err := a.SSO.Decide(c.UserContext(), approval, d); err != nil {
		return err
	}
	a.clearDeviceCookie(c, approvalCookie)
	outcome := decisionResponse{"denied"}
	if allow {
		outcome.Status = "approved"
	}
	if fromForm {
		return a.redirect(c, a.public+"/device?outcome="+outcome.Status)
	}
	return c.JSON(outcome)
}

// cameByLink: nothing says that the code was typed in this browser.
func (a *api) cameByLink(c *fiber.Ctx, code string) bool {
	from, here := a.enteredHere(c, code)
	return !here || from != devicegrant.Typed
}

// grantFailure shows a refused form post in the words of the device pages.
func (a *api) grantFailure(c *fiber.Ctx, err error) error {
	f := fault.Of(err)
	server.Failed(c, err)
	if f.Retry() > 0 {
		setRetryAfter(c, f.Retry())
	}
	status := server.Status(f.Kind())
	switch {
	case errors.Is(f, sso.ErrConfirmationRequired):
		return a.askForGrantTick(c, status)
	case f.Kind() == fault.Unauthenticated:
		return a.render(c, status, webui.DeviceOutcome{Outcome: webui.SessionGone})
	case errors.Is(f, sso.ErrCodeGone), errors.Is(f, sso.ErrCodeResolved):
		return a.render(c, status, webui.DeviceOutcome{Outcome: webui.Expired})
	case errors.Is(f, sso.ErrEmailIsAccount), errors.Is(f, sso.ErrIdentityLinked):
		return a.render(c, status, webui.SSOError{Code: ssocode.Of(f.Code()), Reference: approvalOf(c).Reference(), Other: "/device"})
	case f.Kind() == fault.TooMany:
		return a.render(c, status, webui.DeviceOutcome{Outcome: webui.Limited, Wait: server.RetrySeconds(f.Retry())})
	case f.Kind() == fault.Unavailable:
		return a.render(c, status, webui.DeviceOutcome{Outcome: webui.Failed})
	}
	return a.failurePage(c, f)
}

// askForGrantTick shows the question again, with what is missing.
func (a *api) askForGrantTick(c *fiber.Ctx, status int) error {
	q, err := a.SSO.Context(c.UserContext(), approvalGrant(c))
	if err != nil {
		if errors.Is(err, sso.ErrNoSession) {
			err = sso.ErrInvalidSession
		}
		return a.grantFailure(c, err)
	}
	view := a.authorizeView(q)
	view.Linked, view.Unticked = true, true
	return a.render(c, status, view)
}

// authorizeView completes the view: who signs in, what asks, from where and since when.
func (a *api) authorizeView(q sso.Question) webui.AuthorizeSSO {
	who := q.Subject()
	return webui.AuthorizeSSO{
		CSRFToken: q.CSRFToken(), UserCode: q.UserCode(), Name: q.Name(), Email: who.Email, Connection: q.ConnectionName(), Issuer: who.Issuer,
		ClientID: q.Grant.ClientID, Label: q.Grant.Label, Address: q.Grant.CreatedIP, StartedAt: q.Grant.CreatedAt, ExpiresAt: q.ExpiresAt,
		TokenEnds: a.Now().Add(a.Tokens.TTL),
	}
}
