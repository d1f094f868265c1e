// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"reflect"

	"github.com/dify-sso/dify-sso/core/internal/openapi"
	"github.com/dify-sso/dify-sso/core/internal/token"
)

// The people and places of the document's examples.
const (
	sampleAccount   = "0197d0c8-3f00-7000-8000-000000000003"
	sampleMember    = "0197d0c8-3f00-7000-8000-000000000004"
	sampleSession   = "0197d0c8-3f00-7000-8000-000000000005"
	sampleWorkspace = "0197d0c8-3f00-7000-8000-000000000002"
	sampleEmail     = "ada@example.com"
	sampleTime      = "2026-01-02T15:04:05Z"
	sampleLater     = "2026-01-16T15:04:05Z"
	sampleUserCode  = "WDJB-MJHT"
	sampleLabel     = "difyctl on ada-laptop"
	// What stands in for a secret must be of its form, and nobody's.
	sampleToken  = "dfoa_" + sampleSecret
	sampleDevice = "dc_" + sampleSecret
	sampleSecret = "EXAMPLE-EXAMPLE-EXAMPLE-EXAMPLE-EXAMPLE-EXA"
)

// sampleOf gives the example of a type that a row reads or writes, for rows without one of
// their own. Of several types it is the first one's.
func (a *api) sampleOf(v any) any {
	if several, ok := v.(openapi.OneOf); ok {
		v = several[0]
	}
	if v == nil {
		return nil
	}
	for _, s := range a.typeSamples() {
		if reflect.TypeOf(s) == reflect.TypeOf(v) {
			return s
		}
	}
	return nil
}

func (a *api) typeSamples() []any {
	grant := deviceCodeGrant
	membership := membershipJSON{ID: sampleWorkspace, Name: "Shop", Role: "owner"}
	account := accountJSON{ID: sampleAccount, Email: sampleEmail, Name: "Ada Lovelace"}
	place := workspaceJSON{ID: sampleWorkspace, Name: "Shop", Role: "owner", Status: "normal", Current: true}
	entry := consoleAppEntryJSON{
		consoleAppJSON: consoleAppJSON{
			ID: appSample.ID, WorkspaceID: sampleWorkspace, Name: appSample.Name, Description: appSample.Description, Mode: appSample.Mode, Tags: []string{"customers"},
			Author: "Ada Lovelace", Runtime: "dify", RuntimeURL: "https://dify.example.com", APIEnabled: true, Access: "internal", Status: "normal",
			CreatedBy: "Ada Lovelace", CreatedAt: sampleTime, UpdatedAt: sampleTime,
		},
		Key:     consoleAppKeyJSON{Set: true, Fingerprint: "5f1c09ab"},
		Allowed: []consoleAppAllowedJSON{{ID: sampleMember, Email: "grace@example.com", Name: "Grace Hopper"}},
	}
	return []any{
		// meta
		healthResponse{true}, versionResponse{a.documentVersion(), edition}, readyResponse{true}, a.authorizationServer("", token.AccountKind.Scopes),
		a.protectedResource("", token.AccountKind.Scopes),
		map[string]any{"openapi": openapi.Version, "info": map[string]any{"title": documentTitle, "version": a.documentVersion()}, "paths": map[string]any{}},
		// oauth
		deviceAuthorizationRequest{ClientID: new("difyctl"), Label: new(sampleLabel)},
		deviceAuthorizationResponse{DeviceCode: sampleDevice, UserCode: sampleUserCode, VerificationURI: a.public + "/device", ExpiresIn: 900, Interval: 5},
		deviceTokenRequest{ClientID: new("difyctl"), DeviceCode: new(sampleDevice), GrantType: &grant},
		tokenResponse{
			Token: sampleToken, AccessToken: sampleToken, TokenType: "Bearer", ExpiresIn: 1209600, ExpiresAt: sampleLater, Scope: "full", SubjectType: "account",
			Account: &account, Workspaces: []membershipJSON{membership}, Default: new(sampleWorkspace), TokenID: sampleSession,
		},
		deviceLookupResponse{Valid: true, Remaining: 840, ClientID: new("difyctl")},
		introspectionRequest{Token: sampleToken},
		introspection{
			Active: true, Scope: "full", ClientID: "difyctl", TokenType: "Bearer", Exp: 1768575845, Iat: 1767366245, Iss: a.public, Sub: sampleAccount, Jti: sampleSession,
			SubjectType: "account", SubjectIssuer: token.AccountIssuer, Username: sampleEmail,
		},
		revocationRequest{Token: new(sampleToken), ClientID: new("difyctl")}, revoked{},
		decisionRequest{new(sampleUserCode)}, decisionResponse{"approved"},
		approvalContext{
			SubjectType: token.SubjectAccount, SubjectEmail: sampleEmail, UserCode: sampleUserCode, ClientID: "difyctl", DeviceLabel: sampleLabel, RequestedAt: sampleTime,
			RequestedFrom: "203.0.113.7", ExpiresAt: "2026-01-02T15:19:05Z", Workspace: &approvalWorkspace{sampleWorkspace, "Shop"}, CSRFToken: sampleSecret,
		},
		// account
		accountResponse{
			SubjectType: "account", SubjectEmail: sampleEmail, Account: &account, Workspaces: []membershipJSON{membership}, Default: new(sampleWorkspace),
		},
		pageJSON[sessionJSON]{Page: 1, Limit: 100, Total: 1, Data: []sessionJSON{{
			ID: sampleSession, Prefix: "dfoa_", ClientID: "difyctl", Label: sampleLabel, CreatedAt: sampleTime, ExpiresAt: sampleLater, Current: true, SubjectType: "account",
		}}},
		revokedResponse{Status: "revoked"},
		// workspaces
		workspacesResponse{[]workspaceJSON{place}}, workspaceResponse{place.ID, place.Name, place.Role, place.Status, place.Current, sampleTime},
		pageJSON[memberJSON]{Page: 1, Limit: 20, Total: 1, Data: []memberJSON{{ID: sampleAccount, Name: account.Name, Email: sampleEmail, Role: "owner", Status: "active"}}},
		inviteRequest{new("grace@example.com"), new("normal")},
		inviteResponse{
			Result: "success", Email: "grace@example.com", Role: "normal", MemberID: sampleMember, InviteURL: a.public + "/activate?token=" + sampleSecret,
			TenantID: sampleWorkspace, Status: "invited",
		},
		memberRoleRequest{new("admin")}, success,
		// console
		setupStateResponse{Step: "finished", SetupAt: new(sampleTime)},
		setupRequest{new(sampleSecret), new(sampleEmail), new("Ada Lovelace"), new("correct horse battery"), new("Shop")},
		loginRequest{Email: new(sampleEmail), Password: new("Y29ycmVjdCBob3JzZSBiYXR0ZXJ5")}, csrfTokenResponse{sampleSecret},
		profileResponse{ID: sampleAccount, Name: account.Name, Email: sampleEmail, Language: "en-US", Timezone: "UTC", LastLogin: new(sampleTime), Status: "active", Admin: true},
		passwordRequest{Old: new("correct horse battery"), New: new("another horse battery")},
		consoleSessionsResponse{[]browserJSON{{
			ID: sampleSession, How: "password", CreatedAt: sampleTime, LastSeenAt: sampleTime, ExpiresAt: sampleLater, IP: "203.0.113.7", UserAgent: "Mozilla/5.0", Current: true,
		}}},
		consoleWorkspacesResponse{[]consoleWorkspace{{place.ID, place.Name, place.Role, place.Status, place.Current, sampleTime}}},
		consoleSwitchRequest{new(sampleWorkspace)}, systemFeatures{Edition: edition, EmailPassword: true},
		pageJSON[consoleAppJSON]{Page: 1, Limit: 20, Total: 1, Data: []consoleAppJSON{entry.consoleAppJSON}}, entry,
		consoleAppRequest{Name: new(entry.Name), Mode: new(entry.Mode), RuntimeURL: new(entry.RuntimeURL), Key: new("app-EXAMPLE"), Access: new("internal"), Allowed: []string{sampleMember}},
		consoleAppChangeRequest{Description: new(entry.Description), MaxActive: new(10)},
		consoleAppKeyRequest{new("app-EXAMPLE")}, entry.Key, consoleAppAccessRequest{&[]string{sampleMember}},
	}
}
