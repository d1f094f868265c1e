// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"

	"github.com/dify-sso/dify-sso/pkg/server"
)

// ssoRows are a device login through a company's identity provider. Where that is off
// they do not exist: their addresses answer like any that never was, before any budget,
// cookie or store.
func (a *api) ssoRows() []row {
	if a.SSO == nil {
		return nil
	}
	return []row{
		{method: http.MethodGet, path: ssoInitiatePath, caller: navigation, shape: server.Decision, handle: a.ssoInitiate, step: StepSSOStart},
		{method: http.MethodGet, path: devicePath + "/sso-complete", caller: navigation, shape: server.Decision, handle: a.ssoComplete, step: StepSSOReturn},
		{method: http.MethodPost, path: devicePath + "/approve-external", caller: grantWrite, shape: server.Decision, media: []string{json, form}, body: small,
			handle: a.approveExternal, step: StepDecision},
		{method: http.MethodPost, path: devicePath + "/deny-external", caller: grantWrite, shape: server.Decision, media: []string{json, form}, body: small,
			handle: a.denyExternal, step: StepDecision},
		// The browser sends the approval grant nowhere but below devicePath.
		{method: http.MethodGet, path: approvalPath, caller: page, shape: server.Page, handle: a.approvalPage},
	}
}
