// SPDX-License-Identifier: Apache-2.0

package oidcrp

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// tokens are what a code was exchanged for. They live until the callback is answered.
type tokens struct {
	access secret.Text
	id     string
	date   time.Time // the provider's clock, zero when it did not say
}

// redeem exchanges the code, with one call: a code is single use, and form and header
// carry secrets.
func (x *exchange) redeem(ctx context.Context, code secret.Text) (tokens, error) {
	x.trace.ProviderHost = failure.HostOf(x.endpoints.Token)
	form := url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code.Reveal()},
		"redirect_uri":  {x.request.RedirectURI},
		"code_verifier": {x.request.Material.Verifier.Reveal()},
	}
	header := http.Header{"Accept": {"application/json"}}
	if err := x.authenticate(form, header); err != nil {
		return tokens{}, err
	}
	r, err := x.line.PostForm(ctx, x.endpoints.Token, form, header)
	if err != nil {
		return tokens{}, tokenCallFailed(err)
	}
	x.trace.ProviderStatus = r.Status
	if !r.Date.IsZero() {
		skew := r.Date.Sub(x.Now()).Truncate(time.Second).Seconds()
		x.trace.ClockSkew = &skew
	}
	if r.Status != http.StatusOK {
		f := withStatus(failure.New(failure.TokenEndpoint), r.Status).With("error", errorCode(r.Body)).With("cause", "status")
		if r.Status >= http.StatusInternalServerError {
			f = f.Publicly(ssocode.ProviderSilent)
		}
		return tokens{}, f
	}
	got, err := parseTokens(r.Body)
	got.date = r.Date
	return got, err
}

func tokenCallFailed(err error) *failure.Error {
	e := called(err)
	if e.Phase == egress.Open {
		return failure.New(failure.ProviderCircuitOpen).With("host", e.Host).Because(err)
	}
	f := withStatus(failure.New(failure.TokenEndpoint), e.Status).With("cause", string(e.Phase)).Because(err)
	if e.Silent() || e.Phase == egress.Redirect {
		f = f.Publicly(ssocode.ProviderSilent)
	}
	return f
}

// parseTokens reads the answer of a token endpoint (RFC 6749 section 5.1, OpenID Connect
// Core section 3.1.3.3).
func parseTokens(body []byte) (tokens, error) {
	refuse := func(cause string) (tokens, error) {
		return tokens{}, failure.New(failure.TokenEndpoint).With("status", "200").With("cause", cause)
	}
	var all map[string]json.RawMessage
	if wire.JSON(body, &struct{}{}, wire.Ignore) != nil || json.Unmarshal(body, &all) != nil {
		return refuse("json")
	}
	m := claims(all)
	if m.has("error") {
		return tokens{}, failure.New(failure.TokenEndpoint).With("status", "200").With("cause", "error").With("error", errorCode(body))
	}
	if kind, ok := m.text("token_type"); !ok || !strings.EqualFold(kind, "bearer") {
		return refuse("token_type")
	}
	if life := strings.Trim(string(m["expires_in"]), `"`); strings.HasPrefix(life, "-") {
		return refuse("expires_in")
	}
	access, ok := m.text("access_token")
	if m.has("access_token") && !ok {
		return refuse("access_token")
	}
	if !m.has("id_token") {
		members := strings.Join(slices.Sorted(maps.Keys(all)), ",")
		return tokens{}, failure.New(failure.IDTokenMissing).With("members", members)
	}
	id, ok := m.text("id_token")
	if !ok {
		return refuse("id_token")
	}
	return tokens{access: secret.New(access), id: id}, nil
}

// An error code is a word of RFC 6749 section 5.2; anything else stays unsaid, for it
// could be whatever the body holds.
var errorWord = regexp.MustCompile(`^[a-z0-9_.-]{1,64}$`)

func errorCode(body []byte) string {
	var answer struct {
		Error any `json:"error"`
	}
	if wire.JSON(body, &answer, wire.Ignore) != nil {
		return ""
	}
	word, _ := answer.Error.(string)
	if !errorWord.MatchString(word) {
		return ""
	}
	return word
}
