// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Grants implements devicegrant.Store under one lock: each move is one step of it.
type Grants struct {
	// Expired hears of each grant that is forgotten undecided; nil hears of none. It returns
	// at once and asks this store nothing.
	Expired func()

	max int

	mu     sync.Mutex
	byRef  map[secret.Digest]*held
	byUser map[secret.Digest]secret.Digest
	told   map[secret.Digest]*held // denied and deleted, for the repeat of the poll that was told
	swept  time.Time               // when a full store was last searched for room
}

// held is a grant and what the store alone knows of it.
type held struct {
	devicegrant.Grant
	poller string // owner of the last recorded poll
	soon   bool   // that poll came too early
}

// toldFor is how long the poll that was told of a denial may be repeated.
const toldFor = time.Minute

// NewGrants holds at most max grants; beyond that Create returns
// devicegrant.ErrFull.
func NewGrants(max int) *Grants {
	return &Grants{max: max, byRef: map[secret.Digest]*held{}, byUser: map[secret.Digest]secret.Digest{}, told: map[secret.Digest]*held{}}
}

var _ devicegrant.Store = (*Grants)(nil)

// Create implements devicegrant.Store.
func (s *Grants) Create(ctx context.Context, g devicegrant.Grant) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ref, taken := s.byUser[g.UserMAC]; taken {
		if other := s.byRef[ref]; !other.Expired(g.CreatedAt) {
			return devicegrant.ErrUserCodeTaken
		}
		s.drop(ref)
	}
	if len(s.byRef) >= s.max && !s.madeRoom(g.CreatedAt) {
		return devicegrant.ErrFull
	}
	g.Subject = bytes.Clone(g.Subject)
	s.byRef[g.Ref] = &held{Grant: g}
	s.byUser[g.UserMAC] = g.Ref
	return nil
}

// Poll implements devicegrant.Store.
func (s *Grants) Poll(ctx context.Context, p devicegrant.Poll) (devicegrant.PollResult, devicegrant.Grant, error) {
	if err := ctx.Err(); err != nil {
		return 0, devicegrant.Grant{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g, ok := s.told[p.Ref]; ok && g.poller == p.Owner {
		return devicegrant.PollDenied, copied(g), nil
	}
	g, ok := s.byRef[p.Ref]
	if !ok || g.Expired(p.Now) {
		return devicegrant.PollUnknown, devicegrant.Grant{}, nil
	}
	if g.ClientID != p.ClientID {
		return devicegrant.PollOtherClient, devicegrant.Grant{}, nil
	}
	if g.poller != p.Owner || g.LastPoll.IsZero() {
		g.record(p)
	}
	if g.soon {
		return devicegrant.PollTooSoon, devicegrant.Grant{}, nil
	}
	leased := g.State == devicegrant.Redeeming && g.LeaseUntil.After(p.Now)
	switch {
	case g.State == devicegrant.Denied:
		s.drop(p.Ref)
		if len(s.told) < s.max {
			s.told[p.Ref] = g
		}
		return devicegrant.PollDenied, copied(g), nil
	case leased && g.Owner == p.Owner:
		return devicegrant.PollClaimed, copied(g), nil
	case g.State == devicegrant.Approved, g.State == devicegrant.Redeeming && !leased:
		g.State, g.Owner, g.LeaseUntil = devicegrant.Redeeming, p.Owner, p.Now.Add(devicegrant.Lease)
		g.ClaimNo++
		return devicegrant.PollClaimed, copied(g), nil
	}
	return devicegrant.PollPending, devicegrant.Grant{}, nil
}

// record judges the rhythm of a poll that was not recorded before.
func (g *held) record(p devicegrant.Poll) {
	g.soon = !g.LastPoll.IsZero() && p.Now.Sub(g.LastPoll) < g.Interval-devicegrant.PollTolerance
	g.LastPoll, g.poller = p.Now, p.Owner
	if g.soon {
		g.Interval = min(g.Interval+devicegrant.IntervalStep, devicegrant.MaxInterval)
	}
}

// ForgetPoll implements devicegrant.Store.
func (s *Grants) ForgetPoll(ctx context.Context, ref secret.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g, ok := s.byRef[ref]; ok {
		g.LastPoll, g.poller, g.soon = time.Time{}, "", false
	}
	return nil
}

// Find implements devicegrant.Store.
func (s *Grants) Find(ctx context.Context, userMAC secret.Digest, now time.Time) (devicegrant.Grant, error) {
	if err := ctx.Err(); err != nil {
		return devicegrant.Grant{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ref, ok := s.byUser[userMAC]
	if !ok || s.byRef[ref].Expired(now) {
		return devicegrant.Grant{}, devicegrant.ErrNotFound
	}
	return copied(s.byRef[ref]), nil
}

// Decide implements devicegrant.Store.
func (s *Grants) Decide(ctx context.Context, d devicegrant.Decision) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.byRef[d.Ref]
	if !ok || g.Expired(d.Now) {
		return devicegrant.ErrNotFound
	}
	if g.State != devicegrant.Pending {
		if g.Transition == d.Transition {
			return nil
		}
		return devicegrant.ErrAlreadyResolved
	}
	g.State, g.Transition, g.Subject, g.ApprovedAt = d.To, d.Transition, bytes.Clone(d.Subject), d.Now
	if least := d.Now.Add(devicegrant.DecisionLife); g.ExpiresAt.Before(least) {
		g.ExpiresAt = least
	}
	return nil
}

// Release implements devicegrant.Store.
func (s *Grants) Release(ctx context.Context, ref secret.Digest, owner string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g, ok := s.owned(ref, owner); ok {
		g.State, g.Owner, g.LeaseUntil = devicegrant.Approved, "", time.Time{}
	}
	return nil
}

// Delete implements devicegrant.Store.
func (s *Grants) Delete(ctx context.Context, ref secret.Digest, owner string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.owned(ref, owner); ok {
		s.drop(ref)
	}
	return nil
}

// Ping implements devicegrant.Store: it is there as long as its process is.
func (s *Grants) Ping(ctx context.Context) error { return ctx.Err() }

// Live counts the grants that are held.
func (s *Grants) Live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byRef)
}

// Sweep forgets grants past their end and gives their number. Expiry never depends
// on it.
func (s *Grants) Sweep(now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sweep(now)
}

// madeRoom sweeps a full store, at most once a second: a flood of starts must not
// turn into a flood of sweeps.
func (s *Grants) madeRoom(now time.Time) bool {
	if now.Sub(s.swept) < time.Second {
		return false
	}
	s.swept = now
	return s.sweep(now) > 0
}

func (s *Grants) sweep(now time.Time) int {
	n := 0
	for ref, g := range s.byRef {
		if g.Expired(now) {
			if s.Expired != nil && g.State == devicegrant.Pending {
				s.Expired()
			}
			s.drop(ref)
			n++
		}
	}
	for ref, g := range s.told {
		if now.Sub(g.LastPoll) >= toldFor {
			delete(s.told, ref)
		}
	}
	return n
}

func (s *Grants) owned(ref secret.Digest, owner string) (*held, bool) {
	g, ok := s.byRef[ref]
	return g, ok && g.State == devicegrant.Redeeming && g.Owner == owner
}

func (s *Grants) drop(ref secret.Digest) {
	if g, ok := s.byRef[ref]; ok {
		delete(s.byUser, g.UserMAC)
		delete(s.byRef, ref)
	}
}

func copied(g *held) devicegrant.Grant {
	c := g.Grant
	c.Subject = bytes.Clone(g.Subject)
	return c
}
