// SPDX-License-Identifier: Apache-2.0

package idpsource

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

// Pinned gives the endpoints that serve of a connection's discovery address; those of the
// zero time when none were read yet. Nothing is fetched. Every error is a *failure.Error.
func (s *Service) Pinned(ctx context.Context, connectionID, source string) (connection.Discovered, error) {
	v, err := s.Store.Find(ctx, connectionID, source, Current)
	switch {
	case errors.Is(err, ErrNone):
		return connection.Discovered{}, nil
	case err != nil:
		return connection.Discovered{}, refusal("find", err)
	case v.Endpoints == nil:
		return connection.Discovered{}, failure.New(failure.Internal).Because(errors.New("idpsource: the address gave metadata of SAML before"))
	}
	return connection.Discovered{Issuer: v.Facts.EntityID, Endpoints: *v.Endpoints, At: v.CheckedAt}, nil
}

// Settle takes note of a discovery document that was read and is acceptable, and gives
// what serves from now on. The first of an address is pinned; one with an endpoint on a
// host that it was not on is held until a person decides; every other serves at once. With
// insist one that was rejected before is held again: a person asks. Every error is a
// *failure.Error, and means that the document must not be used.
func (s *Service) Settle(ctx context.Context, connectionID, source string, found connection.Discovered, insist bool) (connection.Discovered, error) {
	if err := s.settle(ctx, connectionID, source, found, insist); err != nil {
		return connection.Discovered{}, refusal("settle", err)
	}
	// What serves is what the store says, also where another process was faster.
	return s.Pinned(ctx, connectionID, source)
}

func (s *Service) settle(ctx context.Context, connectionID, source string, found connection.Discovered, insist bool) error {
	now := s.now()
	digest, err := digestOf(found.Endpoints)
	if err != nil {
		return err
	}
	v := Version{
		ID: canon.NewID(), ConnectionID: connectionID, Source: source, State: Current, Facts: idpmetadata.IdP{EntityID: found.Issuer}, Endpoints: &found.Endpoints,
		Digest: digest, FetchedAt: now, CheckedAt: now, DueAt: now.Add(RefreshEvery),
	}
	serves, err := s.Store.Find(ctx, connectionID, source, Current)
	switch {
	case err == nil:
		serves.CheckedAt, serves.Failure = now, ""
		return s.take(ctx, serves, v, insist)
	case !errors.Is(err, ErrNone):
		return err
	}
	e := s.event(ctx, now, "", loaded{Connection: connectionID, Digest: digest, EntityID: found.Issuer, Certificates: []string{}, Endpoints: &found.Endpoints})
	if err := s.Store.Begin(ctx, v, e); err != nil {
		if errors.Is(err, ErrExists) {
			return nil
		}
		return err
	}
	s.Recorder.Committed(e)
	return nil
}

func digestOf(e connection.OIDCEndpoints) (string, error) {
	text, err := json.Marshal(e)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), err
}

// compared gives what is different in a discovery document. Codes, secrets and trust go to
// the hosts of its endpoints: one on another host takes away, and so does a new one on a
// host that no endpoint was on.
func compared(before *connection.OIDCEndpoints, now connection.OIDCEndpoints) (all []idpmetadata.Change) {
	if before == nil {
		before = &connection.OIDCEndpoints{}
	}
	is, known := now.Named(), map[string]bool{}
	for _, n := range before.Named() {
		known[authority(n[1])] = true
	}
	for i, was := range before.Named() {
		c := idpmetadata.Change{What: was[0], Kind: idpmetadata.Changed, From: was[1], To: is[i][1]}
		switch {
		case c.From == c.To:
			continue
		case c.From == "":
			c.Kind, c.Destructive = idpmetadata.Added, !known[authority(c.To)]
		case c.To == "":
			c.Kind = idpmetadata.Removed
		default:
			c.Destructive = authority(c.From) != authority(c.To)
		}
		all = append(all, c)
	}
	if from, to := before.IssuerInCallback, now.IssuerInCallback; from != to {
		all = append(all, idpmetadata.Change{
			What: "authorization_response_iss_parameter_supported", Kind: idpmetadata.Changed, From: strconv.FormatBool(from), To: strconv.FormatBool(to),
		})
	}
	return all
}

// authority is host and port, as far as a code is sent somewhere else when it changes.
func authority(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return strings.ToLower(u.Host)
}
