// SPDX-License-Identifier: Apache-2.0

package oauth2rp

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
	maxToken = 8 << 10 // bytes of an access token
)

// exchange redeems the code, once (RFC 6749 section 4.1.3).
func (s *session) exchange(ctx context.Context, a login.Answer) (string, error) {
	c := s.config.OAuth2
	form := url.Values{"grant_type": {"authorization_code"}, "code": {a.Code.Reveal()}, "redirect_uri": {a.RedirectURI}}
	if pkce(c) {
		form.Set("code_verifier", a.Material.Verifier.Reveal())
	}
	header := http.Header{"Accept": {typeJSON, typeForm}}
	secret := a.Serving.Secrets.ClientSecret.Reveal()
	if c.Auth == connection.AuthPost {
		form.Set("client_id", c.ClientID)
		form.Set("client_secret", secret)
	} else { // both halves are form-encoded first (RFC 6749 section 2.3.1)
		pair := url.QueryEscape(c.ClientID) + ":" + url.QueryEscape(secret)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	}
	r, err := s.client.PostForm(ctx, c.TokenURL, form, header)
	if refusal := s.answered(failure.TokenEndpoint, c.TokenURL, r.Status, err); refusal != nil {
		return "", refusal
	}
	return tokenOf(r)
}

// tokenOf reads the answer of a token endpoint. GitHub answers a refusal with 200, so an
// error counts before the status does.
func tokenOf(r egress.Response) (string, error) {
	refusal := failure.New(failure.TokenEndpoint).With("status", strconv.Itoa(r.Status))
	if r.Status >= http.StatusInternalServerError {
		return "", refusal.Publicly(ssocode.ProviderSilent)
	}
	members, ok := tokenMembers(r)
	switch {
	case ok && members.Error != "":
		return "", refusal.With("error", members.Error)
	case r.Status != http.StatusOK:
		return "", refusal
	case !ok:
		return "", refusal.With("cause", "neither JSON nor a form")
	case !bearer(members.AccessToken):
		return "", refusal.With("cause", "no access_token")
	case members.TokenType != "" && !strings.EqualFold(members.TokenType, "bearer"):
		return "", refusal.With("cause", "token_type is not bearer")
	}
	return members.AccessToken, nil
}

// answer is what of a token endpoint's answer is looked at.
type answer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	Error       string `json:"error"`
}

func tokenMembers(r egress.Response) (answer, bool) {
	var m answer
	switch r.ContentType {
	case typeJSON:
		return m, wire.JSON(r.Body, &m, wire.Ignore) == nil
	case typeForm:
		form, err := url.ParseQuery(string(r.Body))
		if err != nil {
			return m, false
		}
		for name, to := range map[string]*string{"access_token": &m.AccessToken, "token_type": &m.TokenType, "error": &m.Error} {
			values := form[name]
			if len(values) > 1 {
				return m, false
			}
			*to = form.Get(name)
		}
		return m, true
	}
	return m, false
}

// bearer takes what may stand behind "Bearer " in a header: visible ASCII, wider than
// RFC 6750 section 2.1, for providers put other characters into theirs.
func bearer(token string) bool {
	return token != "" && len(token) <= maxToken && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}
