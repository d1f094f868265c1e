// SPDX-License-Identifier: Apache-2.0

package oauth2rp

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
)

const (
	sourceProfile = "profile"
	sourceEmails  = "emails" // GitHub's list of addresses
)

// profile reads the person behind the access token.
func (s *session) profile(ctx context.Context) (identity.Claims, error) {
	members, err := s.object(ctx, s.config.OAuth2.UserinfoURL)
	if err != nil {
		return identity.Claims{}, err
	}
	subject, err := s.subject(members)
	if err != nil {
		return identity.Claims{}, err
	}
	c := identity.Claims{Subject: subject, Seen: seen(members)}
	switch s.config.OAuth2.Kind {
	case connection.KindGitHub:
		return s.github(ctx, members, c)
	case connection.KindGitLab:
		return gitlab(members, c)
	}
	return s.generic(members, c), nil
}

// object gets one JSON object of the profile.
func (s *session) object(ctx context.Context, address string) (map[string]json.RawMessage, error) {
	body, status, err := s.get(ctx, address)
	if err != nil {
		return nil, err
	}
	members, err := wire.Members(body)
	if status != http.StatusOK || err != nil {
		return nil, unreadable(address, status)
	}
	return members, nil
}

// get reads an address with the access token. What is no 200 comes back without a body.
func (s *session) get(ctx context.Context, address string) (body []byte, status int, err error) {
	header := http.Header{"Accept": {typeJSON}, "Authorization": {"Bearer " + s.bearer}}
	if s.config.OAuth2.Kind == connection.KindGitHub {
		header.Set("X-GitHub-Api-Version", "2022-11-28")
	}
	r, err := s.client.Get(ctx, address, header)
	if refusal := s.answered(failure.OAuth2Profile, address, r.Status, err); refusal != nil {
		return nil, 0, refusal.With("path", pathOf(address))
	}
	if r.Status != http.StatusOK {
		return nil, r.Status, nil
	}
	if r.ContentType != typeJSON {
		return nil, 0, unreadable(address, r.Status)
	}
	return r.Body, r.Status, nil
}

func unreadable(address string, status int) *failure.Error {
	refusal := failure.New(failure.OAuth2Profile).With("status", strconv.Itoa(status)).With("path", pathOf(address))
	if status == http.StatusOK {
		return refusal.With("cause", "not the JSON of a profile")
	}
	return refusal.With("cause", "refused")
}

func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Path
}

// An integer as JSON writes it; 1.0 and 1e3 are other spellings of a number that
// somebody may compare as text, so they are no id.
var integer = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

// subject gives the provider's permanent id: a text or an integer, in decimal as it
// came. GitHub and GitLab number people.
func (s *session) subject(members map[string]json.RawMessage) (string, error) {
	path := s.config.Claims.Subject
	raw, ok := find(members, path)
	if !ok || string(raw) == "null" {
		return "", failure.New(failure.SubjectMissing).With("claim", path).With("length", "0")
	}
	if integer.Match(raw) {
		return string(raw), nil
	}
	if text, ok := identity.ReadText(raw); ok && s.config.OAuth2.Kind == connection.KindGeneric {
		return text, nil
	}
	return "", failure.New(failure.SubjectMalformed).With("claim", path).With("length", strconv.Itoa(len(raw)))
}

// find follows a path of member names with dots between them.
func find(members map[string]json.RawMessage, path string) (json.RawMessage, bool) {
	if path == "" {
		return nil, false
	}
	if raw, ok := members[path]; ok { // a name that has dots in it
		return raw, true
	}
	first, rest, nested := strings.Cut(path, ".")
	raw, ok := members[first]
	if !ok || !nested {
		return nil, false
	}
	var inner map[string]json.RawMessage
	if json.Unmarshal(raw, &inner) != nil {
		return nil, false
	}
	return find(inner, rest)
}

// generic takes each label from where the configuration says it stands.
func (s *session) generic(members map[string]json.RawMessage, c identity.Claims) identity.Claims {
	names := s.config.Claims
	at := func(path string) json.RawMessage { raw, _ := find(members, path); return raw }
	text := func(path string) string { value, _ := identity.ReadText(at(path)); return value }
	c.Emails = identity.ReadEmails(at(names.Email))
	verified := at(names.EmailVerified)
	c.Verified, c.VerifiedRaw = identity.ReadStated(verified, s.config.EmailVerifiedStrings), string(verified)
	c.Name, c.GivenName, c.FamilyName = text(names.Name), text(names.GivenName), text(names.FamilyName)
	c.Groups, c.GroupsPresent = identity.ReadTexts(at(names.Groups))
	// A path into the profile is a claim of its own, so that it is seen where it is taken.
	for _, path := range []string{names.Subject, names.Email, names.EmailVerified, names.Name, names.GivenName, names.FamilyName, names.Groups} {
		if raw, ok := find(members, path); ok && members[path] == nil {
			c.Seen = append(c.Seen, identity.Claim{Name: path, Value: string(raw), Source: sourceProfile})
		}
	}
	return c
}

func seen(members map[string]json.RawMessage) []identity.Claim {
	list := make([]identity.Claim, 0, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		list = append(list, identity.Claim{Name: name, Value: string(members[name]), Source: sourceProfile})
	}
	return list
}
