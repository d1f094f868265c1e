// SPDX-License-Identifier: Apache-2.0

package failure_test

import (
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// click is where a cause is mended in the console of one provider.
type click struct{ preset, path string }

// consumerAddress is where the address of our consumer service stands.
var consumerAddress = []click{
	{"okta-saml", "*General* → *SAML Settings* → *Single sign-on URL*, *Use this for Recipient URL and Destination URL* ticked."},
	{"entra-saml", "*Basic SAML Configuration* → *Reply URL (Assertion Consumer Service URL)*, ours as the default one."},
	{"google-saml", "*Service provider details* → *ACS URL*."},
	{"keycloak-saml", "*Clients* → the client → *Advanced* → *Assertion Consumer Service POST Binding URL*."},
	{"adfs-saml", "*Relying Party Trusts* → the trust → *Properties* → *Endpoints*, or *Update from Federation Metadata*."},
}

// clicks holds the codes whose mend differs from provider to provider.
var clicks = map[failure.Code][]click{
	failure.CallbackMismatch: {
		{"okta-oidc", "*Applications* → the application → *General* → *Login* → *Sign-in redirect URIs*."},
		{"entra-oidc", "*App registrations* → the application → *Authentication* → *Web* → *Redirect URIs*."},
		{"google-oidc", "*Google Auth Platform* → *Clients* → the client → *Authorized redirect URIs*."},
		{"keycloak-oidc", "*Clients* → the client → *Settings* → *Valid redirect URIs*, without a star."},
		{"github", "*Developer settings* → *OAuth Apps* → the application → *Authorization callback URL*."},
		{"gitlab", "*Applications* → the application → *Edit* → *Redirect URI*."},
		{"okta-saml", "*General* → *SAML Settings* → *Single sign-on URL*."},
		{"entra-saml", "*Single sign-on* → *Basic SAML Configuration* → *Reply URL (Assertion Consumer Service URL)*."},
		{"google-saml", "*Web and mobile apps* → the app → *Service provider details* → *ACS URL*."},
		{"keycloak-saml", "*Clients* → the client → *Advanced* → *Assertion Consumer Service POST Binding URL*."},
		{"adfs-saml", "*Relying Party Trusts* → the trust → *Properties* → *Endpoints*, or *Update from Federation Metadata*."},
	},
	failure.UnsupportedMedia: {
		{"generic-oidc", "set `response_mode: form_post`, or `query`; nothing else is read."},
		{"generic-saml", "the binding of the assertion consumer service is HTTP-POST; HTTP-Artifact is not read."},
	},
	failure.SAMLMetadata: {
		{"okta-saml", "*Sign On* → *Metadata details* → *Metadata URL*; `status` 404: the application was deleted or is inactive."},
		{"entra-saml", "*Single sign-on* → *SAML Certificates* → *App Federation Metadata Url*, with `?appid=`."},
		{"google-saml", "Google publishes none: *Download metadata*, as `saml.metadata_file` or `saml.idp`."},
		{"keycloak-saml", "`https://<host>/realms/<realm>/protocol/saml/descriptor`; on a private network `EGRESS_ALLOW` with its host, `EGRESS_CA_FILE` with its root."},
		{"adfs-saml", "*Service* → *Endpoints* → *Metadata*: *Federation Metadata* is enabled; on a private network `EGRESS_ALLOW` with its host, `EGRESS_CA_FILE` with its root."},
	},
	failure.SAMLUnsolicited: {
		{"okta-saml", "*General* → *App visibility*: hide the application icon. *Default RelayState* is empty."},
		{"entra-saml", "*Properties* → *Visible to users?* *No*. *Relay State* of *Basic SAML Configuration* is empty."},
		{"google-saml", "the icon in the app launcher begins at Google. *Start URL* is empty."},
		{"keycloak-saml", "*Settings* → *IDP-Initiated SSO URL name* and *IDP Initiated SSO Relay State* are empty; *Home URL* leads to our sign-in page."},
		{"adfs-saml", "`/adfs/ls/idpinitiatedsignon` begins at AD FS: `Set-AdfsProperties -EnableIdPInitiatedSignonPage $false`."},
	},
	failure.SAMLSignatureMissing: {
		{"okta-saml", "*General* → *SAML Settings* → *Show Advanced Settings*: *Response* and *Assertion Signature* `Signed`."},
		{"entra-saml", "*SAML Certificates* → *Token signing certificate* → *Edit* → *Signing Option*: *Sign SAML assertion*, or *Sign SAML response and assertion*."},
		{"google-saml", "*Service provider details*: without *Signed response* the assertion is signed, with it the response alone: leave `signed: either`."},
		{"keycloak-saml", "*Clients* → the client → *Settings*: *Sign documents*, and *Sign assertions* for `signed: assertion`."},
		{"adfs-saml", "`Set-AdfsRelyingPartyTrust -SamlResponseSignature MessageAndAssertion`; *AssertionOnly* is the default."},
	},
	failure.SAMLSignatureInvalid: {
		{"okta-saml", "the metadata is this application's own; *Sign On* → *SAML Signing Certificates* shows which certificate is active."},
		{"entra-saml", "the metadata address has `?appid=` of this application; *SAML Certificates* → *Token signing certificate* shows which is active."},
		{"google-saml", "*Service provider details* → *Manage certificates*: the certificate that the app uses, into `saml.idp.certificates`."},
		{"keycloak-saml", "*Realm settings* → *Keys*: a key was rotated; read the metadata again."},
		{"adfs-saml", "*Service* → *Certificates* → *Token-signing*: it renews itself each year; read the metadata again and accept what is held."},
	},
	failure.SAMLWeakAlgorithm: {
		{"okta-saml", "*Show Advanced Settings*: *Signature Algorithm* `RSA-SHA256`, *Digest Algorithm* `SHA256`."},
		{"entra-saml", "*SAML Certificates* → *Token signing certificate* → *Edit* → *Signing Algorithm* *SHA-256*."},
		{"keycloak-saml", "*Clients* → the client → *Settings* → *Signature algorithm* `RSA_SHA256`."},
		{"adfs-saml", "*Relying Party Trusts* → the trust → *Properties* → *Advanced* → *Secure hash algorithm* *SHA-256*."},
	},
	failure.SAMLCertificateExpired: {
		{"okta-saml", "*Sign On* → *SAML Signing Certificates* → *Generate new certificate*, then *Activate*."},
		{"entra-saml", "*SAML Certificates* → *Token signing certificate* → *Edit* → *New Certificate*, then *Make certificate active*."},
		{"google-saml", "*Security* → *SSO with SAML applications* → *Add another certificate*; add it here before the app uses it."},
		{"keycloak-saml", "*Realm settings* → *Keys* → *Providers*: add a key of a higher priority."},
		{"adfs-saml", "`Update-AdfsCertificate -CertificateType Token-Signing`, where it does not renew itself."},
	},
	failure.SAMLEncryptionDisabled: {
		{"okta-saml", "*Show Advanced Settings* → *Assertion Encryption* `Unencrypted`."},
		{"entra-saml", "*Security* → *Token encryption*: deactivate and delete the certificate."},
		{"keycloak-saml", "*Clients* → the client → *Keys* → *Encrypt assertions* off."},
		{"adfs-saml", "*Relying Party Trusts* → the trust → *Properties* → *Encryption* → *Remove*."},
	},
	failure.SAMLIssuer: {
		{"okta-saml", "`http://www.okta.com/<key>`, with `http`; each application has its own."},
		{"entra-saml", "`https://sts.windows.net/<tenant>/`, with its final slash."},
		{"google-saml", "*Google Identity Provider details* → *Entity ID*: `https://accounts.google.com/o/saml2?idpid=…`."},
		{"keycloak-saml", "*Realm settings* → *Frontend URL*: the address that browsers use, not the one inside the network."},
		{"adfs-saml", "*Edit Federation Service Properties* → *Federation Service identifier*: `http://<host>/adfs/services/trust`, with `http`."},
	},
	failure.SAMLAudience: {
		{"okta-saml", "*General* → *SAML Settings* → *Audience URI (SP Entity ID)*."},
		{"entra-saml", "*Basic SAML Configuration* → *Identifier (Entity ID)*, ours as the default one."},
		{"google-saml", "*Service provider details* → *Entity ID*."},
		{"keycloak-saml", "*Clients* → the client → *Settings* → *Client ID*; a mapper *SAML Audience Resolve* or *Hardcoded audience* may add others."},
		{"adfs-saml", "*Relying Party Trusts* → the trust → *Properties* → *Identifiers*."},
	},
	failure.SAMLDestination: consumerAddress,
	failure.SAMLRecipient:   consumerAddress,
	failure.SAMLStatus: {
		{"okta-saml", "*Reports* → *System Log*; *Assignments*: assign the person or a group."},
		{"entra-saml", "*Sign-in logs* of the application. AADSTS75011: leave `authn_contexts` out. AADSTS50105: *Users and groups*."},
		{"google-saml", "*Reporting* → *Audit and investigation* → *SAML log events*; *User access* of the app."},
		{"keycloak-saml", "*Realm settings* → *Events*. `InvalidNameIDPolicy`: *Name ID format* and `saml.name_id_format` differ. `RequestDenied`: the browser flow's conditions."},
		{"adfs-saml", "*Event Viewer* → *AD FS* → *Admin*. `InvalidNameIDPolicy`: the rule for *Name ID* gives another format than `saml.name_id_format`; the preset asks for none. `Responder`: *Access Control Policy*, or our certificate under *Signature*."},
	},
	failure.SAMLTime: {
		{"keycloak-saml", "the clock of Keycloak's host or container; `saml.skew` up to 300 bridges the time until it is right."},
		{"adfs-saml", "`w32tm /query /status` on the server; `Set-AdfsRelyingPartyTrust -NotBeforeSkew` is not needed, `saml.skew` is what counts."},
	},
	failure.SAMLLifetime: {
		{"keycloak-saml", "*Clients* → the client → *Advanced* → *Assertion Lifespan*, or *Realm settings* → *Tokens* → *Access Token Lifespan*: an hour at most."},
		{"adfs-saml", "`Set-AdfsRelyingPartyTrust -TokenLifetime 60`, in minutes."},
		{"entra-saml", "a *token lifetime policy* of the application: an hour at most. Entra's own default is about an hour."},
	},
	failure.SAMLAuthnStatement: {
		{"keycloak-saml", "*Clients* → the client → *Settings* → *Include AuthnStatement* on."},
	},
	failure.SAMLConditions: {
		{"keycloak-saml", "*Clients* → the client → *Settings*: *Include OneTimeUse Condition* may be on or off; a mapper of your own adds no other condition."},
	},
	failure.SAMLStale: {
		{"okta-saml", "*Show Advanced Settings* → *Honor Force Authentication* `Yes`."},
		{"google-saml", "Google asks for no fresh sign-in: leave `force_authn` out."},
	},
	failure.SAMLContext: {
		{"okta-saml", "*Security* → *Authentication Policies* → the application's rule; *Authentication context class* under *Show Advanced Settings*."},
		{"entra-saml", "leave `authn_contexts` out, and demand strength by *Conditional Access*."},
		{"google-saml", "leave `authn_contexts` out: Google names `unspecified`."},
		{"keycloak-saml", "*Realm settings* → *ACR to LoA Mapping*, and the levels of the browser flow."},
		{"adfs-saml", "*Access Control Policy* of the trust: *Permit everyone and require MFA*."},
	},
	failure.SAMLNameID: {
		{"okta-saml", "the preset takes the attribute `id`; with `subject: name_id`, *Name ID format* is *Persistent*."},
		{"entra-saml", "*Attributes & Claims* → *Unique User Identifier (Name ID)* has to be there; the preset takes the object id for the subject."},
		{"google-saml", "*Service provider details* → *Name ID format* *EMAIL*, or `saml.subject: { attribute: … }`."},
		{"keycloak-saml", "*Clients* → the client → *Settings*: *Name ID format* `persistent`, *Force name ID format* on."},
		{"adfs-saml", "*Edit Claim Issuance Policy*: a rule has to issue *Name ID*, such as *Transform an Incoming Claim* from *Primary SID*."},
	},
	failure.SAMLAttribute: {
		{"okta-saml", "an attribute statement whose expression gives a list."},
		{"entra-saml", "*Attributes & Claims*: two claims of one name, or a source with several values, such as *user.othermails*."},
		{"keycloak-saml", "*Client scopes*: two mappers of one *SAML Attribute Name*, or a user attribute with several values."},
		{"adfs-saml", "two rules that issue one claim, or an attribute of the directory with several values, such as *proxyAddresses*."},
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
		{"okta-saml", "*Attribute Statements*: `id` with the value `user.getInternalProperty(\"id\")`."},
		{"entra-saml", "the object id comes by itself; `saml.subject` is written exactly, with `http://`."},
		{"google-saml", "*Attribute mapping*: the custom attribute is filled for this person."},
		{"adfs-saml", "*Edit Claim Issuance Policy*: *Pass Through or Filter an Incoming Claim*, *Primary SID*."},
		{"entra-oidc", "`oid` comes with the scope `profile`."},
		{"generic-oauth2", "`oauth2.subject_path`: names with dots between them, as the profile has them."},
	},
	failure.EmailMissing: {
		{"okta-saml", "*Attribute Statements*: `email` with the value `user.email`."},
		{"entra-saml", "*Attributes & Claims*: `emailaddress` is `user.mail`; the person needs a mail address."},
		{"google-saml", "*Attribute mapping*: *Primary email* → `email`."},
		{"keycloak-saml", "the dedicated client scope → *Add mapper* → *User Property* `email`, *SAML Attribute Name* `email`; the user has an *Email*."},
		{"adfs-saml", "*Send LDAP Attributes as Claims*: *E-Mail-Addresses* → *E-Mail Address*; the person has a mail address in the directory."},
		{"generic-saml", "`claims.email` is the attribute's *Name*, not its *FriendlyName*; the page of a connection test lists what came."},
		{"okta-oidc", "*Directory* → *Profile Editor*: the person's *Primary email*; the scope `email`."},
		{"entra-oidc", "*Token configuration* → *Add optional claim* → *ID* → `email`; the person needs a mail address."},
		{"keycloak-oidc", "the client scope `email` is *Default*, and the user has an *Email*."},
		{"github", "*Settings* → *Emails* of the person: a primary address."},
		{"gitlab", "the person's primary e-mail; the scope `read_user`."},
	},
	failure.EmailNotVerified: {
		{"generic-saml", "`domains`, when the organisation runs the domain; or an attribute with the text `true`, as `claims.email_verified` with `email_verified_strings: true`."},
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
		{"okta-saml", "*Group Attribute Statements*: `groups`, with a filter that matches."},
		{"entra-saml", "*Attributes & Claims* → *Add a group claim*, *Source attribute* *Group ID*."},
		{"google-saml", "*Attribute mapping* → *Group membership*, *App attribute* `groups`."},
		{"keycloak-saml", "the dedicated client scope → *Add mapper* → *Group list*, *Group attribute name* `groups`."},
		{"adfs-saml", "*Send LDAP Attributes as Claims*: *Token-Groups - Unqualified Names* → *Group*."},
		{"okta-oidc", "*Sign On* → *OpenID Connect ID Token* → *Groups claim filter*, name `groups`; the scope `groups` at the org server."},
		{"entra-oidc", "*Token configuration* → *Add groups claim*."},
		{"google-oidc", "Google sends no groups: `allow.subjects`, or `allow.domains` alone."},
		{"keycloak-oidc", "the dedicated client scope → *Add mapper* → *Group Membership*, *Token Claim Name* `groups`, *Add to ID token*."},
	},
	failure.GroupsOverage: {
		{"entra-saml", "*Attributes & Claims* → the group claim → *Groups assigned to the application*; above 150 groups Entra sends a link, which is never followed."},
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
