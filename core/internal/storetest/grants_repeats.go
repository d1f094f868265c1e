// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// grantRepeats is about calls whose first reply was lost.
func grantRepeats(t *testing.T, open OpenGrants) {
	t.Run("INV-2 a claim that its owner repeats is the same claim", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.approved(1)
		want := a.poll(g, "mine", start, devicegrant.PollClaimed)
		for range 2 {
			sameGrant(t, b.poll(g, "mine", start, devicegrant.PollClaimed), want)
		}
		sameGrant(t, b.find(g, start), want)
		b.poll(g, anyone, start, devicegrant.PollTooSoon)
	})

	t.Run("a poll that its owner repeats never came too early", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.create(pendingGrant(1))
		want := a.poll(g, "mine", start, devicegrant.PollPending)
		for _, s := range []grants{a, b} {
			sameGrant(t, s.poll(g, "mine", start, devicegrant.PollPending), want)
		}
		b.poll(g, anyone, start.Add(devicegrant.FirstInterval), devicegrant.PollPending)
	})

	t.Run("one that did come too early lengthens the interval once", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.create(pendingGrant(1))
		a.poll(g, "first", start, devicegrant.PollPending)
		soon := start.Add(time.Second)
		want := a.poll(g, "mine", soon, devicegrant.PollTooSoon)
		for _, s := range []grants{a, b} {
			sameGrant(t, s.poll(g, "mine", soon, devicegrant.PollTooSoon), want)
		}
		if want.Interval != devicegrant.FirstInterval+devicegrant.IntervalStep {
			t.Fatalf("interval %s", want.Interval)
		}
		// Who polled before the last one is nobody's repeat.
		b.poll(g, "first", soon, devicegrant.PollTooSoon)
	})

	t.Run("a repeat sees what was decided in between", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.create(pendingGrant(1))
		a.poll(g, "mine", start, devicegrant.PollPending)
		a.decide(g, devicegrant.Approved, "x", start)
		if got := b.poll(g, "mine", start, devicegrant.PollClaimed); got.Owner != "mine" || got.ClaimNo != 1 {
			t.Fatalf("%+v", got)
		}
	})

	t.Run("a denial is told to its poll again and to no other", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.create(pendingGrant(1))
		a.decide(g, devicegrant.Denied, "x", start)
		want := a.poll(g, "mine", start, devicegrant.PollDenied)
		a.live(0)
		for range 2 {
			sameGrant(t, b.poll(g, "mine", start, devicegrant.PollDenied), want)
		}
		b.gone(g, start)
		if err := b.Decide(t.Context(), devicegrant.Decision{Ref: g.Ref, To: devicegrant.Denied, Transition: "x", Now: start}); !errors.Is(err, devicegrant.ErrNotFound) {
			t.Fatalf("decide: %v, want %v", err, devicegrant.ErrNotFound)
		}
		a.live(0)
	})

	t.Run("a forgotten poll is no poll that could be repeated", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.create(pendingGrant(1))
		a.poll(g, "mine", start, devicegrant.PollPending)
		a.poll(g, "mine too", start, devicegrant.PollTooSoon)
		for range 2 {
			if err := b.ForgetPoll(t.Context(), g.Ref); err != nil {
				t.Fatal(err)
			}
		}
		a.poll(g, "mine too", start, devicegrant.PollPending)
	})

	t.Run("release and delete are repeated without harm, also after others have moved on", func(t *testing.T) {
		a, b := openGrants(t, open)
		g := a.approved(1)
		a.poll(g, "first", start, devicegrant.PollClaimed)
		do := func(act func(ref secret.Digest, owner string) error, owner string) {
			t.Helper()
			if err := act(g.Ref, owner); err != nil {
				t.Fatal(err)
			}
		}
		release := func(ref secret.Digest, owner string) error { return b.Release(t.Context(), ref, owner) }
		remove := func(ref secret.Digest, owner string) error { return b.Delete(t.Context(), ref, owner) }
		do(release, "first")
		do(release, "first")
		second := a.poll(g, "second", start.Add(devicegrant.FirstInterval), devicegrant.PollClaimed)
		do(release, "first")
		do(remove, "first")
		sameGrant(t, b.find(g, start), second)
		do(remove, "second")
		do(remove, "second")
		again := pendingGrant(2)
		again.UserMAC = g.UserMAC
		a.create(again)
		do(remove, "second")
		if got := b.find(again, start); got.Ref != again.Ref {
			t.Fatal("a repeated deletion took the code of the next grant")
		}
	})
}
