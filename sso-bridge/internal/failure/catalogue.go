// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"maps"
	"slices"

	"github.com/dify-sso/dify-sso/pkg/ssocode"
)

// The codes.
const (
	AttemptExpired        Code = "attempt_expired"
	AttemptAlreadyUsed    Code = "attempt_already_used"
	AttemptEnvelope       Code = "attempt_envelope_invalid"
	ConnectionChanged     Code = "attempt_connection_changed"
	CallbackMismatch      Code = "callback_connection_mismatch"
	CallbackMalformed     Code = "callback_malformed"
	BodyTooLarge          Code = "body_too_large"
	UnsupportedMedia      Code = "unsupported_media_type"
	ContentEncoding       Code = "content_encoding"
	StartLinkUsed         Code = "start_link_used"
	EmailUnroutable       Code = "email_domain_unroutable"
	OIDCDiscovery         Code = "oidc_discovery_failed"
	OIDCKeys              Code = "oidc_keys_failed"
	ProviderUnreachable   Code = "provider_unreachable"
	ProviderCircuitOpen   Code = "provider_circuit_open"
	OIDCIssuer            Code = "oidc_issuer_mismatch"
	OIDCAudience          Code = "oidc_audience_mismatch"
	OIDCDenied            Code = "oidc_denied"
	OIDCProviderError     Code = "oidc_provider_error"
	TokenEndpoint         Code = "token_endpoint_failed"
	IDTokenMissing        Code = "oidc_id_token_missing" //nolint:gosec // a code, no credential
	OIDCAlgorithm         Code = "oidc_algorithm"
	OIDCSignature         Code = "oidc_signature_invalid"
	OIDCTime              Code = "oidc_time"
	OIDCNonce             Code = "oidc_nonce_mismatch"
	OIDCHash              Code = "oidc_hash_mismatch"
	OIDCTokenShape        Code = "oidc_token_shape" //nolint:gosec // a code, no credential
	OIDCStale             Code = "oidc_stale_authentication"
	OIDCACR               Code = "oidc_acr"
	UserinfoFailed        Code = "userinfo_failed"
	OAuth2Profile         Code = "oauth2_profile_failed"
	UserinfoSubject       Code = "userinfo_subject_mismatch"
	SubjectMissing        Code = "subject_missing"
	SubjectMalformed      Code = "subject_malformed"
	EmailMissing          Code = "email_missing"
	EmailMalformed        Code = "email_malformed"
	EmailAmbiguous        Code = "email_ambiguous"
	EmailNotVerified      Code = "email_not_verified"
	EmailDomainNotAllowed Code = "email_domain_not_allowed"
	EmailDomainOfOther    Code = "email_domain_of_other_connection"
	PolicyNotAllowed      Code = "policy_not_allowed"
	PolicyGuest           Code = "policy_guest"
	PolicyTenant          Code = "policy_tenant"
	GroupsMissing         Code = "groups_missing"
	GroupsOverage         Code = "groups_overage"
	Busy                  Code = "busy"
	StoreUnavailable      Code = "store_unavailable"
	AuditUnavailable      Code = "audit_unavailable"
	Internal              Code = "internal"
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
	AttemptExpired:        {ssocode.Expired, "The sign-in took more than 15 minutes at the provider, or the bridge was restarted with its in-process store meanwhile.", "Begin again. Give the bridge Redis if this follows restarts.", []string{"age_s"}},
	AttemptAlreadyUsed:    {ssocode.AlreadyUsed, "One answer of the provider arrived a second time: a double click or the back button.", "Begin again.", []string{"first_at"}},
	AttemptEnvelope:       {ssocode.Failed, "The stored record of the attempt does not open or verify: it was damaged, or SECRET_KEY or the key set changed meanwhile or differs between replicas.", "Give every replica the same SECRET_KEY and KEYSET_FILE.", []string{"reason", "kid"}},
	ConnectionChanged:     {ssocode.ConnectionChanged, "The connection was edited, disabled or deleted while the person was at the provider.", "Begin again.", []string{"revision_then", "revision_now"}},
	CallbackMismatch:      {ssocode.ResponseRefused, "The provider sent its answer to another connection's address.", "Correct the redirect address at the provider: `sso-bridge connection show` prints it.", []string{"path_connection"}},
	CallbackMalformed:     {ssocode.InvalidRequest, "A parameter of the callback is missing, doubled or too long, or a code came with an error.", "Usually a proxy that rewrites addresses; else somebody probes.", []string{"parameter", "bytes", "type"}},
	BodyTooLarge:          {ssocode.InvalidRequest, "The callback's body is larger than this address takes.", "Look for a proxy that adds to it.", []string{"bytes"}},
	UnsupportedMedia:      {ssocode.InvalidRequest, "The callback's body is no form.", "Choose the response mode query or form_post at the provider.", []string{"type"}},
	ContentEncoding:       {ssocode.InvalidRequest, "The callback's body is compressed.", "Look for a proxy that compresses requests.", []string{"type"}},
	StartLinkUsed:         {ssocode.LinkUsed, "The address that begins the sign-in was opened twice, or fetched ahead by a mail or chat scanner.", "Begin again.", nil},
	EmailUnroutable:       {ssocode.NoConnection, "No enabled connection owns the domain that was typed.", "Add it to the connection's `domains`, or mark a connection as `default`.", []string{"domain_hash"}},
	OIDCDiscovery:         {ssocode.ProviderSilent, "The provider's discovery document could not be read or is not acceptable.", "Open <issuer>/.well-known/openid-configuration from the bridge's host; check the issuer.", []string{"host", "phase", "status", "cause"}},
	OIDCKeys:              {ssocode.ProviderSilent, "The provider's key set could not be read.", "Open the jwks_uri of the discovery document from the bridge's host.", []string{"host", "phase", "status", "cause"}},
	ProviderUnreachable:   {ssocode.ProviderSilent, "The provider did not answer: name look-up, connection, TLS or time-out, or the egress guard refused its address.", "Check DNS, network and certificate roots (EGRESS_CA_FILE); a provider on a private network needs EGRESS_ALLOW.", []string{"host", "phase", "status", "cause"}},
	ProviderCircuitOpen:   {ssocode.ProviderSilent, "The provider failed five times in a row and is left alone for 30 seconds.", "See the attempts before this one for the cause.", []string{"host"}},
	OIDCIssuer:            {ssocode.ResponseRefused, "Discovery, token or callback names another issuer than the connection.", "Copy the issuer exactly, with its final slash or without. Where it says `shared callback`, set `callback: own`: the provider does not say whose its answer is.", []string{"where", "expected", "got"}},
	OIDCAudience:          {ssocode.ResponseRefused, "The ID token was made for another client.", "Copy the client id of this application.", []string{"where", "expected", "got"}},
	OIDCDenied:            {ssocode.Cancelled, "The person, or a policy, refused the sign-in at the provider.", "Assign the person to the application there.", []string{"error"}},
	OIDCProviderError:     {ssocode.Failed, "The provider answered with an error.", "Check redirect address, scopes and client type at the provider.", []string{"error", "description"}},
	TokenEndpoint:         {ssocode.ResponseRefused, "The token endpoint refused the code, or answered what no token endpoint answers.", "Client secret wrong or over, redirect address differs, PKCE switched off: compare with `sso-bridge connection show`.", []string{"status", "error", "cause"}},
	IDTokenMissing:        {ssocode.ResponseRefused, "The provider sent no ID token.", "The scope openid is missing, or this is an OAuth 2.0 provider: choose the right preset.", []string{"members"}},
	OIDCAlgorithm:         {ssocode.ResponseRefused, "The ID token is signed by an algorithm that the connection does not take.", "Choose RS256 at the provider, or extend `algorithms`.", []string{"algorithm"}},
	OIDCSignature:         {ssocode.ResponseRefused, "No key of the provider verifies the ID token, also after its keys were read again.", "Wait half a minute after a rotation; check the issuer.", []string{"kid", "keys"}},
	OIDCTime:              {ssocode.ResponseRefused, "The ID token is over, was issued too long ago or ahead of time, or lives too long.", "Set the clocks of both hosts by NTP.", []string{"claim", "skew_s"}},
	OIDCNonce:             {ssocode.ResponseRefused, "The ID token belongs to another sign-in.", "A cache in front of the provider; otherwise an attack.", []string{"present"}},
	OIDCHash:              {ssocode.ResponseRefused, "at_hash or c_hash of the ID token does not fit.", "A defect of the provider.", []string{"rule"}},
	OIDCTokenShape:        {ssocode.ResponseRefused, "The ID token is not the compact, plain JWS that OpenID Connect asks for.", "Switch off encryption and extensions of ID tokens at the provider.", []string{"rule"}},
	OIDCStale:             {ssocode.NotAllowed, "A fresh sign-in was asked for and the provider sent an old one.", "Let the provider honour prompt=login and send auth_time.", []string{"expected", "got"}},
	OIDCACR:               {ssocode.NotAllowed, "The sign-in is weaker than the connection demands.", "Require it for this application at the provider.", []string{"expected", "got"}},
	UserinfoFailed:        {ssocode.ProviderSilent, "The userinfo endpoint could not be read or did not answer JSON.", "Check its scopes and its address.", []string{"status", "path", "cause"}},
	OAuth2Profile:         {ssocode.ProviderSilent, "The provider's profile could not be read.", "Check scopes (user:email, read:org) and whether the application is blocked.", []string{"status", "path", "cause"}},
	UserinfoSubject:       {ssocode.ResponseRefused, "Userinfo speaks of another person than the ID token.", "An attack, or a broken proxy.", nil},
	SubjectMissing:        {ssocode.ResponseRefused, "The claim that identifies the person did not come.", "Correct `subject` of the connection.", []string{"claim", "length"}},
	SubjectMalformed:      {ssocode.ResponseRefused, "The claim that identifies the person is empty, longer than 255 bytes or not plain ASCII.", "Correct `subject` of the connection.", []string{"claim", "length"}},
	EmailMissing:          {ssocode.EmailNotAccepted, "The provider sent no e-mail address.", "Map the mail attribute at the provider, or ask for the scope email.", []string{"claim"}},
	EmailMalformed:        {ssocode.EmailNotAccepted, "What the provider sent is not one plain e-mail address.", "Map the mail attribute at the provider.", []string{"claim"}},
	EmailAmbiguous:        {ssocode.EmailNotAccepted, "The provider sent several e-mail addresses.", "Send one.", []string{"claim"}},
	EmailNotVerified:      {ssocode.EmailNotAccepted, "The provider does not say that the address is verified, and the connection does not own its domain.", "Verify it at the provider, own the domain in `domains`, or for Entra ID send xms_edov.", []string{"verified", "domain_hash"}},
	EmailDomainNotAllowed: {ssocode.EmailNotAccepted, "The address lies outside the connection's domains.", "Extend `domains`, or set restrict_to_domains to false.", []string{"domain_hash"}},
	EmailDomainOfOther:    {ssocode.EmailNotAccepted, "Another connection owns the domain of the address.", "Use that connection, or correct `domains`.", []string{"domain_hash"}},
	PolicyNotAllowed:      {ssocode.NotAllowed, "An allow or deny list of the connection refuses the person.", "Assign the person, or change the rule.", []string{"rule"}},
	PolicyGuest:           {ssocode.NotAllowed, "The person is a guest of the tenant.", "Set `guests: allow`, if guests are to sign in.", []string{"rule"}},
	PolicyTenant:          {ssocode.NotAllowed, "The person's tenant is not listed.", "List it in `allow.tenants`.", []string{"rule"}},
	GroupsMissing:         {ssocode.NotAllowed, "A rule needs the person's groups and the provider sent none.", "Send the groups claim.", []string{"count", "overage"}},
	GroupsOverage:         {ssocode.NotAllowed, "The person has so many groups that the provider sent a link in their place.", "Assign groups to the application, filter them, or use app roles.", []string{"count", "overage"}},
	Busy:                  {ssocode.Unavailable, "Every reader was taken for one second; nothing was spent.", "More CPU or replicas; look for a flood.", []string{"waiting"}},
	StoreUnavailable:      {ssocode.Unavailable, "Redis or SQL did not answer; nothing was let through.", "Restore the store.", []string{"store", "op"}},
	AuditUnavailable:      {ssocode.Unavailable, "The audit event of the sign-in could not be written, so it did not succeed.", "Restore the database.", []string{"store", "op"}},
	Internal:              {ssocode.Failed, "A defect of the bridge.", "Report it with the reference.", []string{"error_id"}},
}

// About gives the catalogue's entry of a code.
func About(code Code) (Entry, bool) { e, ok := catalogue[code]; return e, ok }

// Codes lists the catalogue in order.
func Codes() []Code { return slices.Sorted(maps.Keys(catalogue)) }
