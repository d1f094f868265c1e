// SPDX-License-Identifier: Apache-2.0

package oidcrp

import (
	"context"
	"net/http"
	"net/url"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// lacks reports whether userinfo can add a claim that the connection asks for. The word
// on the e-mail alone is no reason: it would count for nothing beside the address of the
// ID token. Nor are the parts of a name beside the whole one.
func (x *exchange) lacks(id claims) bool {
	if x.endpoints.Userinfo == "" {
		return false
	}
	n := x.config.Claims
	missing := func(name string) bool { return name != "" && !id.has(name) }
	name := missing(n.Name) || n.Name == "" && (missing(n.GivenName) || missing(n.FamilyName))
	return missing(n.Email) || name || missing(n.Groups) && !overage(id, n.Groups)
}

// userinfo reads the endpoint of OpenID Connect Core section 5.3: plain JSON about the
// subject of the ID token, or nothing.
func (x *exchange) userinfo(ctx context.Context, got tokens, id claims) (claims, error) {
	refused := failure.New(failure.UserinfoFailed).With("path", pathOf(x.endpoints.Userinfo))
	if got.access.IsZero() {
		return nil, refused.With("cause", "no access token")
	}
	r, err := x.line.Get(ctx, x.endpoints.Userinfo, http.Header{
		"Accept": {"application/json"}, "Authorization": {"Bearer " + got.access.Reveal()},
	})
	if err != nil {
		e := called(err)
		if e.Phase == egress.Open {
			return nil, failure.New(failure.ProviderCircuitOpen).With("host", e.Host).Because(err)
		}
		return nil, withStatus(refused, e.Status).With("cause", string(e.Phase)).Because(err)
	}
	if r.Status != http.StatusOK {
		return nil, withStatus(refused, r.Status).With("cause", "status")
	}
	c, err := parseClaims(r.Body)
	if err != nil {
		return nil, withStatus(refused, r.Status).With("cause", "json").Because(err)
	}
	ours, _ := id.text("sub")
	if theirs, ok := c.text("sub"); !ok || theirs != ours {
		return nil, failure.New(failure.UserinfoSubject)
	}
	return c, nil
}

func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Path
}
