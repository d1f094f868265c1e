// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"

	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// pageRows are the pages, their forms and files.
func (a *api) pageRows() []row {
	return []row{
		{method: http.MethodGet, path: "/", caller: page, shape: server.Page, handle: a.rootPage},
		{method: http.MethodGet, path: "/setup", caller: page, shape: server.Page, handle: a.setupPage},
		{method: http.MethodPost, path: "/setup", caller: pageWrite, shape: server.Page, media: []string{form}, body: small, limits: setupLimit, handle: a.setupForm},
		{method: http.MethodGet, path: "/signin", caller: page, shape: server.Page, handle: a.signInPage},
		{method: http.MethodPost, path: "/signin", caller: pageWrite, shape: server.Page, media: []string{form}, body: small, handle: a.signInForm, step: StepConsole},
		{method: http.MethodPost, path: "/signout", caller: pageSignedWrite, shape: server.Page, media: []string{form}, body: small, handle: a.signOutForm},
		{method: http.MethodGet, path: "/device", caller: page, shape: server.Page, first: a.withoutSSO, handle: a.devicePage},
		{method: http.MethodPost, path: "/device", caller: pageWrite, shape: server.Page, media: []string{form}, body: small, handle: a.deviceEntryForm},
		{method: http.MethodPost, path: "/device/authorize", caller: pageSignedWrite, shape: server.Page, media: []string{form}, body: small,
			limits: []limit{{limits.DeviceDecideAccount, byAccount}}, handle: a.deviceDecisionForm, step: StepDecision},
		{method: http.MethodGet, path: "/account/sessions", caller: pageSigned, shape: server.Page, handle: a.sessionsPage},
		{method: http.MethodGet, path: "/account/sessions/end", caller: pageSigned, shape: server.Page, handle: a.confirmEndPage},
		{method: http.MethodPost, path: "/account/sessions/end", caller: pageSignedWrite, shape: server.Page, media: []string{form}, body: small, handle: a.endForm},
		{method: http.MethodGet, path: "/account/security", caller: pageSigned, shape: server.Page, handle: a.securityPage},
		{method: http.MethodPost, path: "/account/security", caller: pageSignedWrite, shape: server.Page, media: []string{form}, body: small, handle: a.passwordForm},
		{method: http.MethodGet, path: "/account/security/end", caller: pageSigned, shape: server.Page, handle: a.confirmEndOthersPage},
		{method: http.MethodPost, path: "/account/security/end", caller: pageSignedWrite, shape: server.Page, media: []string{form}, body: small, handle: a.endOthersForm},
		{method: http.MethodGet, path: "/activate", caller: page, shape: server.Page, handle: a.activatePage},
		{method: http.MethodPost, path: "/activate", caller: pageWrite, shape: server.Page, media: []string{form}, body: small, handle: a.activateForm},
		{method: http.MethodGet, path: membersPath, caller: pageSigned, shape: server.Page, handle: a.membersPage},
		{method: http.MethodPost, path: membersPath, caller: pageSignedWrite, shape: server.Page, media: []string{form}, body: small,
			limits: []limit{{limits.InviteAccount, byAccount}}, handle: a.inviteForm},
		{method: http.MethodGet, path: membersPath + "/edit", caller: pageSigned, shape: server.Page, handle: a.memberPage},
		{method: http.MethodPost, path: membersPath + "/edit", caller: pageSignedWrite, shape: server.Page, media: []string{form}, body: small, handle: a.memberForm},
		{method: http.MethodGet, path: membersPath + "/remove", caller: pageSigned, shape: server.Page, handle: a.removeMemberPage},
		{method: http.MethodPost, path: membersPath + "/remove", caller: pageSignedWrite, shape: server.Page, media: []string{form}, body: small, handle: a.removeMemberForm},
		{method: http.MethodPost, path: "/workspace/switch", caller: pageSignedWrite, shape: server.Page, media: []string{form}, body: small, handle: a.switchForm},
		{method: http.MethodGet, path: "/static/:name", caller: static, handle: a.staticFile},
	}
}
