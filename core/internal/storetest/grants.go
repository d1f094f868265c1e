// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// start is when every suite begins; stores see no other clock than the times that
// they are given.
var start = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// GrantStore is one fresh, empty store of grants, as two processes hold it; a store in
// process is the same twice. Held counts the grants in it.
type GrantStore struct {
	A, B devicegrant.Store
	Held func() int
}

// OpenGrants gives a store.
type OpenGrants func(t *testing.T) GrantStore

// DeviceGrants is the contract of devicegrant.Store.
func DeviceGrants(t *testing.T, open OpenGrants) {
	t.Run("DF-39 what a grant holds", func(t *testing.T) { grantValues(t, open) })
	t.Run("DF-39 user codes", func(t *testing.T) { grantUserCodes(t, open) })
	t.Run("DF-39 expiry", func(t *testing.T) { grantExpiry(t, open) })
	t.Run("DF-39 polling", func(t *testing.T) { grantPolling(t, open) })
	t.Run("DF-39 decisions", func(t *testing.T) { grantDecisions(t, open) })
	t.Run("DF-39 repeats", func(t *testing.T) { grantRepeats(t, open) })
	t.Run("DF-39 claims", func(t *testing.T) { grantClaims(t, open) })
	t.Run("DF-39 contention", func(t *testing.T) { grantContention(t, open) })
	t.Run("DF-39 a cancelled context writes nothing", func(t *testing.T) { grantCancelled(t, open) })
}

// grants drives a store and fails the test where a call should not fail.
type grants struct {
	devicegrant.Store
	t    *testing.T
	held func() int
}

func openGrants(t *testing.T, open OpenGrants) (a, b grants) {
	t.Helper()
	s := open(t)
	return grants{s.A, t, s.Held}, grants{s.B, t, s.Held}
}

// pendingGrant is a grant that has just been started. n tells grants apart.
func pendingGrant(n byte) devicegrant.Grant {
	return devicegrant.Grant{
		Ref: secret.Digest{n}, UserMAC: secret.Digest{n, 1}, ClientID: "difyctl", Label: "difyctl on röck", State: devicegrant.Pending,
		CreatedAt: start, ExpiresAt: start.Add(devicegrant.Lifetime), CreatedIP: "2001:db8::1", Interval: devicegrant.FirstInterval,
	}
}

func (s grants) create(g devicegrant.Grant) devicegrant.Grant {
	s.t.Helper()
	if err := s.Create(s.t.Context(), g); err != nil {
		s.t.Fatal("create: ", err)
	}
	return g
}

// approved is a grant in state approved.
func (s grants) approved(n byte) devicegrant.Grant {
	s.t.Helper()
	g := s.create(pendingGrant(n))
	s.decide(g, devicegrant.Approved, "transition", start)
	return g
}

func (s grants) decide(g devicegrant.Grant, to devicegrant.State, transition string, now time.Time) {
	s.t.Helper()
	d := devicegrant.Decision{Ref: g.Ref, To: to, Subject: []byte(`{"who":"ada"}`), Transition: transition, Now: now}
	if err := s.Decide(s.t.Context(), d); err != nil {
		s.t.Fatal("decide: ", err)
	}
}

// anyone owns a poll that is never repeated.
const anyone = ""

// poll gives the grant as it stands after it.
func (s grants) poll(g devicegrant.Grant, owner string, now time.Time, want devicegrant.PollResult) devicegrant.Grant {
	s.t.Helper()
	if owner == anyone {
		owner = canon.NewID()
	}
	got, after, err := s.Poll(s.t.Context(), devicegrant.Poll{Ref: g.Ref, ClientID: g.ClientID, Owner: owner, Now: now})
	if err != nil || got != want {
		s.t.Fatalf("poll at +%s: result %d and %v, want %d", now.Sub(start), got, err, want)
	}
	if got == devicegrant.PollTooSoon || got == devicegrant.PollPending {
		return s.find(g, now)
	}
	return after
}

func (s grants) find(g devicegrant.Grant, now time.Time) devicegrant.Grant {
	s.t.Helper()
	found, err := s.Find(s.t.Context(), g.UserMAC, now)
	if err != nil {
		s.t.Fatal("find: ", err)
	}
	return found
}

func (s grants) gone(g devicegrant.Grant, now time.Time) {
	s.t.Helper()
	if _, err := s.Find(s.t.Context(), g.UserMAC, now); !errors.Is(err, devicegrant.ErrNotFound) {
		s.t.Fatalf("find: %v, want %v", err, devicegrant.ErrNotFound)
	}
	s.poll(g, anyone, now, devicegrant.PollUnknown)
}

func (s grants) live(want int) {
	s.t.Helper()
	if n := s.held(); n != want {
		s.t.Fatalf("%d grants, want %d", n, want)
	}
}

// sameGrant compares every field; times are in UTC.
func sameGrant(t *testing.T, got, want devicegrant.Grant) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal("(-want +got)", diff)
	}
	for name, at := range map[string]time.Time{"CreatedAt": got.CreatedAt, "ExpiresAt": got.ExpiresAt, "LastPoll": got.LastPoll, "ApprovedAt": got.ApprovedAt, "LeaseUntil": got.LeaseUntil} {
		if at.Location() != time.UTC {
			t.Errorf("%s is in %s", name, at.Location())
		}
	}
}

func grantValues(t *testing.T, open OpenGrants) {
	t.Run("every field comes back as it went in, on the other handle too", func(t *testing.T) {
		a, b := openGrants(t, open)
		want := a.create(pendingGrant(1))
		sameGrant(t, b.find(want, start), want)

		decided := start.Add(7*time.Second + time.Microsecond)
		a.decide(want, devicegrant.Approved, "transition", decided)
		want.State, want.Transition, want.Subject, want.ApprovedAt = devicegrant.Approved, "transition", []byte(`{"who":"ada"}`), decided
		sameGrant(t, b.find(want, decided), want)

		polled := decided.Add(3 * time.Second)
		want.State, want.Owner, want.LeaseUntil, want.ClaimNo, want.LastPoll = devicegrant.Redeeming, "owner", polled.Add(devicegrant.Lease), 1, polled
		sameGrant(t, a.poll(want, "owner", polled, devicegrant.PollClaimed), want)
		sameGrant(t, b.find(want, polled), want)
	})

	t.Run("values in and out are copies", func(t *testing.T) {
		a, _ := openGrants(t, open)
		g := a.create(pendingGrant(1))
		subject := []byte("subject")
		if err := a.Decide(t.Context(), devicegrant.Decision{Ref: g.Ref, To: devicegrant.Approved, Subject: subject, Transition: "x", Now: start}); err != nil {
			t.Fatal(err)
		}
		subject[0] = 'X'
		found := a.find(g, start)
		found.Subject[1], found.State = 'X', devicegrant.Denied
		claimed := a.poll(g, "owner", start, devicegrant.PollClaimed)
		claimed.Subject[2] = 'X'
		if got := a.find(g, start); !bytes.Equal(got.Subject, []byte("subject")) || got.State != devicegrant.Redeeming {
			t.Fatalf("what a caller holds is what the store holds: %q, %s", got.Subject, got.State)
		}

		own := pendingGrant(2)
		own.Subject = []byte("subject")
		a.create(own)
		own.Subject[0] = 'X'
		if got := a.find(own, start); !bytes.Equal(got.Subject, []byte("subject")) {
			t.Fatalf("create kept the caller's bytes: %q", got.Subject)
		}
	})

	t.Run("grants are counted until they are deleted", func(t *testing.T) {
		a, b := openGrants(t, open)
		b.live(0)
		g := a.approved(1)
		a.create(pendingGrant(2))
		b.live(2)
		a.poll(g, "owner", start, devicegrant.PollClaimed)
		if err := b.Delete(t.Context(), g.Ref, "owner"); err != nil {
			t.Fatal(err)
		}
		a.live(1)
		a.gone(g, start)
	})
}

func grantUserCodes(t *testing.T, open OpenGrants) {
	t.Run("DEV-04 a user code of a live grant is taken, in whatever state", func(t *testing.T) {
		a, b := openGrants(t, open)
		first := a.create(pendingGrant(1))
		second := pendingGrant(2)
		second.UserMAC = first.UserMAC
		for _, move := range []func(){
			func() {},
			func() { a.decide(first, devicegrant.Approved, "x", start) },
			func() { a.poll(first, "owner", start, devicegrant.PollClaimed) },
		} {
			move()
			if err := b.Create(t.Context(), second); !errors.Is(err, devicegrant.ErrUserCodeTaken) {
				t.Fatalf("create: %v, want %v", err, devicegrant.ErrUserCodeTaken)
			}
		}
		a.poll(second, "owner", start, devicegrant.PollUnknown)
		if got := a.find(first, start); got.Ref != first.Ref {
			t.Fatal("the code leads to the grant that was refused")
		}
	})

	t.Run("a user code is free when its grant is past its end", func(t *testing.T) {
		a, b := openGrants(t, open)
		first := a.create(pendingGrant(1))
		second := pendingGrant(2)
		second.UserMAC = first.UserMAC
		second.CreatedAt = first.ExpiresAt.Add(-time.Microsecond)
		if err := b.Create(t.Context(), second); !errors.Is(err, devicegrant.ErrUserCodeTaken) {
			t.Fatalf("a microsecond before the end: %v", err)
		}
		second.CreatedAt, second.ExpiresAt = first.ExpiresAt, first.ExpiresAt.Add(devicegrant.Lifetime)
		b.create(second)
		if got := a.find(second, second.CreatedAt); got.Ref != second.Ref {
			t.Fatal("the code leads to the former grant")
		}
		a.poll(first, "owner", second.CreatedAt, devicegrant.PollUnknown)
	})

	t.Run("a deleted grant's user code is free at once", func(t *testing.T) {
		a, b := openGrants(t, open)
		denied := a.create(pendingGrant(1))
		a.decide(denied, devicegrant.Denied, "x", start)
		a.poll(denied, "owner", start, devicegrant.PollDenied)
		again := pendingGrant(2)
		again.UserMAC = denied.UserMAC
		b.create(again)
	})

	t.Run("an unknown user code", func(t *testing.T) {
		a, _ := openGrants(t, open)
		a.create(pendingGrant(1))
		if _, err := a.Find(t.Context(), secret.Digest{9}, start); !errors.Is(err, devicegrant.ErrNotFound) {
			t.Fatalf("find: %v, want %v", err, devicegrant.ErrNotFound)
		}
	})
}

func grantExpiry(t *testing.T, open OpenGrants) {
	t.Run("a pending grant lives until its end and not at it", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.create(pendingGrant(1))
		before := g.ExpiresAt.Add(-time.Microsecond)
		b.find(g, before)
		b.poll(g, "owner", before, devicegrant.PollPending)
		for _, now := range []time.Time{g.ExpiresAt, g.ExpiresAt.Add(time.Microsecond), g.ExpiresAt.Add(time.Hour)} {
			b.gone(g, now)
			err := b.Decide(t.Context(), devicegrant.Decision{Ref: g.Ref, To: devicegrant.Approved, Transition: "x", Now: now})
			if !errors.Is(err, devicegrant.ErrNotFound) {
				t.Fatalf("decide at +%s: %v, want %v", now.Sub(start), err, devicegrant.ErrNotFound)
			}
		}
		if got := b.find(g, before); got.State != devicegrant.Pending {
			t.Fatalf("a refused decision left %s", got.State)
		}
	})

	t.Run("DF-21 DEV-26 INV-3 a decision leaves a grant sixty seconds at least", func(t *testing.T) {
		for name, c := range map[string]struct {
			left, want time.Duration
		}{
			"a microsecond was left":  {time.Microsecond, devicegrant.DecisionLife},
			"a second less was left":  {devicegrant.DecisionLife - time.Second, devicegrant.DecisionLife},
			"exactly a minute":        {devicegrant.DecisionLife, devicegrant.DecisionLife},
			"more than that was left": {devicegrant.DecisionLife + time.Second, devicegrant.DecisionLife + time.Second},
		} {
			for _, to := range []devicegrant.State{devicegrant.Approved, devicegrant.Denied} {
				a, b := openGrants(t, open)
				g := a.create(pendingGrant(1))
				now := g.ExpiresAt.Add(-c.left)
				a.decide(g, to, "x", now)
				if got := b.find(g, now); !got.ExpiresAt.Equal(now.Add(c.want)) {
					t.Errorf("%s, %s: lives %s more, want %s", name, to, got.ExpiresAt.Sub(now), c.want)
				}
				b.gone(g, now.Add(c.want))
			}
		}
	})

	t.Run("a claimed grant stays redeemable until its lease and the grace are over", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.approved(1)
		claimedAt := g.ExpiresAt.Add(-time.Second)
		claimed := a.poll(g, "dead process", claimedAt, devicegrant.PollClaimed)
		over := claimed.LeaseUntil.Add(devicegrant.LeaseGrace)

		b.poll(g, "second", claimed.LeaseUntil.Add(-time.Microsecond), devicegrant.PollPending)
		if got := b.find(g, over.Add(-time.Microsecond)); got.State != devicegrant.Redeeming {
			t.Fatalf("found %s", got.State)
		}
		b.gone(g, over)
		second := b.poll(g, "second", over.Add(-time.Microsecond), devicegrant.PollClaimed)
		if second.ClaimNo != 2 {
			t.Fatalf("claim %d", second.ClaimNo)
		}
	})
}
