// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/openapi"
	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// decisionFails is what becomes of a code that cannot be decided.
var decisionFails = []*fault.Error{devicegrant.ErrNotFound, devicegrant.ErrAlreadyResolved}

// oauthRows are the device authorization grant, introspection and revocation.
func (a *api) oauthRows() []row {
	context := a.contextRow()
	return []row{
		{method: http.MethodPost, path: base + "/oauth/device/code", caller: open, shape: server.OAuth, media: []string{json, form}, body: small,
			limits: []limit{{limits.DeviceCodeAddr, byAddress}, {limits.DeviceCodeAll, byInstallation}}, handle: a.deviceAuthorization, step: StepCode,
			about: operation{summary: "Device authorization request (RFC 8628 section 3.1)", body: deviceAuthorizationRequest{}, answers: map[int]any{200: deviceAuthorizationResponse{}},
				fails: []*fault.Error{devicegrant.ErrUnsupportedClient, devicegrant.ErrUserCodeExhausted}}},
		// device.poll.addr is asked inside: it answers slow_down, after the request's shape.
		{method: http.MethodPost, path: base + "/oauth/device/token", caller: open, shape: server.OAuth, media: []string{json, form}, body: small,
			first: refuseBasic, handle: a.deviceToken, step: StepToken,
			about: operation{summary: "Device access token request (RFC 8628 section 3.4)", body: deviceTokenRequest{}, answers: map[int]any{200: tokenResponse{}},
				fails: []*fault.Error{errInvalidClient, errUnsupportedGrantType, devicegrant.ErrAuthorizationPending, devicegrant.ErrSlowDown, devicegrant.ErrExpiredToken,
					devicegrant.ErrAccessDenied, devicegrant.ErrInvalidGrant}}},
		{method: http.MethodGet, path: base + "/oauth/device/lookup", caller: open, limits: []limit{{limits.DeviceLookupAddr, byAddress}},
			unswitched: true, handle: a.deviceLookup,
			about: operation{summary: "Whether a user code waits for a decision", query: deviceLookupQuery{}, answers: map[int]any{200: deviceLookupResponse{}}}},
		{method: http.MethodPost, path: base + "/oauth/introspect", caller: client, shape: server.OAuth, media: []string{form}, body: small,
			limits: []limit{{limits.IntrospectClient, byClient}}, handle: a.introspect,
			about: operation{summary: "What a token is good for (RFC 7662)", body: introspectionRequest{},
				answers: map[int]any{200: openapi.OneOf{introspection{}, inactive{}}}, fails: []*fault.Error{authz.ErrAmbiguous}}},
		{method: http.MethodPost, path: base + "/oauth/revoke", caller: open, shape: server.OAuth, media: []string{json, form}, body: small,
			limits: []limit{{limits.RevokeAddr, byAddress}}, handle: a.revoke,
			about: operation{summary: "End a token by itself (RFC 7009)", body: revocationRequest{}, answers: map[int]any{200: revoked{}}, fails: []*fault.Error{token.ErrOtherClient}}},
		{method: http.MethodPost, path: base + "/oauth/device/approve", caller: cookieWrite, shape: server.Decision, media: []string{json}, body: small,
			limits: []limit{{limits.DeviceDecideAccount, byAccount}}, share: credentialed, codes: true, handle: a.approve, step: StepDecision,
			about: operation{summary: "Let the device that shows a code be signed in", body: decisionRequest{}, answers: map[int]any{200: decisionResponse{}}, fails: decisionFails}},
		{method: http.MethodPost, path: base + "/oauth/device/deny", caller: cookieWrite, shape: server.Decision, media: []string{json}, body: small,
			limits: []limit{{limits.DeviceDecideAccount, byAccount}}, share: credentialed, codes: true, handle: a.deny, step: StepDecision,
			about: operation{summary: "Refuse the device that shows a code", body: decisionRequest{}, answers: map[int]any{200: decisionResponse{}}, fails: decisionFails}},
		context,
	}
}

// contextRow is approval-context: the console's by its user code, and where company
// sign-in is on the approval grant's without one.
func (a *api) contextRow() row {
	r := row{method: http.MethodGet, path: base + "/oauth/device/approval-context", caller: cookieRead, shape: server.Decision,
		share: credentialedByCode, codes: true, handle: a.approvalContext,
		about: operation{summary: "What a person decides about who approves a device on a page of their own", query: approvalContextQuery{},
			answers: map[int]any{http.StatusOK: approvalContext{}}, fails: decisionFails}}
	if a.SSO != nil {
		r.byGrant = a.grantContext
		r.about.query = grantContextQuery{}
		r.about.answers = map[int]any{http.StatusOK: openapi.OneOf{approvalContext{}, grantContext{}}}
		r.about.fails = append([]*fault.Error{sso.ErrNoSession, sso.ErrCodeGone, sso.ErrCodeResolved, limits.ErrTooMany}, decisionFails...)
	}
	return r
}
