// SPDX-License-Identifier: Apache-2.0

package spkeys

import (
	"context"
	"crypto/rsa"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/jobs"
	"github.com/dify-sso/dify-sso/pkg/seal"
)

// Deps is what a Service needs; all fields but Generate are required.
type Deps struct {
	Store    Store
	Seal     *seal.Keys
	Recorder *audit.Recorder
	Now      func() time.Time
	// Generate draws a key; nil draws one of RSA with Bits.
	Generate func() (*rsa.PrivateKey, error)
}

// Service owns the keys. It is safe for concurrent use.
type Service struct {
	Deps
	first singleflight.Group

	mu     sync.Mutex
	opened map[slot]opened
}

// New checks the dependencies. No key is made before it is needed.
func New(d Deps) (*Service, error) {
	if d.Store == nil || d.Seal == nil || d.Recorder == nil || d.Now == nil {
		return nil, errors.New("spkeys: store, sealing keys, recorder and clock are required")
	}
	if d.Generate == nil {
		d.Generate = generate
	}
	return &Service{Deps: d, opened: map[slot]opened{}}, nil
}

// now is of the precision that stores keep.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

const (
	maxReason = 255 // characters
	// seenEvery bounds how often a fetch of metadata is noted: anybody may fetch it.
	seenEvery = time.Minute
)

// Signer gives the key that signs a connection's requests, made now when there is none;
// next gives the staged one, or ErrNoNext. The connection must exist.
func (s *Service) Signer(ctx context.Context, connectionID string, next bool) (Signer, error) {
	if next {
		all, err := s.Store.Keys(ctx, connectionID)
		if err != nil {
			return Signer{}, fault.Store(err)
		}
		r, ok := in(all, Next)
		if !ok {
			return Signer{}, ErrNoNext
		}
		return s.open(r)
	}
	all, err := s.keys(ctx, connectionID)
	if err != nil {
		return Signer{}, err
	}
	r, _ := in(all, Current)
	return s.open(r)
}

// Published gives the keys that metadata names: current, next, then retiring ones, the
// newest first. The first key is made now when there is none. The connection must exist.
func (s *Service) Published(ctx context.Context, connectionID string) ([]Key, error) {
	all, err := s.keys(ctx, connectionID)
	if err != nil {
		return nil, err
	}
	var published []Key
	for _, state := range []State{Current, Next, Retiring} {
		for _, r := range all {
			if r.State == state {
				k, err := r.parsed()
				if err != nil {
					return nil, err
				}
				published = append(published, k)
			}
		}
	}
	return published, nil
}

// List gives every key of a connection, the newest first. It makes none.
func (s *Service) List(ctx context.Context, connectionID string) ([]Key, error) {
	all, err := s.Store.Keys(ctx, connectionID)
	if err != nil {
		return nil, fault.Store(err)
	}
	keys := make([]Key, len(all))
	for i, r := range all {
		if keys[i], err = r.parsed(); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// Stage makes a key that is published and signs nothing but tests yet. It returns
// ErrStaged when there is one. The connection must exist.
func (s *Service) Stage(ctx context.Context, connectionID string, by string) (Key, error) {
	all, err := s.keys(ctx, connectionID)
	if err != nil {
		return Key{}, err
	}
	if _, there := in(all, Next); there {
		return Key{}, ErrStaged
	}
	r, err := s.draw(connectionID, Next)
	if err != nil {
		return Key{}, err
	}
	event := audit.New(ctx, r.StagedAt, audit.By(by), staged{Connection: connectionID, Key: r.ID, NotAfter: r.NotAfter})
	added, err := s.Store.Add(ctx, r, event)
	switch {
	case err != nil:
		return Key{}, fault.Store(err)
	case !added:
		return Key{}, ErrStaged
	}
	s.Recorder.Committed(event)
	return r.Key, nil
}

// Promote lets the staged key sign. The former key stays published for RetiringFor. It
// returns ErrNoNext, ErrMoved, or ErrNotProven for a key that is not proven, unless force
// says so with a reason of at most 255 characters; ErrInvalid when that is missing.
func (s *Service) Promote(ctx context.Context, connectionID string, by string, force bool, reason string) (Key, error) {
	reason = strings.TrimSpace(reason)
	if _, ok := canon.Text(reason, maxReason); !ok && (force || reason != "") {
		return Key{}, ErrInvalid.Detailed(fault.Detail{Type: "value_error", Loc: []any{"reason"}, Msg: "force needs a reason of 1 to 255 visible characters"})
	}
	all, err := s.Store.Keys(ctx, connectionID)
	if err != nil {
		return Key{}, fault.Store(err)
	}
	r, ok := in(all, Next)
	if !ok {
		return Key{}, ErrNoNext
	}
	if !r.Proven() && !force {
		return Key{}, ErrNotProven
	}
	k, err := r.parsed()
	if err != nil {
		return Key{}, err
	}
	now := s.now()
	former, _ := in(all, Current)
	event := audit.New(ctx, now, audit.By(by), promoted{Connection: connectionID, Key: k.ID, Former: former.ID, Forced: !k.Proven(), Reason: reason})
	if err := s.Store.Promote(ctx, connectionID, k.ID, now, event); err != nil {
		return Key{}, fault.Store(err)
	}
	s.Recorder.Committed(event)
	k.State, k.PromotedAt = Current, &now
	return k, nil
}

// Retire ends a staged or retiring key at once; one that has ended stays as it is. It
// returns ErrUnknown, ErrCurrent for the key that signs, or ErrMoved.
func (s *Service) Retire(ctx context.Context, connectionID, keyID string, by string) (Key, error) {
	all, err := s.Store.Keys(ctx, connectionID)
	if err != nil {
		return Key{}, fault.Store(err)
	}
	i := slices.IndexFunc(all, func(r Record) bool { return r.ID == keyID })
	if i < 0 {
		return Key{}, ErrUnknown
	}
	k, err := all[i].parsed()
	if err != nil {
		return Key{}, err
	}
	switch k.State {
	case Current:
		return Key{}, ErrCurrent
	case Retired:
		return k, nil
	}
	now := s.now()
	if err := s.retire(ctx, k, now, audit.By(by)); err != nil {
		return Key{}, fault.Store(err)
	}
	k.State, k.RetiredAt = Retired, &now
	return k, nil
}

func (s *Service) retire(ctx context.Context, k Key, now time.Time, by audit.Actor) error {
	event := audit.New(ctx, now, by, retired{Connection: k.ConnectionID, Key: k.ID, From: k.State})
	if err := s.Store.Retire(ctx, k.ID, now, event); err != nil {
		return err
	}
	s.Recorder.Committed(event)
	return nil
}

// RetireDue ends the keys that have been retiring for RetiringFor, and gives how many it
// has ended, those before a failure included.
func (s *Service) RetireDue(ctx context.Context) (rows int64, err error) {
	for {
		now := s.now()
		due, err := s.Store.RetiringBefore(ctx, now.Add(-RetiringFor), jobs.Batch)
		if err != nil {
			return rows, err
		}
		for _, r := range due {
			switch err := s.retire(ctx, r.Key, now, audit.System); {
			case errors.Is(err, ErrMoved): // by hand, or by another replica
			case err != nil:
				return rows, err
			default:
				rows++
			}
		}
		if len(due) < jobs.Batch {
			return rows, nil
		}
	}
}

// Seen notes that metadata with this key was given to somebody. Only of the staged key
// that says something; of the same one it is noted once a minute at most.
func (s *Service) Seen(ctx context.Context, k Key) error {
	now := s.now()
	if k.State != Next || k.MetadataSeenAt != nil && now.Sub(*k.MetadataSeenAt) < seenEvery {
		return nil
	}
	return fault.Store(s.Store.Seen(ctx, k.ID, now))
}

// MarkTested notes that a connection test signed with the staged key has passed. A key
// that was promoted or retired meanwhile is left as it is, and without a staged key
// nothing happens.
func (s *Service) MarkTested(ctx context.Context, connectionID string) error {
	all, err := s.Store.Keys(ctx, connectionID)
	if err != nil {
		return fault.Store(err)
	}
	r, ok := in(all, Next)
	if !ok {
		return nil
	}
	return fault.Store(s.Store.Tested(ctx, r.ID, s.now()))
}

// Soonest gives by connection when the certificate of the key that signs ends. Nothing
// stops then, and nothing is replaced by itself.
func (s *Service) Soonest(ctx context.Context) (map[string]time.Time, error) {
	ends, err := s.Store.Ends(ctx)
	return ends, fault.Store(err)
}

// in gives the newest key of a state.
func in(all []Record, s State) (Record, bool) {
	i := slices.IndexFunc(all, func(r Record) bool { return r.State == s })
	if i < 0 {
		return Record{}, false
	}
	return all[i], true
}
