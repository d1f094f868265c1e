// SPDX-License-Identifier: Apache-2.0

package idpsource

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

// use is an address that a configuration names.
type use struct{ connection, source string }

// used gives the addresses that the head or the serving revision of a connection names.
func (s *Service) used(ctx context.Context) (map[use]bool, error) {
	views, err := s.Connections.List(ctx)
	if err != nil {
		return nil, err
	}
	all := map[use]bool{}
	for _, v := range views {
		for _, c := range configurations(v) {
			if c.MetadataURL != "" {
				all[use{v.ID, c.MetadataURL}] = true
			}
		}
		for _, r := range []*connection.Revision{v.ServingRevision, &v.HeadRevision} {
			if r != nil && r.Config.OIDC != nil && r.Config.OIDC.Endpoints == nil {
				all[use{v.ID, r.Config.OIDC.DiscoveryAddress()}] = true
			}
		}
	}
	return all, nil
}

// configurations gives those of a SAML connection, what serves first.
func configurations(v connection.View) (all []*connection.SAMLConfig) {
	if r := v.ServingRevision; r != nil && r.Config.SAML != nil {
		all = append(all, r.Config.SAML)
	}
	if c := v.HeadRevision.Config.SAML; c != nil {
		all = append(all, c)
	}
	return all
}

// Pending counts the documents that wait for a decision, but those of addresses that no
// configuration names any more.
func (s *Service) Pending(ctx context.Context) (int, error) {
	used, err := s.used(ctx)
	if err != nil {
		return 0, err
	}
	waiting, err := s.Store.Waiting(ctx)
	n := 0
	for _, v := range waiting {
		if used[use{v.ConnectionID, v.Source}] {
			n++
		}
	}
	return n, err
}

// Expiries gives for each SAML connection the end of the certificate that ends last, of
// what serves, or of the head of what never did. An earlier end of another is an ordinary
// rotation; after this one no certificate of the provider is valid. A connection whose
// metadata was not read yet is left out.
func (s *Service) Expiries(ctx context.Context) (map[string]time.Time, error) {
	views, err := s.Connections.List(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]time.Time{}
	for _, view := range views {
		configs := configurations(view)
		if len(configs) == 0 {
			continue
		}
		facts := configs[0].IdP
		if facts == nil {
			v, err := s.Store.Find(ctx, view.ID, configs[0].MetadataURL, Current)
			if errors.Is(err, ErrNone) {
				continue
			}
			if err != nil {
				return nil, err
			}
			facts = &v.Facts
		}
		certificates, err := idpmetadata.Certificates(*facts)
		if err != nil {
			return nil, err
		}
		for _, c := range certificates {
			if c.NotAfter.After(all[view.ID]) {
				all[view.ID] = c.NotAfter
			}
		}
	}
	return all, nil
}
