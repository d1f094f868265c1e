// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func grantPolling(t *testing.T, open OpenGrants) {
	t.Run("DF-12 a poll that comes too early lengthens the interval to sixty seconds and no further", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.create(pendingGrant(1))
		now, interval := start, devicegrant.FirstInterval
		a.poll(g, anyone, now, devicegrant.PollPending)
		for interval < devicegrant.MaxInterval {
			now = now.Add(interval - devicegrant.PollTolerance - time.Microsecond)
			interval += devicegrant.IntervalStep
			if got := b.poll(g, anyone, now, devicegrant.PollTooSoon); got.Interval != interval || !got.LastPoll.Equal(now) {
				t.Fatalf("interval %s after the poll of +%s, want %s", got.Interval, got.LastPoll.Sub(start), interval)
			}
		}
		now = now.Add(devicegrant.MaxInterval - time.Second)
		if got := a.poll(g, anyone, now, devicegrant.PollTooSoon); got.Interval != devicegrant.MaxInterval {
			t.Fatalf("interval %s", got.Interval)
		}
		// Who keeps it, or comes a little early, is served; the interval stays grown.
		now = now.Add(devicegrant.MaxInterval - devicegrant.PollTolerance)
		if got := a.poll(g, anyone, now, devicegrant.PollPending); got.Interval != devicegrant.MaxInterval {
			t.Fatalf("interval %s", got.Interval)
		}
	})

	t.Run("the first poll may come at once", func(t *testing.T) {
		a, _ := openGrants(t, open)
		a.poll(a.create(pendingGrant(1)), anyone, start, devicegrant.PollPending)
	})

	t.Run("a forgotten poll makes the next one welcome and leaves the interval", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.create(pendingGrant(1))
		a.poll(g, anyone, start, devicegrant.PollPending)
		a.poll(g, anyone, start, devicegrant.PollTooSoon)
		if err := b.ForgetPoll(t.Context(), g.Ref); err != nil {
			t.Fatal(err)
		}
		if got := a.find(g, start); !got.LastPoll.IsZero() {
			t.Fatalf("the last poll is +%s", got.LastPoll.Sub(start))
		}
		if got := a.poll(g, anyone, start, devicegrant.PollPending); got.Interval != devicegrant.FirstInterval+devicegrant.IntervalStep {
			t.Fatalf("interval %s", got.Interval)
		}
		if err := b.ForgetPoll(t.Context(), secret.Digest{9}); err != nil {
			t.Fatalf("of an unknown grant: %v", err)
		}
		a.live(1)
	})

	t.Run("DF-14 another client writes nothing", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.approved(1)
		before := a.find(g, start)
		for range 3 {
			got, _, err := b.Poll(t.Context(), devicegrant.Poll{Ref: g.Ref, ClientID: "other", Owner: "thief", Now: start.Add(time.Second)})
			if err != nil || got != devicegrant.PollOtherClient {
				t.Fatalf("result %d, %v", got, err)
			}
		}
		sameGrant(t, a.find(g, start), before)
		a.poll(g, "owner", start, devicegrant.PollClaimed)
	})

	t.Run("INV-5 an unknown code writes nothing", func(t *testing.T) {
		a, b := openGrants(t, open)
		a.poll(devicegrant.Grant{Ref: secret.Digest{7}, ClientID: "difyctl"}, anyone, start, devicegrant.PollUnknown)
		if err := a.Decide(t.Context(), devicegrant.Decision{Ref: secret.Digest{7}, To: devicegrant.Approved, Transition: "x", Now: start}); !errors.Is(err, devicegrant.ErrNotFound) {
			t.Fatalf("decide: %v, want %v", err, devicegrant.ErrNotFound)
		}
		if err := errors.Join(a.Release(t.Context(), secret.Digest{7}, "o"), a.Delete(t.Context(), secret.Digest{7}, "o")); err != nil {
			t.Fatal(err)
		}
		b.live(0)
	})

	t.Run("the rhythm is judged before the state", func(t *testing.T) {
		a, _ := openGrants(t, open)
		g := a.approved(1)
		a.poll(g, "first", start, devicegrant.PollClaimed)
		if err := a.Release(t.Context(), g.Ref, "first"); err != nil {
			t.Fatal(err)
		}
		if got := a.poll(g, "second", start.Add(time.Second), devicegrant.PollTooSoon); got.State != devicegrant.Approved || got.ClaimNo != 1 {
			t.Fatalf("a poll that came too early claimed: %+v", got)
		}
	})
}

func grantDecisions(t *testing.T, open OpenGrants) {
	decide := func(s grants, g devicegrant.Grant, to devicegrant.State, transition string, now time.Time) error {
		return s.Decide(s.t.Context(), devicegrant.Decision{Ref: g.Ref, To: to, Subject: []byte("x"), Transition: transition, Now: now})
	}

	t.Run("INV-1 a grant leaves pending once", func(t *testing.T) {
		for _, first := range []devicegrant.State{devicegrant.Approved, devicegrant.Denied} {
			a, b := openGrants(t, open)
			g := a.create(pendingGrant(1))
			a.decide(g, first, "first", start)
			before := a.find(g, start)
			for _, to := range []devicegrant.State{devicegrant.Approved, devicegrant.Denied} {
				if err := decide(b, g, to, "second", start.Add(time.Second)); !errors.Is(err, devicegrant.ErrAlreadyResolved) {
					t.Fatalf("%s, then %s: %v, want %v", first, to, err, devicegrant.ErrAlreadyResolved)
				}
			}
			sameGrant(t, b.find(g, start), before)
		}
	})

	t.Run("DF-42 the same move is asked for again and succeeds, once done", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.create(pendingGrant(1))
		a.decide(g, devicegrant.Approved, "mine", start)
		before := a.find(g, start)
		if err := decide(b, g, devicegrant.Approved, "mine", start.Add(time.Second)); err != nil {
			t.Fatalf("the repeat: %v", err)
		}
		sameGrant(t, a.find(g, start), before)
		// Also when a poll has claimed the grant in between.
		a.poll(g, "owner", start, devicegrant.PollClaimed)
		if err := decide(b, g, devicegrant.Approved, "mine", start.Add(time.Second)); err != nil {
			t.Fatalf("the repeat after a claim: %v", err)
		}
		if got := a.find(g, start); got.State != devicegrant.Redeeming || got.Owner != "owner" {
			t.Fatalf("the repeat undid the claim: %+v", got)
		}
	})

	t.Run("a denied grant is told once and deleted", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.create(pendingGrant(1))
		a.decide(g, devicegrant.Denied, "x", start)
		if got := b.poll(g, anyone, start, devicegrant.PollDenied); got.State != devicegrant.Denied {
			t.Fatalf("state %s", got.State)
		}
		a.gone(g, start)
		a.live(0)
	})
}

func grantClaims(t *testing.T, open OpenGrants) {
	t.Run("DEV-06 a lapsed lease is claimable, and its late owner can neither release nor delete", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.approved(1)
		first := a.poll(g, "first", start, devicegrant.PollClaimed)
		if !first.LeaseUntil.Equal(start.Add(devicegrant.Lease)) || first.ClaimNo != 1 {
			t.Fatalf("claimed until +%s as number %d", first.LeaseUntil.Sub(start), first.ClaimNo)
		}
		b.poll(g, "second", first.LeaseUntil.Add(-time.Microsecond), devicegrant.PollPending)
		if err := b.ForgetPoll(t.Context(), g.Ref); err != nil {
			t.Fatal(err)
		}
		second := b.poll(g, "second", first.LeaseUntil, devicegrant.PollClaimed)
		if second.Owner != "second" || second.ClaimNo != 2 || !second.LeaseUntil.Equal(first.LeaseUntil.Add(devicegrant.Lease)) {
			t.Fatalf("%+v", second)
		}
		if err := errors.Join(a.Release(t.Context(), g.Ref, "first"), a.Delete(t.Context(), g.Ref, "first")); err != nil {
			t.Fatalf("a late owner is no failure: %v", err)
		}
		sameGrant(t, b.find(g, first.LeaseUntil), second)
	})

	t.Run("a released grant is approved again and its next claim is counted on", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.approved(1)
		want := a.find(g, start)
		a.poll(g, "first", start, devicegrant.PollClaimed)
		if err := a.Release(t.Context(), g.Ref, "first"); err != nil {
			t.Fatal(err)
		}
		want.LastPoll, want.ClaimNo = start, 1
		sameGrant(t, b.find(g, start), want)
		if err := b.Release(t.Context(), g.Ref, "first"); err != nil {
			t.Fatalf("a second release: %v", err)
		}
		if got := b.poll(g, "second", start.Add(devicegrant.FirstInterval), devicegrant.PollClaimed); got.ClaimNo != 2 || string(got.Subject) != string(want.Subject) {
			t.Fatalf("%+v", got)
		}
	})

	t.Run("only a claimed grant is released or deleted", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.approved(1)
		p := a.create(pendingGrant(2))
		for _, x := range []devicegrant.Grant{g, p} {
			for _, owner := range []string{"", "anybody"} {
				if err := errors.Join(b.Release(t.Context(), x.Ref, owner), b.Delete(t.Context(), x.Ref, owner)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if a.find(g, start).State != devicegrant.Approved || a.find(p, start).State != devicegrant.Pending {
			t.Fatal("a stranger moved a grant")
		}
	})
}

// atOnce runs n acts that begin together and gives their results in order.
func atOnce[T any](n int, act func(i int) T) []T {
	out := make([]T, n)
	var begin, wg sync.WaitGroup
	begin.Add(1)
	for i := range n {
		wg.Go(func() {
			begin.Wait()
			out[i] = act(i)
		})
	}
	begin.Done()
	wg.Wait()
	return out
}

// contenders is how many race for one thing.
const contenders = 50

func grantContention(t *testing.T, open OpenGrants) {
	t.Run("DEV-06 INV-2 an approved grant has one claimant, the others are told to wait or to slow down", func(t *testing.T) {
		a, b := openGrants(t, open)
		handles := []grants{a, b}
		g := a.approved(1)
		type answer struct {
			result devicegrant.PollResult
			grant  devicegrant.Grant
			err    error
		}
		answers := atOnce(contenders, func(i int) (r answer) {
			r.result, r.grant, r.err = handles[i%2].Poll(context.Background(), devicegrant.Poll{Ref: g.Ref, ClientID: g.ClientID, Owner: fmt.Sprint(i), Now: start})
			return r
		})
		winners := 0
		for i, r := range answers {
			switch {
			case r.err != nil:
				t.Fatal(r.err)
			case r.result == devicegrant.PollClaimed:
				winners++
				if r.grant.Owner != fmt.Sprint(i) || r.grant.ClaimNo != 1 {
					t.Errorf("claimant %d got %+v", i, r.grant)
				}
			case r.result != devicegrant.PollTooSoon && r.result != devicegrant.PollPending:
				t.Errorf("a loser got %d", r.result)
			}
		}
		if winners != 1 {
			t.Fatalf("%d claimants", winners)
		}
	})

	t.Run("INV-2 pollers who keep the interval and lose are told to wait", func(t *testing.T) {
		a, b := openGrants(t, open)
		handles := []grants{a, b}
		for round := range 20 {
			g := pendingGrant(byte(round + 1))
			g.Interval = 0 // nobody is too early
			a.create(g)
			a.decide(g, devicegrant.Approved, "x", start)
			results := atOnce(8, func(i int) devicegrant.PollResult {
				r, _, err := handles[i%2].Poll(context.Background(), devicegrant.Poll{Ref: g.Ref, ClientID: g.ClientID, Owner: fmt.Sprint(i), Now: start})
				if err != nil {
					t.Error(err)
				}
				return r
			})
			count := map[devicegrant.PollResult]int{}
			for _, r := range results {
				count[r]++
			}
			if count[devicegrant.PollClaimed] != 1 || count[devicegrant.PollPending] != 7 {
				t.Fatalf("results %v", count)
			}
		}
	})

	t.Run("DEV-07 INV-1 of many decisions one wins", func(t *testing.T) {
		a, b := openGrants(t, open)
		handles := []grants{a, b}
		for round := range 20 {
			g := a.create(pendingGrant(byte(round + 1)))
			to := func(i int) devicegrant.State {
				return []devicegrant.State{devicegrant.Approved, devicegrant.Denied}[i%2]
			}
			errs := atOnce(9, func(i int) error {
				return handles[i%2].Decide(context.Background(), devicegrant.Decision{Ref: g.Ref, To: to(i), Transition: fmt.Sprint(i), Now: start})
			})
			winner := -1
			for i, err := range errs {
				switch {
				case err == nil && winner < 0:
					winner = i
				case err == nil:
					t.Fatalf("%d and %d both won", winner, i)
				case !errors.Is(err, devicegrant.ErrAlreadyResolved):
					t.Fatalf("a loser got %v", err)
				}
			}
			if got := a.find(g, start); winner < 0 || got.State != to(winner) || got.Transition != fmt.Sprint(winner) {
				t.Fatalf("winner %d, stored %s by %s", winner, got.State, got.Transition)
			}
		}
	})

	t.Run("DEV-04 of many grants one gets the user code", func(t *testing.T) {
		a, b := openGrants(t, open)
		handles := []grants{a, b}
		errs := atOnce(contenders, func(i int) error {
			g := pendingGrant(byte(i))
			g.UserMAC = secret.Digest{1, 1}
			return handles[i%2].Create(context.Background(), g)
		})
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, devicegrant.ErrUserCodeTaken) {
				t.Fatal(err)
			}
		}
		if won != 1 {
			t.Fatalf("%d got it", won)
		}
		a.live(1)
	})
}

func grantCancelled(t *testing.T, open OpenGrants) {
	a, b := openGrants(t, open)
	p := a.create(pendingGrant(1))
	g := a.approved(2)
	a.poll(g, "owner", start, devicegrant.PollClaimed)
	wantP, wantG := b.find(p, start), b.find(g, start)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, poll := a.Poll(ctx, devicegrant.Poll{Ref: p.Ref, ClientID: p.ClientID, Owner: anyone, Now: start})
	_, find := a.Find(ctx, p.UserMAC, start)
	for name, err := range map[string]error{
		"Create":     a.Create(ctx, pendingGrant(3)),
		"Poll":       poll,
		"ForgetPoll": a.ForgetPoll(ctx, g.Ref),
		"Find":       find,
		"Decide":     a.Decide(ctx, devicegrant.Decision{Ref: p.Ref, To: devicegrant.Denied, Transition: "x", Now: start}),
		"Release":    a.Release(ctx, g.Ref, "owner"),
		"Delete":     a.Delete(ctx, g.Ref, "owner"),
		"Ping":       a.Ping(ctx),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	sameGrant(t, b.find(p, start), wantP)
	sameGrant(t, b.find(g, start), wantG)
	b.live(2)
}
