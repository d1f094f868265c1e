// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
)

// Sources are the addresses at which providers publish their metadata: that of SAML, or
// the discovery document of OpenID Connect.
type Sources interface {
	// Status says how an address stands, and asks nobody.
	Status(ctx context.Context, connectionID, source string) (idpsource.Status, error)
	// Refresh asks the address of a connection now.
	Refresh(ctx context.Context, c connection.Serving, by string) (idpsource.Status, error)
	// Accept lets the document that waits serve if its digest begins with seen, Reject puts
	// it away.
	Accept(ctx context.Context, c connection.Serving, seen, by string) (idpsource.Status, error)
	Reject(ctx context.Context, c connection.Serving, by string) (idpsource.Status, error)
}

// MetadataRef names the source of a connection's facts.
type MetadataRef struct {
	ID string `json:"id"`
	// Head means the source of the newest revision. Otherwise it is that of the serving
	// one, if there is one.
	Head bool `json:"head"`
	// Seen is the digest of the document that was looked at, or how it begins: no other one
	// is accepted. Empty accepts whichever waits.
	Seen string `json:"seen,omitempty"`
}

// Metadata is what is known of a connection's provider.
type Metadata struct {
	Connection string `json:"connection"`
	// Revision is the one whose source is shown.
	Revision string `json:"revision"`
	// Source is the address of the metadata or discovery document; empty for facts that
	// were pasted or typed, which are part of the revision.
	Source string `json:"source,omitempty"`
	// Current is what serves; nil while nothing was read yet.
	Current *Facts `json:"current,omitempty"`
	// Pending waits for a decision; Changes say what is different in it.
	Pending *Facts       `json:"pending,omitempty"`
	Changes []Difference `json:"changes,omitempty"`
	// CheckedAt is when the address last answered, DueAt when it is asked again (a discovery
	// document: with a sign-in), Failure why the last try failed.
	CheckedAt *time.Time `json:"checked_at,omitempty"`
	DueAt     *time.Time `json:"due_at,omitempty"`
	Failure   string     `json:"failure,omitempty"`
}

// Difference is one between two documents.
type Difference = idpmetadata.Change

// Facts are what one document says.
type Facts struct {
	EntityID     string        `json:"entity_id,omitempty"`
	Redirect     string        `json:"redirect,omitempty"`
	Post         string        `json:"post,omitempty"`
	Certificates []Certificate `json:"certificates"`
	// Issuer and Endpoints are those of an OpenID provider, which has neither entity id nor
	// certificates.
	Issuer    string                    `json:"issuer,omitempty"`
	Endpoints *connection.OIDCEndpoints `json:"endpoints,omitempty"`
	Digest    string                    `json:"digest,omitempty"`
	FetchedAt *time.Time                `json:"fetched_at,omitempty"`
	DecidedBy string                    `json:"decided_by,omitempty"`
}

// Certificate is one with which a provider signs.
type Certificate struct {
	Fingerprint string     `json:"fingerprint"`
	NotAfter    *time.Time `json:"not_after,omitempty"`
}

// errNoMetadata: what was asked for exists with SAML 2.0 and OpenID Connect alone.
var errNoMetadata = fault.New(fault.Conflict, "connection_without_metadata", "The connection speaks OAuth 2.0, in which a provider publishes nothing of itself.")

// Metadata implements Operations.
func (s session) Metadata(ctx context.Context, r MetadataRef) (Metadata, error) {
	v, err := s.published(ctx, r.ID)
	if err != nil {
		return Metadata{}, err
	}
	return s.known(ctx, source(v, r.Head))
}

// RefreshMetadata implements Operations.
func (s session) RefreshMetadata(ctx context.Context, r MetadataRef) (Metadata, error) {
	return s.metadata(ctx, r, s.Sources.Refresh)
}

// AcceptMetadata implements Operations.
func (s session) AcceptMetadata(ctx context.Context, r MetadataRef) (Metadata, error) {
	return s.metadata(ctx, r, func(ctx context.Context, c connection.Serving, by string) (idpsource.Status, error) {
		return s.Sources.Accept(ctx, c, r.Seen, by)
	})
}

// RejectMetadata implements Operations.
func (s session) RejectMetadata(ctx context.Context, r MetadataRef) (Metadata, error) {
	return s.metadata(ctx, r, s.Sources.Reject)
}

// metadata does something with the source that is meant, and shows what is so then.
func (s session) metadata(ctx context.Context, r MetadataRef, do func(ctx context.Context, c connection.Serving, by string) (idpsource.Status, error)) (Metadata, error) {
	v, err := s.published(ctx, r.ID)
	if err != nil {
		return Metadata{}, err
	}
	c := source(v, r.Head)
	status, err := do(ctx, c, s.actor())
	if err != nil {
		return Metadata{}, err
	}
	return shownMetadata(c, status), nil
}

// published gives a connection whose provider publishes something of itself.
func (s session) published(ctx context.Context, id string) (connection.View, error) {
	v, err := s.Service.Connections.Show(ctx, id)
	if err == nil && v.Protocol == connection.OAuth2 {
		err = errNoMetadata
	}
	return v, err
}

// known is what is known of a revision's provider. Facts that were pasted or typed are
// part of it.
func (s session) known(ctx context.Context, c connection.Serving) (Metadata, error) {
	address := addressOf(c.Config)
	if address == "" {
		m := Metadata{Connection: c.ID, Revision: c.Hash}
		switch saml, oidc := c.Config.SAML, c.Config.OIDC; {
		case saml != nil && saml.IdP != nil:
			m.Current = shownFacts(idpsource.Version{Facts: *saml.IdP})
		case oidc != nil && oidc.Endpoints != nil:
			m.Current = shownFacts(idpsource.Version{Facts: idpmetadata.IdP{EntityID: oidc.Issuer}, Endpoints: oidc.Endpoints})
		}
		return m, nil
	}
	status, err := s.Sources.Status(ctx, c.ID, address)
	return shownMetadata(c, status), err
}

// addressOf is where a provider publishes what is said of it here; empty for facts that
// are configured.
func addressOf(c connection.Config) string {
	switch {
	case c.SAML != nil:
		return c.SAML.MetadataURL
	case c.OIDC != nil && c.OIDC.Endpoints == nil:
		return c.OIDC.DiscoveryAddress()
	}
	return ""
}

// source is the revision whose facts are meant.
func source(v connection.View, head bool) connection.Serving {
	if v.ServingRevision != nil && !head {
		return connection.Serving{Connection: v.Connection, Revision: *v.ServingRevision}
	}
	return connection.Serving{Connection: v.Connection, Revision: v.HeadRevision}
}

func shownMetadata(c connection.Serving, status idpsource.Status) Metadata {
	m := Metadata{Connection: c.ID, Revision: c.Hash, Source: addressOf(c.Config), Failure: status.Failure}
	if now := status.Current; now != nil {
		m.Current = shownFacts(*now)
		m.CheckedAt = moment(now.CheckedAt)
		if now.Endpoints == nil {
			m.DueAt = moment(now.DueAt)
		}
	}
	if waits := status.Pending; waits != nil {
		m.Pending, m.Changes = shownFacts(*waits), waits.Diff
	}
	return m
}

func shownFacts(v idpsource.Version) *Facts {
	f := &Facts{
		EntityID: v.Facts.EntityID, Redirect: v.Facts.Redirect, Post: v.Facts.Post, Certificates: []Certificate{},
		Digest: v.Digest, FetchedAt: moment(v.FetchedAt), DecidedBy: v.DecidedBy,
	}
	if v.Endpoints != nil {
		f.EntityID, f.Issuer, f.Endpoints = "", v.Facts.EntityID, v.Endpoints
	}
	certificates, err := idpmetadata.Certificates(v.Facts)
	if err != nil {
		return f // facts that were checked have none such
	}
	for _, c := range certificates {
		f.Certificates = append(f.Certificates, Certificate{Fingerprint: idpmetadata.Fingerprint(c), NotAfter: moment(c.NotAfter.UTC())})
	}
	return f
}

// moment is a time that may be none.
func moment(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}
