// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// SharesCallback reports whether another enabled connection publishes the callback of a
// connection's serving revision too. An answer that comes there has to name its issuer
// (RFC 9207): by the address alone one provider's answer could be taken for another's.
func (s *Service) SharesCallback(ctx context.Context, c Serving) (bool, error) {
	shared, err := sharesCallback(ctx, s.Store, c.ID, c.Config)
	return shared, fault.Store(err)
}

func sharesCallback(ctx context.Context, r Reader, id string, c Config) (bool, error) {
	if c.Callback != CallbackShared {
		return false, nil
	}
	all, err := r.All(ctx)
	if err != nil {
		return false, err
	}
	for _, other := range all {
		if other.ID == id || other.Protocol != c.Protocol || other.State != Enabled || other.Serving == "" {
			continue
		}
		serves, err := stored(ctx, r, other.ID, other.Serving)
		if err != nil || serves.Config.Callback == CallbackShared {
			return err == nil, err
		}
	}
	return false, nil
}

// mayServeAt refuses a shared callback that another connection has, to a provider that
// cannot name its issuer there. Of one that is discovered only its logins know. A SAML
// response always names and signs its issuer.
func mayServeAt(ctx context.Context, r Reader, id string, c Config) error {
	if c.SAML != nil {
		return nil
	}
	if c.OIDC != nil && (c.OIDC.Endpoints == nil || c.OIDC.Endpoints.IssuerInCallback) {
		return nil
	}
	shared, err := sharesCallback(ctx, r, id, c)
	if err != nil || !shared {
		return err
	}
	var p problems
	p.add("own: another enabled connection has the shared address, and this provider names no issuer there", "callback")
	return p.fault(ErrInvalid)
}
