// SPDX-License-Identifier: Apache-2.0

package failure_test

import (
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// click is where a cause is mended in the console of one provider.
type click struct{ preset, path string }

// clicks holds the codes whose mend differs from provider to provider.
var clicks = map[failure.Code][]click{
	failure.CallbackMismatch: {
		{"okta-oidc", "*Applications* → the application → *General* → *Login* → *Sign-in redirect URIs*."},
		{"entra-oidc", "*App registrations* → the application → *Authentication* → *Web* → *Redirect URIs*."},
		{"google-oidc", "*Google Auth Platform* → *Clients* → the client → *Authorized redirect URIs*."},
		{"keycloak-oidc", "*Clients* → the client → *Settings* → *Valid redirect URIs*, without a star."},
		{"github", "*Developer settings* → *OAuth Apps* → the application → *Authorization callback URL*."},
		{"gitlab", "*Applications* → the application → *Edit* → *Redirect URI*."},
	},
	failure.UnsupportedMedia: {
		{"generic-oidc", "set `response_mode: form_post`, or `query`; nothing else is read."},
	},
	failure.OIDCDiscovery: {
		{"okta-oidc", "the issuer of a custom authorization server has `/oauth2/<id>`; that of the org has no path."},
		{"entra-oidc", "the issuer ends in `/v2.0`; the tenant's id is under *Overview* → *Directory (tenant) ID*."},
		{"keycloak-oidc", "the realm's name counts by case; before version 17 the path begins with `/auth`. *Realm settings* → *Frontend URL* has to be the issuer's host."},
	},
	failure.ProviderUnreachable: {
		{"keycloak-oidc", "on a private network: `EGRESS_ALLOW` with its host, `EGRESS_CA_FILE` with its root."},
		{"github", "an Enterprise Server on a private network: `EGRESS_ALLOW` with its host."},
		{"gitlab", "a server on a private network: `EGRESS_ALLOW` with its host."},
	},
	failure.OIDCIssuer: {
		{"okta-oidc", "*Applications* → the application → *Sign On* → *OpenID Connect ID Token* → *Issuer*: *Okta URL* or *Custom URL*, as in the connection."},
		{"entra-oidc", "tokens of version 1 say `https://sts.windows.net/…`: *Manifest* → `requestedAccessTokenVersion` is 2, and the issuer ends in `/v2.0`."},
		{"google-oidc", "the issuer is `https://accounts.google.com`; leave `oidc.issuer` out."},
		{"keycloak-oidc", "*Realm settings* → *Frontend URL*: the address that browsers use, not the one inside the network."},
	},
	failure.OIDCAudience: {
		{"entra-oidc", "*Overview* → *Application (client) ID*, not the object id."},
		{"keycloak-oidc", "*Clients* → the client → *Client scopes* → the dedicated scope: a mapper *Audience* adds others; take it out, or let it add none to the ID token."},
	},
	failure.OIDCDenied: {
		{"okta-oidc", "*Applications* → the application → *Assignments*: assign the person or a group."},
		{"entra-oidc", "*Enterprise applications* → the application → *Users and groups*; consent under *Permissions* → *Grant admin consent*."},
		{"google-oidc", "*Google Auth Platform* → *Audience*: *Internal* lets in your organisation alone."},
		{"keycloak-oidc", "*Clients* → the client → *Settings* → *Consent required*, and the flow's conditions under *Authentication*."},
	},
	failure.OIDCProviderError: {
		{"okta-oidc", "`invalid_scope`: the scope `groups` exists at the org server alone. Its reason is under *Reports* → *System Log*."},
		{"entra-oidc", "`unauthorized_client`: the redirect address has to be of the platform *Web*. The reason is under *Sign-in logs*."},
		{"keycloak-oidc", "`unauthorized_client`: *Clients* → the client → *Standard flow* on. The reason is under *Events*."},
		{"github", "`application_suspended` and `redirect_uri_mismatch`: *Developer settings* → *OAuth Apps*."},
	},
	failure.TokenEndpoint: {
		{"okta-oidc", "*General* → *Client Credentials*: *Client authentication* is *Client secret*; compare the secret."},
		{"entra-oidc", "*Certificates & secrets*: the secret has an end; what is copied is its *Value*, not its *Secret ID*."},
		{"google-oidc", "*Clients* → the client: a secret that was disabled."},
		{"keycloak-oidc", "*Clients* → the client → *Credentials*: *Client Authenticator* is *Client Id and Secret*."},
		{"github", "*OAuth Apps* → the application → *Client secrets*. `bad_verification_code`: the code was used or is older than ten minutes."},
		{"gitlab", "*Applications* → the application: *Confidential* ticked, *Renew secret*."},
		{"generic-oauth2", "`auth` is `client_secret_post` for providers that do not read the header; `pkce: off` for those that refuse unknown parameters."},
	},
	failure.OIDCAlgorithm: {
		{"keycloak-oidc", "*Clients* → the client → *Advanced* → *Fine grain OpenID Connect configuration* → *ID token signature algorithm* RS256."},
	},
	failure.OIDCTokenShape: {
		{"keycloak-oidc", "*Clients* → the client → *Advanced* → *ID token encryption*: choose none."},
	},
	failure.OIDCStale: {
		{"entra-oidc", "*Token configuration* → *Add optional claim* → *ID* → `auth_time`."},
		{"google-oidc", "Google sends no `auth_time` and asks for no fresh sign-in: leave `force_authn` out."},
	},
	failure.OIDCACR: {
		{"okta-oidc", "*Security* → *Authentication Policies* → the application's rule."},
		{"entra-oidc", "*Conditional Access* → *Authentication strengths* for the application."},
		{"keycloak-oidc", "*Realm settings* → *ACR to LoA Mapping*, and the levels of the browser flow."},
	},
	failure.OAuth2Profile: {
		{"github", "path `/user/emails`: the scope `user:email`. Path `/user/memberships/orgs/…`: the scope `read:org`, and the organization's *Third-party Access* → *OAuth app policy* has to approve the application."},
		{"gitlab", "*Applications* → the application: scope `read_user`."},
	},
	failure.SubjectMissing: {
		{"entra-oidc", "`oid` comes with the scope `profile`."},
		{"generic-oauth2", "`oauth2.subject_path`: names with dots between them, as the profile has them."},
	},
	failure.EmailMissing: {
		{"okta-oidc", "*Directory* → *Profile Editor*: the person's *Primary email*; the scope `email`."},
		{"entra-oidc", "*Token configuration* → *Add optional claim* → *ID* → `email`; the person needs a mail address."},
		{"keycloak-oidc", "the client scope `email` is *Default*, and the user has an *Email*."},
		{"github", "*Settings* → *Emails* of the person: a primary address."},
		{"gitlab", "the person's primary e-mail; the scope `read_user`."},
	},
	failure.EmailNotVerified: {
		{"okta-oidc", "`domains`, when the organisation runs the domain."},
		{"entra-oidc", "`domains`, or *Token configuration* → *Add optional claim* → *ID* → `xms_edov`."},
		{"keycloak-oidc", "*Users* → the user → *Email verified*. It is off for users whom an administrator made, and off refuses also under `domains`."},
		{"github", "*Settings* → *Emails* of the person → *Verify*."},
		{"gitlab", "the person confirms the address by the mail that GitLab sent."},
	},
	failure.PolicyNotAllowed: {
		{"google-oidc", "rule `hosted`: `hd` is the organisation's primary domain; list it in `allow.domains`. A consumer's account has none."},
		{"github", "rule `allow.organizations`: the person's membership has to be active; an invitation is not."},
		{"gitlab", "rule `state`: the user is blocked or deactivated, *Admin* → *Users*."},
		{"entra-oidc", "rule `allow.groups`: groups come as object ids."},
		{"keycloak-oidc", "rule `allow.groups`: with *Full group path* on, groups begin with a slash."},
	},
	failure.PolicyGuest: {
		{"entra-oidc", "*Users* → the user → *User type* is *Guest*, or the home tenant is another: `guests: allow`."},
	},
	failure.PolicyTenant: {
		{"entra-oidc", "*Overview* → *Directory (tenant) ID* of the person's tenant, into `allow.tenants`."},
	},
	failure.GroupsMissing: {
		{"okta-oidc", "*Sign On* → *OpenID Connect ID Token* → *Groups claim filter*, name `groups`; the scope `groups` at the org server."},
		{"entra-oidc", "*Token configuration* → *Add groups claim*."},
		{"google-oidc", "Google sends no groups: `allow.subjects`, or `allow.domains` alone."},
		{"keycloak-oidc", "the dedicated client scope → *Add mapper* → *Group Membership*, *Token Claim Name* `groups`, *Add to ID token*."},
	},
	failure.GroupsOverage: {
		{"entra-oidc", "*Token configuration* → *Edit groups claim* → *Groups assigned to the application*; above 200 groups Entra sends a link, which is never followed."},
	},
}

// ofCore are the causes that core finds when a sign-in comes back to it.
var ofCore = []struct {
	code        string
	public      ssocode.Code
	cause, mend string
	fields      []string
}{
	{"binding_missing", ssocode.WrongBrowser, "The cookie of the sign-in did not come: another browser or profile, cookies blocked, or core and its pages on two origins.", "Start and finish in one browser; check CONSOLE_API_URL and CONSOLE_WEB_URL.", []string{"cookie_present"}},
	{"binding_mismatch", ssocode.WrongBrowser, "The cookie belongs to another sign-in.", "Start and finish in one browser.", []string{"cookie_present"}},
	{"code_not_pending", ssocode.InvalidUserCode, "The device's code expired or was decided during the sign-in.", "Start again in the terminal.", []string{"age_s"}},
	{"assertion_invalid", ssocode.Failed, "The bridge's message does not verify: key sets or public addresses of the two services differ, or clocks are more than 30 seconds apart.", "Compare keyset_fingerprint in both `/readyz`; give both services the same KEYSET_FILE, CONSOLE_API_URL and SSO_BRIDGE_PUBLIC_URL; NTP.", []string{"reason", "kid", "skew_s"}},
	{"assertion_claims", ssocode.Failed, "The bridge's message verifies and does not have the form that core takes.", "Bring both services to one version.", []string{"reason", "kid", "skew_s"}},
	{"assertion_replayed", ssocode.AlreadyUsed, "The address was reloaded or copied.", "Begin again. Many of them: look for an interceptor.", []string{"age_s"}},
	{"subject_revoked_since", ssocode.Failed, "The person's access, or the connection, was ended while the sign-in was under way.", "Sign in again, or enable the connection.", nil},
	{"email_collision", ssocode.EmailIsAccount, "An active account has this e-mail.", "Sign in to the account.", []string{"account_id"}},
	{"identity_linked", ssocode.IdentityLinked, "The identity is linked to an account.", "Allow the device as that account.", []string{"account_id"}},
	{"bridge_unreachable", ssocode.Unavailable, "Core cannot reach the bridge.", "Check SSO_BRIDGE_URL, network and SSO_BRIDGE_CA_FILE.", []string{"status", "code"}},
	{"bridge_refused", ssocode.Unavailable, "The bridge refuses core's token.", "Give both the same KEYSET_FILE; NTP.", []string{"status", "code"}},
}
