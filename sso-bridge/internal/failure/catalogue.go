// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"maps"
	"slices"

	"github.com/dify-sso/dify-sso/pkg/ssocode"
)

// The codes.
const (
	AttemptExpired         Code = "attempt_expired"
	AttemptAlreadyUsed     Code = "attempt_already_used"
	AttemptEnvelope        Code = "attempt_envelope_invalid"
	ConnectionChanged      Code = "attempt_connection_changed"
	CallbackMismatch       Code = "callback_connection_mismatch"
	CallbackMalformed      Code = "callback_malformed"
	BodyTooLarge           Code = "body_too_large"
	UnsupportedMedia       Code = "unsupported_media_type"
	ContentEncoding        Code = "content_encoding"
	StartLinkUsed          Code = "start_link_used"
	EmailUnroutable        Code = "email_domain_unroutable"
	SAMLMetadata           Code = "saml_metadata_failed"
	SAMLUnsolicited        Code = "saml_unsolicited"
	SAMLMalformed          Code = "saml_malformed"
	SAMLStructure          Code = "saml_structure"
	SAMLSignatureShape     Code = "saml_signature_shape"
	SAMLSignatureMissing   Code = "saml_signature_missing"
	SAMLSignatureInvalid   Code = "saml_signature_invalid"
	SAMLWeakAlgorithm      Code = "saml_weak_algorithm"
	SAMLCertificateExpired Code = "saml_certificate_expired"
	SAMLEncryptionDisabled Code = "saml_encryption_disabled"
	SAMLIssuer             Code = "saml_issuer_mismatch"
	SAMLAudience           Code = "saml_audience_mismatch"
	SAMLDestination        Code = "saml_destination_mismatch"
	SAMLRecipient          Code = "saml_recipient_mismatch"
	SAMLInResponseTo       Code = "saml_in_response_to"
	SAMLStatus             Code = "saml_status"
	SAMLTime               Code = "saml_time"
	SAMLLifetime           Code = "saml_lifetime"
	SAMLConfirmation       Code = "saml_confirmation"
	SAMLConditions         Code = "saml_conditions"
	SAMLAuthnStatement     Code = "saml_authn_statement"
	SAMLStale              Code = "saml_stale_authentication"
	SAMLContext            Code = "saml_authn_context"
	SAMLReplay             Code = "saml_replay"
	SAMLNameID             Code = "saml_name_id"
	SAMLAttribute          Code = "saml_attribute_ambiguous"
	OIDCDiscovery          Code = "oidc_discovery_failed"
	OIDCKeys               Code = "oidc_keys_failed"
	ProviderUnreachable    Code = "provider_unreachable"
	ProviderCircuitOpen    Code = "provider_circuit_open"
	OIDCIssuer             Code = "oidc_issuer_mismatch"
	OIDCAudience           Code = "oidc_audience_mismatch"
	OIDCDenied             Code = "oidc_denied"
	OIDCProviderError      Code = "oidc_provider_error"
	TokenEndpoint          Code = "token_endpoint_failed"
	IDTokenMissing         Code = "oidc_id_token_missing" //nolint:gosec // a code, no credential
	OIDCAlgorithm          Code = "oidc_algorithm"
	OIDCSignature          Code = "oidc_signature_invalid"
	OIDCTime               Code = "oidc_time"
	OIDCNonce              Code = "oidc_nonce_mismatch"
	OIDCHash               Code = "oidc_hash_mismatch"
	OIDCTokenShape         Code = "oidc_token_shape" //nolint:gosec // a code, no credential
	OIDCStale              Code = "oidc_stale_authentication"
	OIDCACR                Code = "oidc_acr"
	UserinfoFailed         Code = "userinfo_failed"
	OAuth2Profile          Code = "oauth2_profile_failed"
	UserinfoSubject        Code = "userinfo_subject_mismatch"
	SubjectMissing         Code = "subject_missing"
	SubjectMalformed       Code = "subject_malformed"
	EmailMissing           Code = "email_missing"
	EmailMalformed         Code = "email_malformed"
	EmailAmbiguous         Code = "email_ambiguous"
	EmailNotVerified       Code = "email_not_verified"
	EmailDomainNotAllowed  Code = "email_domain_not_allowed"
	EmailDomainOfOther     Code = "email_domain_of_other_connection"
	PolicyNotAllowed       Code = "policy_not_allowed"
	PolicyGuest            Code = "policy_guest"
	PolicyTenant           Code = "policy_tenant"
	GroupsMissing          Code = "groups_missing"
	GroupsOverage          Code = "groups_overage"
	Busy                   Code = "busy"
	StoreUnavailable       Code = "store_unavailable"
	AuditUnavailable       Code = "audit_unavailable"
	Internal               Code = "internal"
)

// Entry is what the catalogue says of a code.
type Entry struct {
	Public ssocode.Code
	// Cause says what has happened, Mend what an administrator does about it.
	Cause, Mend string
	// Fields are the facts that come with it.
	Fields []string
}

var catalogue = map[Code]Entry{
	AttemptExpired:         {ssocode.Expired, "The sign-in took more than 15 minutes at the provider, or the bridge was restarted with its in-process store meanwhile.", "Begin again. Give the bridge Redis if this follows restarts.", []string{"age_s"}},
	AttemptAlreadyUsed:     {ssocode.AlreadyUsed, "One answer of the provider arrived a second time: a double click or the back button.", "Begin again.", []string{"first_at"}},
	AttemptEnvelope:        {ssocode.Failed, "The stored record of the attempt does not open or verify: it was damaged, or SECRET_KEY or the key set changed meanwhile or differs between replicas.", "Give every replica the same SECRET_KEY and KEYSET_FILE.", []string{"reason", "kid"}},
	ConnectionChanged:      {ssocode.ConnectionChanged, "The connection was edited, disabled or deleted while the person was at the provider.", "Begin again.", []string{"revision_then", "revision_now"}},
	CallbackMismatch:       {ssocode.ResponseRefused, "The provider sent its answer to another connection's address.", "Correct the redirect or consumer address at the provider: `sso-bridge connection show` prints it.", []string{"path_connection"}},
	CallbackMalformed:      {ssocode.InvalidRequest, "A parameter of the callback is missing, doubled or too long, or a code came with an error.", "Usually a proxy that rewrites addresses; else somebody probes.", []string{"parameter", "bytes", "type"}},
	BodyTooLarge:           {ssocode.InvalidRequest, "The callback's body is larger than this address takes.", "Look for a proxy that adds to it.", []string{"bytes"}},
	UnsupportedMedia:       {ssocode.InvalidRequest, "The callback's body is no form.", "Choose the response mode query or form_post at the provider, with SAML the binding HTTP-POST.", []string{"type"}},
	ContentEncoding:        {ssocode.InvalidRequest, "The callback's body is compressed.", "Look for a proxy that compresses requests.", []string{"type"}},
	StartLinkUsed:          {ssocode.LinkUsed, "The address that begins the sign-in was opened twice, or fetched ahead by a mail or chat scanner.", "Begin again.", nil},
	EmailUnroutable:        {ssocode.NoConnection, "No enabled connection owns the domain that was typed.", "Add it to the connection's `domains`, or mark a connection as `default`.", []string{"domain_hash"}},
	SAMLMetadata:           {ssocode.ProviderSilent, "The provider's metadata could not be read or is not acceptable, and none was read before.", "Open `saml.metadata_url` from the bridge's host; paste the document as `saml.metadata` if the host may not reach it. Where the cause is `issuer_taken`, another connection has or had this provider: use that one, or take a deleted one's over by `saml.idp_entity_id` with force.", []string{"host", "phase", "status", "cause"}},
	SAMLUnsolicited:        {ssocode.Unsolicited, "The answer belongs to no sign-in that began here: it was started in the company portal, or its RelayState was lost or cut.", "Let people begin at our sign-in page; RelayState must come back unchanged.", []string{"relay_state_length"}},
	SAMLMalformed:          {ssocode.ResponseRefused, "The message is not the plain XML in base64 that the SAML binding asks for, or holds what no signed message needs.", "The provider or a proxy alters the message: switch off comments and XML \"pretty printing\".", []string{"rule", "bytes", "elements", "depth"}},
	SAMLStructure:          {ssocode.ResponseRefused, "The response does not hold exactly one assertion in its place.", "Let the provider send one assertion per response; if that is so already, treat it as an attack.", []string{"assertions", "root", "rule"}},
	SAMLSignatureShape:     {ssocode.ResponseRefused, "A signature has references, transforms or a place that the web browser SSO profile does not allow.", "Use the provider's default signing profile; if it is in use already, treat it as an attack.", []string{"assertions", "root", "rule"}},
	SAMLSignatureMissing:   {ssocode.ResponseRefused, "What the connection demands to be signed is not.", "Sign the assertion at the provider, or change `saml.signed`.", []string{"policy", "signed_elements"}},
	SAMLSignatureInvalid:   {ssocode.ResponseRefused, "The message was signed by a key that is not known here, or was altered on its way.", "Refresh the metadata and accept a change that is held: `sso-bridge connection metadata`. Facts that were pasted or typed get the new certificate by hand.", []string{"fingerprints_tried", "keyinfo_fingerprint", "metadata_age"}},
	SAMLWeakAlgorithm:      {ssocode.ResponseRefused, "The signature uses SHA-1, MD5 or an RSA key shorter than 2048 bits.", "Choose RSA-SHA256 and a key of 2048 bits or more at the provider.", []string{"algorithm", "key_bits"}},
	SAMLCertificateExpired: {ssocode.ResponseRefused, "The provider's certificate is over and the connection refuses such ones.", "Renew it at the provider, or set `saml.expired_certificates: warn`.", []string{"not_after"}},
	SAMLEncryptionDisabled: {ssocode.ResponseRefused, "Something in the message is encrypted; it was not read.", "Switch encryption off for this application at the provider, and remove a certificate of ours that it encrypts to.", []string{"element"}},
	SAMLIssuer:             {ssocode.ResponseRefused, "The response comes from another provider or tenant than the connection's, or from another connection's.", "Correct the provider's entity id here (`saml.idp_entity_id`, `saml.idp.entity_id`): case and a final slash count.", []string{"expected", "got"}},
	SAMLAudience:           {ssocode.ResponseRefused, "The assertion was made for another service.", "Copy our entity id to the provider's Audience or Identifier: `sso-bridge connection show` prints it.", []string{"expected", "got"}},
	SAMLDestination:        {ssocode.ResponseRefused, "The response was sent to another address than our consumer service's.", "Copy the consumer address from `sso-bridge connection show`: scheme, port and final slash count.", []string{"expected", "got"}},
	SAMLRecipient:          {ssocode.ResponseRefused, "The assertion is for another consumer address.", "Copy the consumer address from `sso-bridge connection show`: scheme, port and final slash count.", []string{"expected", "got"}},
	SAMLInResponseTo:       {ssocode.ResponseRefused, "The response answers another request, or none.", "Sign-in pages open in two tabs, or a caching portal: begin again.", []string{"present"}},
	SAMLStatus:             {ssocode.ResponseRefused, "The provider refused the sign-in, or the person gave it up there.", "See the provider's own log at this time.", []string{"status", "sub_status"}},
	SAMLTime:               {ssocode.ResponseRefused, "The clocks of the provider and of this host differ by more than the connection allows, or the answer is over.", "Set both clocks by NTP.", []string{"condition", "skew_s", "lifetime_s", "age_s"}},
	SAMLLifetime:           {ssocode.ResponseRefused, "The assertion lives longer than an hour or was issued more than ten minutes ago.", "Choose a shorter life at the provider; look for a slow proxy.", []string{"condition", "skew_s", "lifetime_s", "age_s"}},
	SAMLConfirmation:       {ssocode.ResponseRefused, "The assertion has no bearer confirmation that is complete.", "Use the web browser SSO profile at the provider.", []string{"rule"}},
	SAMLConditions:         {ssocode.ResponseRefused, "The conditions of the assertion are missing, incomplete or unknown.", "Use the web browser SSO profile at the provider.", []string{"rule"}},
	SAMLAuthnStatement:     {ssocode.ResponseRefused, "The assertion does not say that the person signed in, or that session is over.", "Use the web browser SSO profile at the provider.", []string{"rule"}},
	SAMLStale:              {ssocode.ResponseRefused, "A fresh sign-in was asked for and the provider sent an old one.", "Let the provider honour ForceAuthn.", []string{"authn_age_s"}},
	SAMLContext:            {ssocode.NotAllowed, "The sign-in is weaker than the connection demands.", "Require multi-factor authentication for this application at the provider.", []string{"expected", "got"}},
	SAMLReplay:             {ssocode.AlreadyUsed, "One assertion arrived a second time.", "Begin again; if nobody pressed the back button, treat it as an attack.", []string{"first_at"}},
	SAMLNameID:             {ssocode.ResponseRefused, "The NameID is missing, transient, of a format that cannot be the subject, or of another qualifier.", "Send a persistent NameID, or choose an attribute: `saml.subject`.", []string{"format", "length"}},
	SAMLAttribute:          {ssocode.ResponseRefused, "An attribute that has one value came with several, or with an element in the place of a text.", "Send one value, as plain text.", []string{"attribute", "values"}},
	OIDCDiscovery:          {ssocode.ProviderSilent, "The provider's discovery document could not be read or is not acceptable.", "Open <issuer>/.well-known/openid-configuration from the bridge's host; check the issuer.", []string{"host", "phase", "status", "cause"}},
	OIDCKeys:               {ssocode.ProviderSilent, "The provider's key set could not be read.", "Open the jwks_uri of the discovery document from the bridge's host.", []string{"host", "phase", "status", "cause"}},
	ProviderUnreachable:    {ssocode.ProviderSilent, "The provider did not answer: name look-up, connection, TLS or time-out, or the egress guard refused its address.", "Check DNS, network and certificate roots (EGRESS_CA_FILE); a provider on a private network needs EGRESS_ALLOW.", []string{"host", "phase", "status", "cause"}},
	ProviderCircuitOpen:    {ssocode.ProviderSilent, "The provider failed five times in a row and is left alone for 30 seconds.", "See the attempts before this one for the cause.", []string{"host"}},
	OIDCIssuer:             {ssocode.ResponseRefused, "Discovery, token or callback names another issuer than the connection.", "Copy the issuer exactly, with its final slash or without. Where it says `shared callback`, set `callback: own`: the provider does not say whose its answer is.", []string{"where", "expected", "got"}},
	OIDCAudience:           {ssocode.ResponseRefused, "The ID token was made for another client.", "Copy the client id of this application.", []string{"where", "expected", "got"}},
	OIDCDenied:             {ssocode.Cancelled, "The person, or a policy, refused the sign-in at the provider.", "Assign the person to the application there.", []string{"error"}},
	OIDCProviderError:      {ssocode.Failed, "The provider answered with an error.", "Check redirect address, scopes and client type at the provider.", []string{"error", "description"}},
	TokenEndpoint:          {ssocode.ResponseRefused, "The token endpoint refused the code, or answered what no token endpoint answers.", "Client secret wrong or over, redirect address differs, PKCE switched off: compare with `sso-bridge connection show`.", []string{"status", "error", "cause"}},
	IDTokenMissing:         {ssocode.ResponseRefused, "The provider sent no ID token.", "The scope openid is missing, or this is an OAuth 2.0 provider: choose the right preset.", []string{"members"}},
	OIDCAlgorithm:          {ssocode.ResponseRefused, "The ID token is signed by an algorithm that the connection does not take.", "Choose RS256 at the provider, or extend `algorithms`.", []string{"algorithm"}},
	OIDCSignature:          {ssocode.ResponseRefused, "No key of the provider verifies the ID token, also after its keys were read again.", "Wait half a minute after a rotation; check the issuer.", []string{"kid", "keys"}},
	OIDCTime:               {ssocode.ResponseRefused, "The ID token is over, was issued too long ago or ahead of time, or lives too long.", "Set the clocks of both hosts by NTP.", []string{"claim", "skew_s"}},
	OIDCNonce:              {ssocode.ResponseRefused, "The ID token belongs to another sign-in.", "A cache in front of the provider; otherwise an attack.", []string{"present"}},
	OIDCHash:               {ssocode.ResponseRefused, "at_hash or c_hash of the ID token does not fit.", "A defect of the provider.", []string{"rule"}},
	OIDCTokenShape:         {ssocode.ResponseRefused, "The ID token is not the compact, plain JWS that OpenID Connect asks for.", "Switch off encryption and extensions of ID tokens at the provider.", []string{"rule"}},
	OIDCStale:              {ssocode.NotAllowed, "A fresh sign-in was asked for and the provider sent an old one.", "Let the provider honour prompt=login and send auth_time.", []string{"expected", "got"}},
	OIDCACR:                {ssocode.NotAllowed, "The sign-in is weaker than the connection demands.", "Require it for this application at the provider.", []string{"expected", "got"}},
	UserinfoFailed:         {ssocode.ProviderSilent, "The userinfo endpoint could not be read or did not answer JSON.", "Check its scopes and its address.", []string{"status", "path", "cause"}},
	OAuth2Profile:          {ssocode.ProviderSilent, "The provider's profile could not be read.", "Check scopes (user:email, read:org) and whether the application is blocked.", []string{"status", "path", "cause"}},
	UserinfoSubject:        {ssocode.ResponseRefused, "Userinfo speaks of another person than the ID token.", "An attack, or a broken proxy.", nil},
	SubjectMissing:         {ssocode.ResponseRefused, "The claim that identifies the person did not come.", "Send it, or correct `subject` of the connection.", []string{"claim", "length"}},
	SubjectMalformed:       {ssocode.ResponseRefused, "The claim that identifies the person is empty, longer than 255 bytes or not plain ASCII.", "Correct `subject` of the connection.", []string{"claim", "length"}},
	EmailMissing:           {ssocode.EmailNotAccepted, "The provider sent no e-mail address.", "Map the mail attribute at the provider, or ask for the scope email.", []string{"claim"}},
	EmailMalformed:         {ssocode.EmailNotAccepted, "What the provider sent is not one plain e-mail address.", "Map the mail attribute at the provider.", []string{"claim"}},
	EmailAmbiguous:         {ssocode.EmailNotAccepted, "The provider sent several e-mail addresses.", "Send one: map an attribute or claim with a single value at the provider.", []string{"claim"}},
	EmailNotVerified:       {ssocode.EmailNotAccepted, "The provider does not say that the address is verified, and the connection does not own its domain.", "Verify it at the provider, own the domain in `domains`, or for Entra ID send xms_edov.", []string{"verified", "domain_hash"}},
	EmailDomainNotAllowed:  {ssocode.EmailNotAccepted, "The address lies outside the connection's domains.", "Extend `domains`, or set restrict_to_domains to false.", []string{"domain_hash"}},
	EmailDomainOfOther:     {ssocode.EmailNotAccepted, "Another connection owns the domain of the address.", "Use that connection, or correct `domains`.", []string{"domain_hash"}},
	PolicyNotAllowed:       {ssocode.NotAllowed, "An allow or deny list of the connection refuses the person.", "Assign the person, or change the rule.", []string{"rule"}},
	PolicyGuest:            {ssocode.NotAllowed, "The person is a guest of the tenant.", "Set `guests: allow`, if guests are to sign in.", []string{"rule"}},
	PolicyTenant:           {ssocode.NotAllowed, "The person's tenant is not listed.", "List it in `allow.tenants`.", []string{"rule"}},
	GroupsMissing:          {ssocode.NotAllowed, "A rule needs the person's groups and the provider sent none.", "Send the groups claim or attribute.", []string{"count", "overage"}},
	GroupsOverage:          {ssocode.NotAllowed, "The person has so many groups that the provider sent a link in their place.", "Assign groups to the application, filter them, or use app roles.", []string{"count", "overage"}},
	Busy:                   {ssocode.Unavailable, "Every reader was taken for one second; nothing was spent.", "More CPU or replicas; look for a flood.", []string{"waiting"}},
	StoreUnavailable:       {ssocode.Unavailable, "Redis or SQL did not answer; nothing was let through.", "Restore the store.", []string{"store", "op"}},
	AuditUnavailable:       {ssocode.Unavailable, "The audit event of the sign-in could not be written, so it did not succeed.", "Restore the database.", []string{"store", "op"}},
	Internal:               {ssocode.Failed, "A defect of the bridge.", "Report it with the reference.", []string{"error_id"}},
}

// About gives the catalogue's entry of a code.
func About(code Code) (Entry, bool) { e, ok := catalogue[code]; return e, ok }

// Codes lists the catalogue in order.
func Codes() []Code { return slices.Sorted(maps.Keys(catalogue)) }
