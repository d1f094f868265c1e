// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"

	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// oauthRows are the device authorization grant, introspection and revocation.
func (a *api) oauthRows() []row {
	return []row{
		{method: http.MethodPost, path: base + "/oauth/device/code", caller: open, shape: server.OAuth, media: []string{json, form}, body: small,
			limits: []limit{{limits.DeviceCodeAddr, byAddress}, {limits.DeviceCodeAll, byInstallation}}, handle: a.deviceAuthorization},
		// device.poll.addr is asked inside: it answers slow_down, after the request's shape.
		{method: http.MethodPost, path: base + "/oauth/device/token", caller: open, shape: server.OAuth, media: []string{json, form}, body: small,
			first: refuseBasic, handle: a.deviceToken},
		{method: http.MethodGet, path: base + "/oauth/device/lookup", caller: open, limits: []limit{{limits.DeviceLookupAddr, byAddress}},
			unswitched: true, handle: a.deviceLookup},
		{method: http.MethodPost, path: base + "/oauth/introspect", caller: client, shape: server.OAuth, media: []string{form}, body: small,
			limits: []limit{{limits.IntrospectClient, byClient}}, handle: a.introspect},
		{method: http.MethodPost, path: base + "/oauth/revoke", caller: open, shape: server.OAuth, media: []string{json, form}, body: small,
			limits: []limit{{limits.RevokeAddr, byAddress}}, handle: a.revoke},
		{method: http.MethodPost, path: base + "/oauth/device/approve", caller: cookieWrite, shape: server.Decision, media: []string{json}, body: small,
			limits: []limit{{limits.DeviceDecideAccount, byAccount}}, share: credentialed, codes: true, handle: a.approve},
		{method: http.MethodPost, path: base + "/oauth/device/deny", caller: cookieWrite, shape: server.Decision, media: []string{json}, body: small,
			limits: []limit{{limits.DeviceDecideAccount, byAccount}}, share: credentialed, codes: true, handle: a.deny},
		{method: http.MethodGet, path: base + "/oauth/device/approval-context", caller: cookieRead, shape: server.Decision,
			share: credentialedByCode, codes: true, handle: a.approvalContext,
			about: operation{summary: "What a person decides about who approves a device on a page of their own", query: approvalContextQuery{},
				answers: map[int]any{http.StatusOK: approvalContext{}}}},
	}
}
