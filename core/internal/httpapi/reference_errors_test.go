// SPDX-License-Identifier: Apache-2.0

package httpapi

// whens says, for docs/reference/errors.md, when a code is answered. A code of
// middleware.md whose feature is being built may stand here before it is declared.
var whens = map[string]string{
	// 400
	"bad_request":           "a parameter or member is missing, repeated or not valid (`details` names it); or the request cannot be read as HTTP",
	"invalid_json":          "malformed JSON, a doubled member, trailing data, invalid UTF-8, nesting over 32",
	"https_required":        "plain HTTP on a port where core serves TLS itself",
	"cannot_act_on_self":    "a member change whose target is the caller",
	"cannot_act_on_owner":   "a member change whose target is the workspace's owner",
	"role_unchanged":        "the member has that role already",
	"user_code_mismatch":    "an external subject decides about another code than the one they signed in for",
	"confirmation_required": "an external subject allows a code that a link brought, without the tick",
	// 401
	"unauthorized":           "no bearer on a bearer route, no console session on a cookie route, an inner key absent or wrong",
	"not_setup":              "the installation has no first owner yet",
	"invalid_token":          "a bearer that is malformed, unknown, revoked, expired or of an account that is not active: one body for all",
	"invalid_credentials":    "signing in is refused, one body for every reason; or the present password is wrong",
	"inner_token_missing":    "a request of sso-bridge without one bearer token, on the second listener",
	"inner_token_invalid":    "the token of sso-bridge does not verify; audit has the reason",
	"inner_request_mismatch": "the token of sso-bridge is another request's: method, path with query or body differ",
	"inner_token_replayed":   "the token of sso-bridge was used before",
	"no_session":             "approval-context without a user code, and no approval grant that holds",
	"invalid_session":        "an external subject decides without an approval grant that holds, or after their access was ended",
	// 403
	"csrf_mismatch":                 "the CSRF token is missing, or not this session's",
	"origin_not_allowed":            "a write from a page of another site",
	"setup_code_wrong":              "the set-up code is wrong or was replaced",
	"wrong_surface":                 "a kind of token that this route does not serve",
	"insufficient_scope":            "the token lacks the scope; the challenge names it",
	"insufficient_workspace_role":   "the caller's role in the workspace is too small",
	"member_limit_exceeded":         "the workspace has as many members as it may",
	"email_belongs_to_dify_account": "the e-mail of an external subject is an active account's",
	"sso_identity_linked":           "the identity of an external subject is linked to an account",
	// 404
	"not_found":             "no such address, or none in this installation",
	"session_not_found":     "an unknown, foreign or malformed session",
	"workspace_not_found":   "an unknown, foreign, archived or malformed workspace",
	"member_not_found":      "nobody of this workspace",
	"invitation_not_found":  "an invitation that is unknown, used, replaced or expired",
	"expired_or_unknown":    "no user code waits under this spelling",
	"user_code_not_pending": "the code of an approval grant is gone (404) or decided (409)",
	// 405, 409
	"method_not_allowed":        "another method of a known address; `Allow` lists them",
	"already_resolved":          "the device was allowed or refused before",
	"already_set_up":            "the installation has its first owner",
	"email_taken":               "to commands alone: an account is to be created with the e-mail of another",
	"account_not_active":        "to commands alone: a mark is to be given to an account that cannot sign in",
	"last_administrator":        "to commands alone: nobody would be left who administers the installation",
	"already_member":            "the account is in the workspace already",
	"email_is_external_subject": "the e-mail has live tokens of an identity provider",
	// 413, 415, 422, 429, 431
	"request_entity_too_large":        "the body is over the route's cap",
	"unsupported_media_type":          "a content type that the route does not take, or any content encoding",
	"invalid_param":                   "a parameter or member is not valid (`details` names it)",
	"too_many_requests":               "a rate limit; wait for `Retry-After`",
	"request_header_fields_too_large": "the header block is over 16 KiB",
	// 5xx
	"internal_server_error": "everything unclassified; the cause is in the log under the request id",
	"service_unavailable":   "a store cannot be asked, or too much is going on; never a verdict about a credential",
	"bearer_auth_disabled":  "`ENABLE_OAUTH_BEARER=false`",
	"user_code_exhausted":   "no free user code was found",
	// verdicts
	"authorization_pending":  "nobody has decided yet; poll on",
	"slow_down":              "polled too early, and the interval has grown by 5 s; or a limit of the address",
	"expired_token":          "the device code is unknown, malformed or expired; start anew",
	"access_denied":          "the person refused, or may not be signed in any more",
	"invalid_grant":          "the code or token is another client's",
	"invalid_client":         "client authentication where there is none, or wrong where it is asked for",
	"unsupported_grant_type": "another grant type than that of RFC 8628",
	"unsupported_client":     "a client id that `OPENAPI_KNOWN_CLIENT_IDS` does not list",
}
