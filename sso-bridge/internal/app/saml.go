// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/jobs"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/httpapi"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpfetch"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/samlsp"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
)

// buildSAML builds what SAML stands on: what providers publish, the keys of ours, and the
// protocol itself.
func (a *App) buildSAML(circuits *egress.Circuits) (provider *samlsp.Provider, err error) {
	now := a.opts.Now
	a.Sources, err = idpsource.New(idpsource.Deps{
		Store: a.Stores.Sources, Connections: a.Connections, Fetcher: idpfetch.Fetcher{Circuits: circuits},
		Recorder: a.recorder, Now: now, Log: a.opts.Log,
	})
	if err != nil {
		return nil, err
	}
	a.Signers, err = spkeys.New(spkeys.Deps{Store: a.Stores.Signers, Seal: a.keys.Sealing, Recorder: a.recorder, Now: now})
	if err != nil {
		return nil, err
	}
	return samlsp.New(samlsp.Deps{
		Metadata: sources{a.Sources}, Keys: a.Signers, Replays: a.Stores.Assertions, Now: now, Public: a.Settings.Public.String(),
	})
}

// sources are an idpsource.Service as samlsp asks it.
type sources struct{ *idpsource.Service }

var _ samlsp.Metadata = sources{}

// Checked implements samlsp.Metadata.
func (s sources) Checked(ctx context.Context, c connection.Serving) (time.Time, error) {
	if c.Config.SAML == nil || c.Config.SAML.MetadataURL == "" {
		return time.Time{}, nil
	}
	status, err := s.Status(ctx, c.ID, c.Config.SAML.MetadataURL)
	if err != nil || status.Current == nil {
		return time.Time{}, err
	}
	return status.Current.CheckedAt, nil
}

// publisher gives our metadata of a connection in any state: of what serves, or of the
// newest revision where nothing ever did.
type publisher struct {
	connections *connection.Service
	provider    *samlsp.Provider
}

var _ httpapi.Metadata = publisher{}

// Describe implements httpapi.Metadata.
func (p publisher) Describe(ctx context.Context, id string) (doc []byte, etag string, err error) {
	v, err := p.connections.Show(ctx, id)
	if err != nil {
		return nil, "", err
	}
	c := connection.Serving{Connection: v.Connection, Revision: v.HeadRevision}
	if v.ServingRevision != nil {
		c.Revision = *v.ServingRevision
	}
	if c.Config.Protocol != connection.SAML {
		return nil, "", connection.ErrUnknown
	}
	return p.provider.Describe(ctx, c)
}

// usedAssertions keeps the marks of assertions apart from those of inner requests.
const usedAssertions envelope.Audience = "saml.assertion"

// remembered keeps the marks of assertions in this process.
type remembered struct{ envelope.Replay }

var _ samlsp.Replays = remembered{}

// First implements samlsp.Replays.
func (r remembered) First(ctx context.Context, mark string, life time.Duration) (bool, error) {
	return r.Consume(ctx, usedAssertions, mark, life)
}

// registry gives where the ends of certificates are looked up.
func (a *App) registry() registry {
	return registry{idp: a.Sources.Expiries, own: a.Signers.Soonest, pending: a.Sources.Pending}
}

// samlJobs are those of what providers publish and of our keys.
func (a *App) samlJobs() []jobs.Job {
	return []jobs.Job{
		{Name: "metadata.refresh", Every: time.Hour, Do: a.Sources.RefreshDue},
		{Name: "sp_keys.retire", Every: 24 * time.Hour, Do: a.Signers.RetireDue},
		{Name: "certificates.warn", Every: warnEvery, Do: func(ctx context.Context) (int64, error) {
			return a.registry().warn(ctx, a.opts.Now(), a.opts.Log)
		}},
	}
}
