// SPDX-License-Identifier: Apache-2.0

package idpsource

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// Status gives how the metadata of a connection's address stands. Nothing is fetched.
func (s *Service) Status(ctx context.Context, connectionID, source string) (Status, error) {
	var out Status
	for state, to := range map[State]**Version{Current: &out.Current, Pending: &out.Pending} {
		v, err := s.Store.Find(ctx, connectionID, source, state)
		switch {
		case err == nil:
			*to = &v
		case !errors.Is(err, ErrNone):
			return Status{}, fault.Store(err)
		}
	}
	if out.Current != nil {
		out.Failure = out.Current.Failure
		return out, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var latest time.Time
	for key, f := range s.failed {
		if strings.HasPrefix(key, place{connection: connectionID, source: source}.key()) && f.at.After(latest) {
			latest, out.Failure = f.at, explained(f.err)
		}
	}
	return out, nil
}

// Refresh asks the metadata address of a SAML connection now, on behalf of by, and gives
// how it stands then. A document that was rejected before is held again. It returns ErrNoAddress, or
// ErrUnreachable with the reason.
func (s *Service) Refresh(ctx context.Context, c connection.Serving, by string) (Status, error) {
	p, err := metadataOf(c)
	if err != nil {
		return Status{}, err
	}
	_, err = shared(ctx, &s.flight, "insist\n"+p.key(), func(ctx context.Context) (struct{}, error) {
		v, err := s.Store.Find(ctx, p.connection, p.source, Current)
		if errors.Is(err, ErrNone) {
			_, err = s.current(ctx, p, true)
			return struct{}{}, err
		}
		if err == nil {
			err = s.check(ctx, v, true)
		}
		return struct{}{}, err
	})
	if err != nil {
		return Status{}, unreachable(err)
	}
	s.Log.InfoContext(ctx, "metadata was asked for", "connection", p.connection, "by", by)
	return s.Status(ctx, p.connection, p.source)
}

// unreachable tells administrators why.
func unreachable(err error) error {
	f, ok := errors.AsType[*failure.Error](err)
	if !ok || f.Code == failure.StoreUnavailable || f.Code == failure.Internal {
		return fault.Store(err)
	}
	return ErrUnreachable.Detailed(fault.Detail{Type: "metadata", Loc: []any{"saml", "metadata_url"}, Msg: explained(f)}).Because(err)
}

// addressOf is the address whose documents of a connection are decided on.
func addressOf(c connection.Serving) (place, error) {
	if oidc := c.Config.OIDC; oidc != nil && oidc.Endpoints == nil {
		return place{connection: c.ID, source: oidc.DiscoveryAddress()}, nil
	}
	return metadataOf(c)
}

func metadataOf(c connection.Serving) (place, error) {
	p, configured, err := placeOf(c)
	if err != nil || configured != nil {
		return place{}, ErrNoAddress
	}
	return p, nil
}

// Accept lets the document serve that waits, on behalf of by. It returns ErrNoAddress,
// ErrNotPending, ErrEntityID when the configuration names another entity id, and
// connection.ErrIssuerTaken when the document's is another connection's.
//
// seen is the digest of the document that was looked at, or how it begins: another one
// waits by now than that is ErrOther. Empty is whichever waits.
func (s *Service) Accept(ctx context.Context, c connection.Serving, seen, by string) (Status, error) {
	return s.decide(ctx, c, true, seen, by)
}

// Reject refuses the document that waits, on behalf of by: it is not held again when the
// address still gives it. It returns ErrNoAddress or ErrNotPending.
func (s *Service) Reject(ctx context.Context, c connection.Serving, by string) (Status, error) {
	return s.decide(ctx, c, false, "", by)
}

func (s *Service) decide(ctx context.Context, c connection.Serving, accept bool, seen, by string) (Status, error) {
	p, err := addressOf(c)
	if err != nil {
		return Status{}, err
	}
	v, err := s.Store.Find(ctx, p.connection, p.source, Pending)
	if errors.Is(err, ErrNone) {
		return Status{}, ErrNotPending
	}
	if err != nil {
		return Status{}, fault.Store(err)
	}
	if !strings.HasPrefix(v.Digest, seen) {
		return Status{}, ErrOther
	}
	var d audit.Details = rejected{p.connection, v.Digest, v.Diff}
	if accept {
		if p.want != "" && v.Facts.EntityID != p.want {
			return Status{}, ErrEntityID
		}
		d = accepted{p.connection, v.Digest, v.Diff}
	}
	now := s.now()
	e := s.event(ctx, now, by, d)
	if err := s.Store.Decide(ctx, v.ID, accept, by, now, e); err != nil {
		if errors.Is(err, ErrMoved) {
			return Status{}, ErrNotPending
		}
		return Status{}, fault.Store(err)
	}
	s.Recorder.Committed(e)
	return s.Status(ctx, p.connection, p.source)
}
