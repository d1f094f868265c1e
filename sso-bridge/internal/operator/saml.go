// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"fmt"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
)

// SAML is what administrators see of a connection that speaks SAML 2.0, beside what every
// connection has.
type SAML struct {
	// EntityID is ours, ConsumerURL where the provider posts its answers, MetadataURL where
	// it reads both, with our certificates.
	EntityID    string `json:"entity_id"`
	ConsumerURL string `json:"consumer_url"`
	MetadataURL string `json:"metadata_url"`
	// Provider is what is known of the provider that serves, or would.
	Provider Metadata     `json:"provider"`
	Keys     []SigningKey `json:"keys"` // never null; empty before the first request
}

// How long before its end a certificate is warned of.
const (
	ProviderWarning = 30 * 24 * time.Hour
	KeyWarning      = 60 * 24 * time.Hour
)

// addSAML completes what is shown of a SAML connection.
func (s session) addSAML(ctx context.Context, v connection.View, shown *Connection) error {
	keys, err := s.signingKeys(ctx, v.ID)
	if err != nil {
		return err
	}
	c := source(v, false)
	provider, err := s.known(ctx, c)
	if err != nil {
		return err
	}
	saml := &SAML{MetadataURL: login.MetadataURL(s.Public, v.ID), ConsumerURL: shown.RedirectURI, Provider: provider, Keys: keys.Data}
	if saml.EntityID = v.HeadRevision.Config.SAML.EntityID; saml.EntityID == "" {
		saml.EntityID = saml.MetadataURL
	}
	shown.SAML = saml
	shown.Warnings = append(shown.Warnings, s.ofProvider(saml.Provider, c.Config.SAML.ExpiredCertificates)...)
	shown.Warnings = append(shown.Warnings, s.ofKeys(v.ID, keys)...)
	return nil
}

// ofProvider warns of what is known of a provider by its address. Of facts that are part
// of the configuration package connection does.
func (s session) ofProvider(m Metadata, expired string) (warnings []string) {
	say := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	if m.Pending != nil {
		say("The provider's metadata has changed and waits for your decision; what was read before serves. See: sso-bridge connection metadata %s", m.Connection)
	}
	if m.Failure != "" {
		say("The provider's metadata could not be read the last time: %s", m.Failure)
	}
	if m.Current == nil || m.Source == "" {
		return warnings
	}
	for _, c := range m.Current.Certificates {
		switch {
		case c.NotAfter == nil:
		case !s.Now().Before(*c.NotAfter) && expired == connection.ExpiredRefuse:
			say("The provider's certificate %.16s ended on %s; what it signs is refused.", c.Fingerprint, day(*c.NotAfter))
		case !s.Now().Before(*c.NotAfter):
			say("The provider's certificate %.16s ended on %s; what it signs is accepted all the same (saml.expired_certificates).", c.Fingerprint, day(*c.NotAfter))
		case c.NotAfter.Sub(s.Now()) <= ProviderWarning:
			say("The provider's certificate %.16s ends on %s.", c.Fingerprint, day(*c.NotAfter))
		}
	}
	return warnings
}

// ofKeys warns of our own keys.
func (s session) ofKeys(id string, keys SigningKeys) (warnings []string) {
	k := keys.of(spkeys.Current)
	if k == nil || k.NotAfter.Sub(s.Now()) > KeyWarning {
		return nil
	}
	verb := "ends"
	if !s.Now().Before(k.NotAfter) {
		verb = "ended"
	}
	next := "Begin its succession: sso-bridge connection keys stage " + id
	if keys.of(spkeys.Next) != nil {
		next = "Its successor is staged: sso-bridge connection keys " + id
	}
	return []string{fmt.Sprintf("Our signing certificate %.16s %s on %s. %s", k.Fingerprint, verb, day(k.NotAfter), next)}
}

func day(at time.Time) string { return at.UTC().Format(time.DateOnly) }
