// SPDX-License-Identifier: Apache-2.0

package idpsource

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/flight"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

// errSame: the source has nothing new since what serves was read.
var errSame = errors.New("idpsource: not modified")

// fetch reads an address. Of before it takes what the source called that version, so that
// "not modified" always means what serves; the answer is errSame then. Every other error
// is a *failure.Error: failure.SAMLMetadata, or failure.Internal for a panic of the reader.
func (s *Service) fetch(ctx context.Context, p place, before Version) (Version, error) {
	r, err := s.Fetcher.Fetch(ctx, p.connection, p.source, Validators{before.ETag, before.LastModified})
	if err != nil {
		return Version{}, unread(p, err)
	}
	if r.NotModified {
		return Version{}, errSame
	}
	now := s.now()
	facts, terms, err := s.parsed(r.Body, p.want, now)
	if f, ok := errors.AsType[*failure.Error](err); ok {
		return Version{}, f
	}
	if err != nil {
		f := failure.New(failure.SAMLMetadata).With("host", failure.HostOf(p.source)).With("phase", "document")
		if e, ok := errors.AsType[*idpmetadata.Error](err); ok {
			f = f.With("cause", e.Rule)
		}
		return Version{}, f.Because(err)
	}
	return Version{
		ID: canon.NewID(), ConnectionID: p.connection, Source: p.source, State: Current, Facts: facts, Terms: terms, Digest: facts.Digest(),
		ETag: r.ETag, LastModified: r.LastModified, FetchedAt: now, CheckedAt: now, DueAt: due(now, terms),
	}, nil
}

// parsed reads foreign text under a recovery of its own: one document that a reader cannot
// bear keeps no other from being refreshed.
func (s *Service) parsed(text []byte, want string, now time.Time) (facts idpmetadata.IdP, terms idpmetadata.Terms, err error) {
	defer func() {
		if v := recover(); v != nil {
			// The value may hold what came; its type and the stack do not.
			err = failure.New(failure.Internal).Because(fmt.Errorf("panic of type %T\n%s", v, debug.Stack()))
		}
	}()
	return s.parse(text, want, now)
}

// due is when a document is asked for again.
func due(now time.Time, t idpmetadata.Terms) time.Time {
	at := now.Add(RefreshEvery)
	if t.CacheDuration > 0 && now.Add(t.CacheDuration).Before(at) {
		at = now.Add(t.CacheDuration)
	}
	if !t.ValidUntil.IsZero() && t.ValidUntil.Before(at) {
		at = t.ValidUntil
	}
	if least := now.Add(RefreshLeast); at.Before(least) {
		at = least
	}
	return at.UTC().Truncate(time.Microsecond)
}

func unread(p place, err error) *failure.Error {
	f := failure.New(failure.SAMLMetadata).With("host", failure.HostOf(p.source))
	if e, ok := errors.AsType[*Unread](err); ok {
		f = f.With("phase", e.Phase)
		if e.Status != 0 {
			f = f.With("status", strconv.Itoa(e.Status))
		}
	}
	return f.Because(err)
}

// explained gives a failed fetch in words for administrators. They hold no part of an
// answer.
func explained(f *failure.Error) string {
	if e, ok := errors.AsType[*idpmetadata.Error](f); ok {
		return e.Message
	}
	switch phase := f.Facts["phase"]; phase {
	case "":
		switch f.Facts["cause"] {
		case "issuer_taken":
			return "The document's entity id belongs to another connection. If that one is deleted, name the entity id in `saml.idp_entity_id` and take it over."
		case "entity_id_other":
			return "The document is of another entity id than the connection names."
		}
		return "The address could not be read."
	case PhaseStatus:
		return "The address answered with the status " + f.Facts["status"] + "."
	case PhaseRefused:
		return "The egress guard refuses the address: it must be https and public, or be named in EGRESS_ALLOW."
	case PhaseTooLarge:
		return "The document is larger than 1 MiB."
	case PhaseRedirect:
		return "The address redirects elsewhere, which is not followed."
	case PhaseContentType:
		return "The address answered with what is no XML."
	case PhaseCircuit:
		return "The address failed several times in a row and is left alone for 30 seconds."
	default:
		return "The address did not answer: " + phase + "."
	}
}

// refusal leaves a failure as it is and calls everything else one of the store.
func refusal(op string, err error) *failure.Error {
	if f, ok := errors.AsType[*failure.Error](err); ok {
		return f
	}
	return failure.New(failure.StoreUnavailable).With("store", "sql").With("op", op).Because(err)
}

// shared lets callers that need the same document wait for one fetch, as package flight
// has it.
func shared[T any](ctx context.Context, g *singleflight.Group, key string, do func(context.Context) (T, error)) (T, error) {
	return flight.Share(ctx, g, key, failure.New(failure.SAMLMetadata).With("phase", "timeout"), do)
}
