// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/oidcrp"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

// published is what providers publish of themselves, as commands ask for it: metadata of
// SAML is read by the service, discovery documents by their protocol.
type published struct {
	*idpsource.Service
	oidc *oidcrp.Provider
}

var _ operator.Sources = published{}

// Refresh implements operator.Sources.
func (p published) Refresh(ctx context.Context, c connection.Serving, by string) (idpsource.Status, error) {
	if c.Config.OIDC == nil {
		return p.Service.Refresh(ctx, c, by)
	}
	if c.Config.OIDC.Endpoints != nil {
		return idpsource.Status{}, idpsource.ErrNoAddress
	}
	if err := p.oidc.Rediscover(ctx, c); err != nil {
		return idpsource.Status{}, undiscovered(err)
	}
	p.Log.InfoContext(ctx, "a discovery document was asked for", "connection", c.ID, "by", by)
	return p.Status(ctx, c.ID, c.Config.OIDC.DiscoveryAddress())
}

// undiscovered tells administrators why, in the words of the catalogue.
func undiscovered(err error) error {
	f, ok := errors.AsType[*failure.Error](err)
	if !ok || f.Code == failure.StoreUnavailable || f.Code == failure.Internal {
		return fault.Store(err)
	}
	entry, _ := failure.About(f.Code)
	why := entry.Cause
	for _, name := range entry.Fields {
		if value := f.Facts[name]; value != "" {
			why += " " + name + ": " + value + "."
		}
	}
	return idpsource.ErrUnreachable.Detailed(fault.Detail{Type: "discovery", Loc: []any{"oidc", "issuer"}, Msg: why}).Because(err)
}
