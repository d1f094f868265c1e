// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// takeLease asks for a lease of a minute.
func (d Durable) takeLease(t *testing.T, name, owner string, now time.Time) (fence int64, ok bool) {
	t.Helper()
	fence, ok, err := d.Leases.Take(t.Context(), name, owner, now, time.Minute)
	if err != nil {
		t.Fatal("take: ", err)
	}
	return fence, ok
}

// leaseHeld takes a lease that must be given, and with this fence.
func (d Durable) leaseHeld(t *testing.T, name, owner string, now time.Time, want int64) {
	t.Helper()
	if fence, ok := d.takeLease(t, name, owner, now); !ok || fence != want {
		t.Fatalf("%s takes %s: %t with fence %d, want fence %d", owner, name, ok, fence, want)
	}
}

func (d Durable) leaseRefused(t *testing.T, name, owner string, now time.Time) {
	t.Helper()
	if fence, ok := d.takeLease(t, name, owner, now); ok || fence != 0 {
		t.Fatalf("%s takes %s of another, fence %d", owner, name, fence)
	}
}

// Leases is the contract of jobs.Leases.
func Leases(t *testing.T, open OpenDurable) {
	t.Run("one holds it until its end by the clock that is given", func(t *testing.T) {
		a, b := open(t)
		a.leaseHeld(t, "job", "one", start, 1)
		b.leaseRefused(t, "job", "two", start)
		b.leaseRefused(t, "job", "two", after(time.Minute-time.Microsecond))
		b.leaseHeld(t, "job", "two", after(time.Minute), 2)
		a.leaseRefused(t, "job", "one", after(time.Minute))
	})

	t.Run("a refusal leaves the holder's end where it is", func(t *testing.T) {
		a, b := open(t)
		a.leaseHeld(t, "job", "one", start, 1)
		b.leaseRefused(t, "job", "two", after(59*time.Second))
		b.leaseHeld(t, "job", "two", after(time.Minute), 2)
	})

	t.Run("renewing moves the end and keeps the fence, in both directions", func(t *testing.T) {
		a, b := open(t)
		a.leaseHeld(t, "job", "one", start, 1)
		a.leaseHeld(t, "job", "one", after(40*time.Second), 1)
		b.leaseRefused(t, "job", "two", after(99*time.Second))
		if fence, ok, err := a.Leases.Take(t.Context(), "job", "one", after(50*time.Second), time.Second); err != nil || !ok || fence != 1 {
			t.Fatal(fence, ok, err)
		}
		b.leaseHeld(t, "job", "two", after(51*time.Second), 2)
	})

	t.Run("an owner that comes late and finds nobody goes on under its fence", func(t *testing.T) {
		a, _ := open(t)
		a.leaseHeld(t, "job", "one", start, 1)
		a.leaseHeld(t, "job", "one", after(time.Hour), 1)
	})

	t.Run("the fence grows with each new owner, former ones included", func(t *testing.T) {
		a, b := open(t)
		for i, owner := range []string{"one", "two", "one", "three", "one"} {
			a.leaseHeld(t, "job", owner, after(time.Duration(i)*time.Minute), int64(i+1))
		}
		b.leaseRefused(t, "job", "two", after(4*time.Minute))
	})

	t.Run("released, it is free at once, and the fence grows all the same", func(t *testing.T) {
		a, b := open(t)
		a.leaseHeld(t, "job", "one", start, 1)
		if err := a.Leases.Release(t.Context(), "job", "one", after(time.Second)); err != nil {
			t.Fatal(err)
		}
		b.leaseHeld(t, "job", "two", after(time.Second), 2)
		for name, release := range map[string]func() error{
			"the former owner":   func() error { return a.Leases.Release(t.Context(), "job", "one", after(2*time.Second)) },
			"of an unknown name": func() error { return a.Leases.Release(t.Context(), "other", "two", after(2*time.Second)) },
		} {
			if err := release(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		a.leaseRefused(t, "job", "one", after(2*time.Second))
		if err := b.Leases.Release(t.Context(), "job", "two", after(time.Hour)); err != nil {
			t.Fatal(err)
		}
		a.leaseHeld(t, "job", "one", after(61*time.Second), 3) // a late release does not lengthen a lease
	})

	t.Run("names do not know one another", func(t *testing.T) {
		a, b := open(t)
		a.leaseHeld(t, "job", "one", start, 1)
		b.leaseHeld(t, "other", "two", start, 1)
		a.leaseRefused(t, "other", "one", start)
	})

	t.Run("of many at once one gets it", func(t *testing.T) {
		a, b := open(t)
		handles := []Durable{a, b}
		for round, fence := range []int64{1, 2} {
			now := after(time.Duration(round) * time.Minute)
			type answer struct {
				fence int64
				ok    bool
				err   error
			}
			won := 0
			for _, got := range atOnce(contenders, func(i int) (r answer) {
				r.fence, r.ok, r.err = handles[i%2].Leases.Take(context.Background(), "job", fmt.Sprint(round, i), now, time.Minute)
				return r
			}) {
				if got.err != nil {
					t.Fatal(got.err)
				}
				if got.ok {
					won++
					if got.fence != fence {
						t.Errorf("fence %d, want %d", got.fence, fence)
					}
				}
			}
			if won != 1 {
				t.Fatalf("round %d: %d of %d hold it", round, won, contenders)
			}
		}
	})

	t.Run("a cancelled context takes and releases nothing", func(t *testing.T) {
		a, b := open(t)
		ctx := cancelled(t)
		if _, ok, err := a.Leases.Take(ctx, "job", "one", start, time.Minute); ok || !errors.Is(err, context.Canceled) {
			t.Fatal(ok, err)
		}
		b.leaseHeld(t, "job", "two", start, 1)
		if err := b.Leases.Release(ctx, "job", "two", start); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		a.leaseRefused(t, "job", "one", start)
	})
}
