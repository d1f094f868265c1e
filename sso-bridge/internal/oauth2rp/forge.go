// SPDX-License-Identifier: Apache-2.0

package oauth2rp

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
)

const active = "active" // a GitHub membership, a GitLab user

// github completes GET /user by the list of addresses and the memberships. The profile's
// own e-mail is whatever the person likes to show, so it is not looked at.
func (s *session) github(ctx context.Context, members map[string]json.RawMessage, c identity.Claims) (identity.Claims, error) {
	user := s.config.OAuth2.UserinfoURL
	c.Name, _ = identity.ReadText(members["name"])
	addresses, err := s.addresses(ctx, user+"/emails")
	if err != nil {
		return identity.Claims{}, err
	}
	for _, a := range addresses {
		if !a.Primary {
			continue
		}
		c.Emails = append(c.Emails, a.Email)
		c.Verified = identity.StatedFalse
		if a.Verified {
			c.Verified = identity.StatedTrue
		}
		c.VerifiedRaw = strconv.FormatBool(a.Verified)
		c.Seen = append([]identity.Claim{
			{Name: "email", Value: strconv.Quote(a.Email), Source: sourceEmails},
			{Name: "email_verified", Value: c.VerifiedRaw, Source: sourceEmails},
		}, c.Seen...)
	}
	c.Organizations, err = s.organizations(ctx, user+"/memberships/orgs/")
	return c, err
}

type address struct {
	Email    string `json:"email"`
	Primary  bool   `json:"primary"`
	Verified bool   `json:"verified"`
}

func (s *session) addresses(ctx context.Context, from string) ([]address, error) {
	body, status, err := s.get(ctx, from)
	if err != nil {
		return nil, err
	}
	var list struct {
		Of []address `json:"of"`
	}
	// The strict reader takes objects; a body that is valid by itself stays one member.
	if status != http.StatusOK || !json.Valid(body) || wire.JSON([]byte(`{"of":`+string(body)+`}`), &list, wire.Ignore) != nil {
		return nil, unreadable(from, status)
	}
	return list.Of, nil
}

// organizations gives the first of the allowed organizations in which the person is an
// active member; one is enough. 404 is no member; any other refusal, such as that of an
// organization that has not approved this application, leaves it open.
func (s *session) organizations(ctx context.Context, from string) ([]string, error) {
	var open error
	for _, organization := range s.config.Allow.Organizations {
		at := from + url.PathEscape(organization)
		body, status, err := s.get(ctx, at)
		if err != nil {
			return nil, err
		}
		if status == http.StatusNotFound {
			continue
		}
		var membership struct {
			State string `json:"state"`
		}
		if status != http.StatusOK || wire.JSON(body, &membership, wire.Ignore) != nil {
			open = unreadable(at, status)
			continue
		}
		if membership.State == active {
			return []string{organization}, nil
		}
	}
	return nil, open
}

// gitlab reads GET /api/v4/user. A blocked or deactivated user keeps valid tokens for a
// while.
func gitlab(members map[string]json.RawMessage, c identity.Claims) (identity.Claims, error) {
	if state, _ := identity.ReadText(members["state"]); state != active {
		return identity.Claims{}, failure.New(failure.PolicyNotAllowed).With("rule", "state")
	}
	c.Name, _ = identity.ReadText(members["name"])
	c.Emails = identity.ReadEmails(members["email"])
	c.Verified, c.VerifiedRaw = identity.StatedFalse, "false"
	if confirmed, _ := identity.ReadText(members["confirmed_at"]); confirmed != "" {
		c.Verified, c.VerifiedRaw = identity.StatedTrue, "true"
	}
	return c, nil
}
