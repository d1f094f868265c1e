// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"unicode"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
)

// refusals say where to look, by the word that the server refuses with.
var refusals = map[string]string{ //nolint:gosec // G101: secrets are named here, none is given
	"csrf_mismatch":         "A proxy drops the headers Cookie or X-CSRF-Token, or the replicas have different keys in SECRET_KEY.",
	"origin_not_allowed":    "CONSOLE_API_URL of the server is not the address that was probed, or a proxy changes the header Origin.",
	"https_required":        "The port speaks https: look at the scheme of the address or of --via.",
	"invalid_credentials":   "The account's password is another one, or the account is not active: core admin list-accounts, core admin set-password.",
	"user_code_not_pending": "Somebody decided the code first, or the store of codes lost it: is REDIS_URL the same for all processes?",
	"expired_or_unknown":    "The store of codes lost the code: is REDIS_URL the same for all processes?",
	"expired_token":         "The store of codes lost the code: is REDIS_URL the same for all processes?",
	"unsupported_client":    "OPENAPI_KNOWN_CLIENT_IDS does not list this client; --client-id takes another one.",
	"bearer_auth_disabled":  "ENABLE_OAUTH_BEARER is false: no device can sign in.",
	"access_denied":         "The account may not have a token, or somebody refused the code: is the account active?",
	"too_many_requests":     "Probe less often, or raise the limit (RATE_LIMITS, DEVICE_FLOW_APPROVE_RATE_LIMIT_PER_HOUR). Behind a proxy, TRUSTED_PROXIES must name it.",
	"user_code_exhausted":   "Too many codes wait at once: look at the rate of dify_sso_logins_total with step=\"code\".",
	"service_unavailable":   "A store cannot be asked: /readyz on INNER_LISTEN names it, core doctor says more.",
	"internal_server_error": "The log has the cause.",
	"method_not_allowed":    "Something else answers at this address: look at the routes of the proxy or ingress.",
}

// explain gives a failure in words, and where to look next.
func (p *Probe) explain(ctx context.Context, step string, err error) (said, look string) {
	said = p.shown(strings.TrimPrefix(err.Error(), "deviceauth: "))
	var (
		refused   *deviceauth.Error
		untrusted *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		wrong     *mismatch
		open      *exposed
	)
	switch {
	case errors.As(err, &untrusted):
		return said, "The certificate is not one that is trusted here for this name: renew it, or name its root by --ca-file."
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return said, "One side speaks https, the other http: look at the scheme of the address, and at TLS_CERT_FILE."
	case ctx.Err() != nil:
		return "the time of --timeout is over", "Something takes long: look at the times of the steps before, and at dify_sso_store_seconds."
	case errors.As(err, &wrong):
		return said, "CONSOLE_API_URL of the server is not the address that was probed, or a proxy passes to another installation."
	case errors.As(err, &open):
		return said, "The proxy or ingress passes on to INNER_LISTEN: it may carry the public listener alone. Until then everybody can read this."
	case errors.Is(err, errAlive):
		return said, "Replicas do not see each other's revocations: is REDIS_URL the same for all, and does it take writes?"
	case errors.Is(err, errStranger), errors.Is(err, deviceauth.ErrBadAnswer):
		return said, "Something else answers at this address: look at the routes of the proxy or ingress, and at OPENAPI_ENABLED."
	case errors.As(err, &refused) && refused.Status != 0:
		return said, p.refusal(step, refused)
	}
	return said, "Nothing answers: look at the name's address, at the proxy or ingress, and whether core is ready behind it."
}

// shown is a text for a terminal. A certificate that nobody trusts, and other things that a
// peer shows, are in the errors of libraries as they came. Nothing should echo what the probe
// has sent; if something does, it goes no further.
func (p *Probe) shown(text string) string {
	password := p.target.Password.Reveal()
	secrets := []string{password, base64.StdEncoding.EncodeToString([]byte(password)), p.token.Reveal()}
	for _, c := range p.cookies {
		secrets = append(secrets, c.Value)
	}
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "[redacted]")
		}
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

func (p *Probe) refusal(step string, refused *deviceauth.Error) string {
	if look := refusals[refused.Code]; look != "" {
		return look
	}
	switch {
	case refused.Status == http.StatusBadGateway, refused.Status == http.StatusServiceUnavailable, refused.Status == http.StatusGatewayTimeout:
		return "What stands in front has no core to pass on to: is one ready, and does the way to it fit?"
	case refused.Status == http.StatusUnauthorized && step == "account":
		return "The token that was just given is not taken: do all replicas share DATABASE_URL and SECRET_KEY?"
	case refused.Status == http.StatusUnauthorized:
		return "The session of before is not taken: do all replicas share DATABASE_URL and SECRET_KEY, and does the proxy pass cookies on?"
	case refused.Status == http.StatusNotFound:
		return "Something else answers at this address: look at the routes of the proxy or ingress, and at OPENAPI_ENABLED."
	}
	return "The log of core has the request; of a proxy's own refusal the proxy's log."
}
