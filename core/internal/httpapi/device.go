// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// deviceCodeGrant is the grant type of RFC 8628 section 3.4.
const deviceCodeGrant = "urn:ietf:params:oauth:grant-type:device_code"

var (
	errUnsupportedGrantType = fault.Verdict(fault.Invalid, "unsupported_grant_type")
	errInvalidClient        = fault.Verdict(fault.Unauthenticated, "invalid_client")
)

type deviceAuthorizationRequest struct {
	ClientID *string `json:"client_id" api:"required;pattern=^[A-Za-z0-9._-]{1,64}$"`
	Label    *string `json:"device_label" doc:"what the person reads about this device; a form may leave it out" api:"required=json;min=1"`
	Scope    any     `json:"scope,omitempty" doc:"ignored: scopes are a property of the kind of token"`
}

type deviceAuthorizationResponse struct {
	DeviceCode      string `json:"device_code" doc:"secret of the client" api:"pattern=^dc_[A-Za-z0-9_-]{43}$"`
	UserCode        string `json:"user_code" doc:"what the person types" api:"pattern=^[A-Z3-9]{4}-[A-Z3-9]{4}$"`
	VerificationURI string `json:"verification_uri" doc:"where the person types it" api:"format=uri"`
	Complete        string `json:"verification_uri_complete,omitempty" doc:"the same address with the code, where the installation allows such links" api:"format=uri"`
	ExpiresIn       int    `json:"expires_in" doc:"seconds"`
	Interval        int    `json:"interval" doc:"seconds between polls" api:"min=1"`
}

// deviceAuthorization serves the device authorization request (RFC 8628 section
// 3.1).
func (a *api) deviceAuthorization(c *fiber.Ctx) error {
	start, err := parseStart(c)
	if err != nil {
		return err
	}
	auth, err := a.Devices.Start(c.UserContext(), start)
	if err != nil {
		return err
	}
	server.CalledBy(c, "", start.ClientID, "")
	out := deviceAuthorizationResponse{
		DeviceCode: auth.DeviceCode.Reveal(), UserCode: auth.UserCode, VerificationURI: a.public + "/device",
		ExpiresIn: int(auth.ExpiresIn.Seconds()), Interval: int(auth.Interval.Seconds()),
	}
	if a.LinkedCodes {
		out.Complete = out.VerificationURI + "?user_code=" + auth.UserCode
	}
	return c.JSON(out)
}

// parseStart takes JSON as existing clients send it and the form of RFC 8628. A form
// may leave the label out, for the RFC does not know it.
func parseStart(c *fiber.Ctx) (devicegrant.Start, error) {
	var req deviceAuthorizationRequest
	fromForm, err := decodeEither(c, &req, func(v wire.Values) {
		req.ClientID, req.Label = member(v, "client_id"), member(v, "device_label")
	})
	if err != nil {
		return devicegrant.Start{}, err
	}
	var problems wire.Problems
	start := devicegrant.Start{IP: server.ClientIP(c).String()}
	if start.ClientID = requireText(&problems, req.ClientID, "client_id"); start.ClientID != "" && !devicegrant.ValidClientID(start.ClientID) {
		problems.Add("pattern", "must be 1 to 64 of A-Z a-z 0-9 . _ -", "client_id")
	}
	if req.Label == nil && fromForm {
		label := start.ClientID + " on " + start.IP
		req.Label = &label
	}
	if label := requireText(&problems, req.Label, "device_label"); label != "" {
		stored, ok := canon.Text(label, devicegrant.MaxLabel)
		if !ok {
			problems.Add("value_error", "must be 1 to 255 characters without control or direction characters", "device_label")
		}
		start.Label = stored
	}
	return start, problems.Fault(server.ErrBadRequest)
}

type deviceTokenRequest struct {
	ClientID   *string `json:"client_id" api:"required;pattern=^[A-Za-z0-9._-]{1,64}$"`
	DeviceCode *string `json:"device_code" api:"required;min=1"`
	GrantType  *string `json:"grant_type,omitempty" doc:"required in a form" api:"required=form;enum=urn:ietf:params:oauth:grant-type:device_code"`
}

type tokenResponse struct {
	Token       string           `json:"token" doc:"the same as access_token"`
	AccessToken string           `json:"access_token" api:"pattern=^(dfoa|dfoe)_[A-Za-z0-9_-]{43}$"`
	TokenType   string           `json:"token_type" api:"enum=Bearer"`
	ExpiresIn   int              `json:"expires_in" doc:"seconds"`
	ExpiresAt   string           `json:"expires_at" api:"format=date-time"`
	Scope       string           `json:"scope" doc:"scopes, separated by spaces"`
	SubjectType string           `json:"subject_type" api:"enum=account|external_sso"`
	Account     *accountJSON     `json:"account" doc:"null for somebody without one"`
	Email       string           `json:"subject_email,omitempty" doc:"of somebody without an account" api:"format=idn-email"`
	Issuer      string           `json:"subject_issuer,omitempty" doc:"the identity provider that vouches for them"`
	Workspaces  []membershipJSON `json:"workspaces" doc:"of the account"`
	Default     *string          `json:"default_workspace_id" doc:"the one that the approver worked in; null where there is none" api:"format=uuid"`
	TokenID     string           `json:"token_id" doc:"id of the session" api:"format=uuid"`
}

// refuseBasic turns client authentication away. The clients are public, and a library
// that probes with Basic must learn that before a poll is counted against it
// (RFC 6749 section 5.2).
func refuseBasic(c *fiber.Ctx) error {
	if scheme, _, _ := strings.Cut(c.Get(fiber.HeaderAuthorization), " "); strings.EqualFold(scheme, "Basic") {
		c.Set(fiber.HeaderWWWAuthenticate, `Basic realm="oauth"`)
		return errInvalidClient
	}
	return c.Next()
}

// deviceToken serves the device access token request (RFC 8628 section 3.4).
func (a *api) deviceToken(c *fiber.Ctx) error {
	poll, err := parsePoll(c)
	if err != nil {
		return err
	}
	if !devicegrant.ValidDeviceCode(poll.DeviceCode) {
		return devicegrant.ErrExpiredToken
	}
	if result, err := a.Limits.Take(c.UserContext(), limits.DevicePollAddr, server.ClientScope(c)); err != nil {
		server.SetRateLimit(c, result)
		if errors.Is(err, limits.ErrTooMany) { // a 429 would end the login of existing clients
			return devicegrant.ErrSlowDown.RetryAfter(fault.Of(err).Retry())
		}
		return err
	}
	r, err := a.Devices.Poll(c.UserContext(), poll)
	if err != nil {
		return err
	}
	server.CalledBy(c, string(r.Kind.SubjectType), poll.ClientID, r.Session.ID)
	if err := c.JSON(newTokenResponse(r)); err != nil {
		return err
	}
	a.Devices.Delivered(c.UserContext(), r.Minted, poll.IP)
	return nil
}

func newTokenResponse(r devicegrant.Redeemed) tokenResponse {
	s := r.Session
	out := tokenResponse{
		Token: r.Token.Reveal(), AccessToken: r.Token.Reveal(), TokenType: "Bearer",
		ExpiresIn: int(s.ExpiresAt.Sub(s.CreatedAt).Seconds()), ExpiresAt: stamp(s.ExpiresAt), Scope: r.Kind.ScopeText(), SubjectType: string(r.Kind.SubjectType),
		Workspaces: memberships(r.Workspaces), TokenID: s.ID,
	}
	if s.Subject.AccountID == "" {
		out.Email, out.Issuer = s.Subject.Email, s.Subject.Issuer
	} else {
		out.Account = &accountJSON{ID: s.Subject.AccountID, Email: s.Subject.Email, Name: r.Name}
	}
	if r.Default != "" {
		out.Default = &r.Default
	}
	return out
}

func parsePoll(c *fiber.Ctx) (devicegrant.PollRequest, error) {
	var req deviceTokenRequest
	fromForm, err := decodeEither(c, &req, func(v wire.Values) {
		req.ClientID, req.DeviceCode, req.GrantType = member(v, "client_id"), member(v, "device_code"), member(v, "grant_type")
	})
	if err != nil {
		return devicegrant.PollRequest{}, err
	}
	var problems wire.Problems
	clientID := requireText(&problems, req.ClientID, "client_id")
	if clientID != "" && !devicegrant.ValidClientID(clientID) {
		problems.Add("pattern", "must be 1 to 64 of A-Z a-z 0-9 . _ -", "client_id")
	}
	code := requireText(&problems, req.DeviceCode, "device_code")
	if fromForm {
		requireText(&problems, req.GrantType, "grant_type")
	}
	if err := problems.Fault(server.ErrBadRequest); err != nil {
		return devicegrant.PollRequest{}, err
	}
	if req.GrantType != nil && *req.GrantType != deviceCodeGrant {
		return devicegrant.PollRequest{}, errUnsupportedGrantType
	}
	return devicegrant.PollRequest{DeviceCode: secret.New(code), ClientID: clientID, IP: server.ClientIP(c).String()}, nil
}

type deviceLookupQuery struct {
	UserCode *string `json:"user_code" doc:"in any case, with or without its hyphen" api:"required;min=1"`
}

type deviceLookupResponse struct {
	Valid     bool    `json:"valid"`
	Remaining int     `json:"expires_in_remaining" doc:"seconds" api:"min=0"`
	ClientID  *string `json:"client_id"`
}

// deviceLookup says whether a user code waits for a decision; every other code reads
// alike.
func (a *api) deviceLookup(c *fiber.Ctx) error {
	query, err := wire.Query(string(c.Request().URI().QueryString()))
	if err != nil {
		return server.ErrBadRequest.Because(err)
	}
	var problems wire.Problems
	asked := deviceLookupQuery{UserCode: member(query, "user_code")}
	typed := requireText(&problems, asked.UserCode, "user_code")
	if err := problems.Fault(server.ErrBadRequest); err != nil {
		return err
	}
	var out deviceLookupResponse
	g, err := a.findCode(c, typed, nil)
	switch {
	case err == nil:
		out.Valid, out.Remaining, out.ClientID = true, int(g.ExpiresAt.Sub(a.Now()).Round(time.Second).Seconds()), &g.ClientID
	case !errors.Is(err, devicegrant.ErrNotFound) && !errors.Is(err, devicegrant.ErrAlreadyResolved):
		return err
	}
	return c.JSON(out)
}

// findCode looks a user code up under the budget of wrong codes: that of the
// signed-in account, or the installation's for strangers. A right code costs
// nothing.
func (a *api) findCode(c *fiber.Ctx, typed string, who *console.Signed) (devicegrant.Grant, error) {
	var g devicegrant.Grant
	err := a.underWrongCodes(c, who, func() (err error) {
		g, err = a.Devices.FindPending(c.UserContext(), typed)
		return err
	})
	return g, err
}

// underWrongCodes takes a permit before the check and gives it back unless the code
// was wrong, so that tries at once never exceed the budget.
func (a *api) underWrongCodes(c *fiber.Ctx, who *console.Signed, check func() error) error {
	ctx := c.UserContext()
	name, scope := limits.DeviceWrongAll, "all"
	if who != nil {
		name, scope = limits.DeviceWrongAccount, who.Account.ID
	}
	if result, err := a.Limits.Take(ctx, name, scope); err != nil {
		server.SetRateLimit(c, result) // of what refused, not of what let this far
		return err
	}
	err := check()
	a.Limits.Settle(ctx, name, scope, errors.Is(err, devicegrant.ErrNotFound))
	return err
}
