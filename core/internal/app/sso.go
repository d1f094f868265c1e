// SPDX-License-Identifier: Apache-2.0

package app

import (
	"github.com/dify-sso/dify-sso/core/internal/bridgeclient"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/core/internal/sso"
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
func (a *App) enterprise(deps *httpapi.Deps) (err error) {
	s := a.Settings
	deps.Enterprise = s.sso != nil
	if !deps.Enterprise || !s.CompanyDevices { // whoever has signed in before goes on
		return nil
	}
	public, bridgePublic := s.Public.String(), s.sso.bridgePublic.String()
	a.bridge, err = bridgeclient.New(bridgeclient.Deps{
		Bridge: s.sso.bridge, Public: public, BridgePublic: bridgePublic, Roots: s.sso.roots, Timeout: s.BridgeTimeout, Keys: a.shared, Now: a.opts.Now,
	})
	if err != nil {
		return err
	}
	deps.SSO, err = sso.New(sso.Deps{
		Bridge: a.bridge, Devices: a.devices, Subjects: a.tokens, Replay: a.Stores.Replay, Keys: a.shared, SecretKey: a.keys.master, SecretKeyPrevious: a.keys.previous,
		Public: public, BridgePublic: bridgePublic, Recorder: a.recorder, Now: a.opts.Now,
	})
	return err
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
