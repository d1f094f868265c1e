// SPDX-License-Identifier: Apache-2.0

package idpsource

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

// How often an address is asked.
const (
	// RefreshEvery is the time between two checks of a document that asks for no shorter
	// one; RefreshLeast is the shortest, and that after a failure.
	RefreshEvery = 24 * time.Hour
	RefreshLeast = time.Hour
	// RestFor is the time between two fetches that logins have caused: by a signature of an
	// unknown key, or by a first load that fails.
	RestFor = 30 * time.Second
	// maxRemembered bounds what a long life with many edits leaves in memory.
	maxRemembered = 1000
)

// Connections says what is configured; connection.Service does.
type Connections interface {
	List(ctx context.Context) ([]connection.View, error)
}

// Deps is what a Service needs; all fields are required.
type Deps struct {
	Store       Store
	Connections Connections
	Fetcher     Fetcher
	Recorder    *audit.Recorder
	Now         func() time.Time
	Log         *slog.Logger
}

// Service owns the documents. It is safe for concurrent use.
type Service struct {
	Deps
	parse  func(text []byte, want string, now time.Time) (idpmetadata.IdP, idpmetadata.Terms, error)
	flight singleflight.Group

	mu     sync.Mutex
	asked  map[string]time.Time // by connection: when a login last had its address asked again
	failed map[string]failed    // by place: the first load that failed last
}

type failed struct {
	at  time.Time
	err *failure.Error
}

// New checks the dependencies. Nothing is fetched before the first login.
func New(d Deps) (*Service, error) {
	if d.Store == nil || d.Connections == nil || d.Fetcher == nil || d.Recorder == nil || d.Now == nil || d.Log == nil {
		return nil, errors.New("idpsource: store, connections, fetcher, recorder, clock and log are required")
	}
	return &Service{Deps: d, parse: idpmetadata.Parse, asked: map[string]time.Time{}, failed: map[string]failed{}}, nil
}

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// place is where the facts of a configuration come from, and whose they must be.
type place struct{ connection, source, want string }

func (p place) key() string { return p.connection + "\n" + p.source + "\n" + p.want }

func placeOf(c connection.Serving) (place, *idpmetadata.IdP, error) {
	saml := c.Config.SAML
	switch {
	case saml == nil, saml.IdP == nil && saml.MetadataURL == "":
		return place{}, nil, failure.New(failure.Internal).Because(errors.New("idpsource: the connection has no SAML provider"))
	case saml.IdP != nil:
		return place{}, saml.IdP, nil
	}
	return place{c.ID, saml.MetadataURL, saml.IdPEntityID}, nil, nil
}

// Load gives what serves of a connection's provider: what its configuration holds, or the
// current document of its address, which is fetched first when there is none. Logins that
// need it at once share one fetch, and one that failed is not repeated for RestFor. digest
// is the document's, empty for configured facts. Every error is a *failure.Error.
func (s *Service) Load(ctx context.Context, c connection.Serving) (idp idpmetadata.IdP, digest string, err error) {
	p, configured, err := placeOf(c)
	if err != nil {
		return idpmetadata.IdP{}, "", err
	}
	if configured != nil {
		return *configured, "", nil
	}
	v, err := s.current(ctx, p, false)
	if err != nil {
		return idpmetadata.IdP{}, "", err
	}
	return v.Facts, v.Digest, nil
}

// Refetch asks the address again because of a signature by an unknown key, at most once in
// RestFor for a connection. changed says that what serves is another document than digest,
// whoever fetched it. A fetch that fails is none of the login's failures: what was good
// last serves. Every error is a *failure.Error.
func (s *Service) Refetch(ctx context.Context, c connection.Serving, digest string) (idp idpmetadata.IdP, newDigest string, changed bool, err error) {
	p, configured, err := placeOf(c)
	if err != nil {
		return idpmetadata.IdP{}, "", false, err
	}
	if configured != nil {
		return *configured, "", false, nil
	}
	_, err = shared(ctx, &s.flight, "refetch\n"+p.key(), func(ctx context.Context) (struct{}, error) {
		if !s.mayAsk(p.connection) {
			return struct{}{}, nil
		}
		v, err := s.Store.Find(ctx, p.connection, p.source, Current)
		if err == nil {
			err = s.check(ctx, v, false)
		}
		if errors.Is(err, ErrNone) {
			return struct{}{}, nil // the load below fetches it
		}
		return struct{}{}, err
	})
	if err != nil {
		if f := refusal("refetch", err); f.Code != failure.SAMLMetadata {
			return idpmetadata.IdP{}, "", false, f
		}
	}
	v, err := s.current(ctx, p, false)
	if err != nil {
		return idpmetadata.IdP{}, "", false, err
	}
	return v.Facts, v.Digest, v.Digest != digest, nil
}

// mayAsk notes that a login has the address of a connection asked again, unless one just
// did.
func (s *Service) mayAsk(connectionID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	if at, ok := s.asked[connectionID]; ok && now.Sub(at) < RestFor {
		return false
	}
	remember(s.asked, connectionID, now)
	return true
}

// current gives the document that serves, read from the address first when there is none.
func (s *Service) current(ctx context.Context, p place, insist bool) (Version, error) {
	v, err := s.Store.Find(ctx, p.connection, p.source, Current)
	if errors.Is(err, ErrNone) {
		v, err = s.first(ctx, p, insist)
	}
	if err != nil {
		return Version{}, refusal("find", err)
	}
	if p.want != "" && v.Facts.EntityID != p.want {
		return Version{}, failure.New(failure.SAMLMetadata).With("host", failure.HostOf(p.source)).With("cause", "entity_id_other")
	}
	return v, nil
}

// first reads an address for the first time. What it reads is pinned: every later document
// is compared with it, and its entity id is the connection's for good.
func (s *Service) first(ctx context.Context, p place, insist bool) (Version, error) {
	return shared(ctx, &s.flight, "first\n"+p.key(), func(ctx context.Context) (Version, error) {
		if f, ok := s.rests(p); ok && !insist {
			return Version{}, f
		}
		v, err := s.begin(ctx, p)
		if f, ok := errors.AsType[*failure.Error](err); ok && f.Code == failure.SAMLMetadata {
			s.mu.Lock()
			remember(s.failed, p.key(), failed{s.Now(), f})
			s.mu.Unlock()
			s.Log.WarnContext(ctx, "the metadata of an identity provider cannot be read, and none was read before",
				"connection", p.connection, "host", f.Facts["host"], "phase", f.Facts["phase"], "status", f.Facts["status"], "cause", f.Facts["cause"])
		}
		return v, err
	})
}

func (s *Service) rests(p place) (*failure.Error, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.failed[p.key()] // what is not there was long ago
	return f.err, s.Now().Sub(f.at) < RestFor
}

func (s *Service) begin(ctx context.Context, p place) (Version, error) {
	now := s.now()
	// Another login may have ended its first load since this one looked.
	if v, err := s.Store.Find(ctx, p.connection, p.source, Current); err == nil || !errors.Is(err, ErrNone) {
		return v, err
	}
	v, err := s.fetch(ctx, p, Version{})
	if err != nil {
		return Version{}, err
	}
	e := s.event(ctx, now, "", loaded{Connection: p.connection, Digest: v.Digest, EntityID: v.Facts.EntityID, Certificates: fingerprints(v.Facts)})
	switch err := s.Store.Begin(ctx, v, e); {
	case errors.Is(err, ErrExists):
		return s.Store.Find(ctx, p.connection, p.source, Current)
	case errors.Is(err, connection.ErrIssuerTaken):
		return Version{}, failure.New(failure.SAMLMetadata).With("host", failure.HostOf(p.source)).With("cause", "issuer_taken").Because(err)
	case err != nil:
		return Version{}, err
	}
	s.Recorder.Committed(e)
	s.mu.Lock()
	delete(s.failed, p.key())
	s.mu.Unlock()
	return v, nil
}

// remember keeps a value, and forgets all others when there are too many.
func remember[T any](m map[string]T, key string, v T) {
	if _, ok := m[key]; !ok && len(m) >= maxRemembered {
		clear(m)
	}
	m[key] = v
}
