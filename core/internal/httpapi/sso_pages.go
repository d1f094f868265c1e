// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"net/http"
	"net/url"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/core/internal/webui"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
)

const approvalPath = devicePath + "/approval"

// The parameters by which a company sign-in comes back to the device page.
const (
	verifiedParam  = "sso_verified"
	errorParam     = "sso_error"
	referenceParam = "attempt"
)

// comesBack reports whether the device page is asked for by the end of a company sign-in.
func comesBack(c *fiber.Ctx) bool {
	args := c.Context().QueryArgs()
	return args.Has(verifiedParam) || args.Has(errorParam)
}

// withoutSSO answers where company sign-ins are off, before anything is asked, as if what
// they come back to did not exist.
func (a *api) withoutSSO(c *fiber.Ctx) error {
	if a.SSO == nil && comesBack(c) {
		server.AnswerAs(c, server.Canonical)
		return server.ErrNotFound
	}
	return c.Next()
}

// backFromSSO shows how a company sign-in ended.
func (a *api) backFromSSO(c *fiber.Ctx) error {
	if !c.Context().QueryArgs().Has(errorParam) {
		// The browser sends the approval grant nowhere but below that path.
		return a.redirect(c, a.public+approvalPath)
	}
	code, reference := relayed(c)
	return a.render(c, http.StatusOK, ssoError(code, reference))
}

// relayed gives the code and the reference that an address brought, of which anything may
// have become on the way: a code that is none of ours and a reference that cannot be one
// are not repeated.
func relayed(c *fiber.Ctx) (code ssocode.Code, reference string) {
	reference = c.Query(referenceParam)
	if !ssocode.IsReference(reference) {
		reference = ""
	}
	return ssocode.Of(c.Query(errorParam)), reference
}

// ssoError words a failure. The flow's cookie knows the code for another try, unless the
// code itself is what failed.
func ssoError(code ssocode.Code, reference string) webui.SSOError {
	view := webui.SSOError{Code: code, Reference: reference, Again: ssoInitiatePath, Other: "/device"}
	switch code {
	case ssocode.InvalidUserCode, ssocode.NotConfigured:
		view.Again = ""
	}
	return view
}

// offersSSO reports whether a person may choose a company sign-in. Where the bridge cannot
// be asked they may try: the answer is then a page that says so, not a way that is missing.
func (a *api) offersSSO(ctx context.Context) bool {
	if a.SSO == nil {
		return false
	}
	offer, err := a.SSO.Offered(ctx)
	return err != nil || offer.Mode != sso.ModeNone
}

// approvalPage asks the person whom a company's sign-in named. It changes nothing: coming
// back from a sign-in is no approval.
func (a *api) approvalPage(c *fiber.Ctx) error {
	result, err := a.Limits.Take(c.UserContext(), limits.SSOContextAddr, server.ClientScope(c))
	server.SetRateLimit(c, result)
	if err != nil {
		return a.grantFailure(c, err)
	}
	q, err := a.SSO.Context(c.UserContext(), approvalGrant(c))
	if err != nil {
		return a.grantFailure(c, err)
	}
	view := a.authorizeView(q)
	view.Linked = a.cameByLink(c, view.UserCode)
	return a.render(c, http.StatusOK, view)
}

// keptOfSSO adds to the address of the other language what belongs to an end that is shown.
func keptOfSSO(c *fiber.Ctx, q url.Values) {
	if !c.Context().QueryArgs().Has(errorParam) {
		return
	}
	code, reference := relayed(c)
	q.Set(errorParam, string(code))
	if reference != "" {
		q.Set(referenceParam, reference)
	}
}
