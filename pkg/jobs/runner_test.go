// SPDX-License-Identifier: Apache-2.0

package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/pkg/jobs"
)

const (
	name   = "some.job"
	hourly = time.Hour
)

// fleet is several processes on one store.
type fleet struct {
	leases *faulty
	log    lockedBuffer
	mu     sync.Mutex
	did    []did
}

type did struct {
	owner   string
	outcome jobs.Outcome
	rows    int64
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}
func (b *lockedBuffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

// process gives a runner that always waits the longest time.
func (f *fleet) process(owner string) *jobs.Runner {
	return &jobs.Runner{
		Leases: f.leases, Owner: owner, Now: time.Now, Log: slog.New(slog.NewTextHandler(&f.log, nil)),
		Jitter: func(most time.Duration) time.Duration { return most },
		Report: func(_ string, o jobs.Outcome, rows int64) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.did = append(f.did, did{owner, o, rows})
		},
	}
}

func (f *fleet) all() []did {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]did(nil), f.did...)
}

func (f *fleet) counts() (done, failed, lost int) {
	for _, d := range f.all() {
		switch d.outcome {
		case jobs.Done:
			done++
		case jobs.Failed:
			failed++
		case jobs.Lost:
			lost++
		}
	}
	return done, failed, lost
}

func newFleet() *fleet {
	return &fleet{leases: &faulty{Leases: &leases{rows: map[string]lease{}}, on: map[int]mode{}}}
}

// inBubble runs fn under a clock that jumps.
func inBubble(t *testing.T, fn func(t *testing.T, f *fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(t, newFleet()) })
}

// start runs a worker and gives what stops it and waits for its end.
func start(t *testing.T, r *jobs.Runner, j jobs.Job) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Worker(j)(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the worker ended with %v", err)
		}
	})
}

func five(context.Context) (int64, error) { return 5, nil }

// untilStopped works until its context ends.
func untilStopped(ctx context.Context) (int64, error) { <-ctx.Done(); return 2, ctx.Err() }

func TestAJobIsDoneOnceAnIntervalByOneOfMany(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		for _, owner := range []string{"one", "two", "three"} {
			defer start(t, f.process(owner), jobs.Job{Name: name, Every: hourly, Do: five})()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := f.all(); len(got) != 0 {
			t.Fatalf("done with the start: %v", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := f.all(); len(got) != 1 || got[0].outcome != jobs.Done || got[0].rows != 5 {
			t.Fatalf("after the start: %v", got)
		}
		time.Sleep(10 * hourly)
		synctest.Wait()
		// Each turn is at least an interval after the last one and not much more.
		if n := len(f.all()); n != 10 && n != 11 {
			t.Errorf("%d times in ten hours", n)
		}
		if log := f.log.String(); !strings.Contains(log, "a job is done") || !strings.Contains(log, "rows=5") || !strings.Contains(log, "job="+name) {
			t.Errorf("the log says %q", log)
		}
	})
}

func TestARestartDoesNotRepeatAJobThatIsNotDue(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		j := jobs.Job{Name: name, Every: hourly, Do: five}
		stop := start(t, f.process("before"), j)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		stop()
		if n := len(f.all()); n != 1 {
			t.Fatalf("%d times", n)
		}
		defer start(t, f.process("after"), j)()
		time.Sleep(50 * time.Minute)
		synctest.Wait()
		if n := len(f.all()); n != 1 {
			t.Fatalf("%d times within the hour", n)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := f.all(); len(got) != 2 || got[1].owner != "after" {
			t.Fatalf("after the hour: %v", got)
		}
	})
}

func TestAFailureIsSurvivedAndTriedAgainAfterAPause(t *testing.T) {
	for kind, fail := range map[string]jobs.Work{
		"an error": func(context.Context) (int64, error) { return 1, errors.New("boom") },
		"a panic":  func(context.Context) (int64, error) { panic("boom") },
	} {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fleet) {
				calls := 0
				defer start(t, f.process("one"), jobs.Job{Name: name, Every: hourly, Do: func(ctx context.Context) (int64, error) {
					if calls++; calls == 1 {
						return fail(ctx)
					}
					return 5, nil
				}})()
				time.Sleep(3 * time.Minute)
				synctest.Wait()
				if done, failed, _ := f.counts(); done != 0 || failed != 1 || !strings.Contains(f.log.String(), "boom") {
					t.Fatalf("%v, log %q", f.all(), f.log.String())
				}
				// Nobody else runs into the same at once.
				if _, ok, err := f.leases.Leases.Take(t.Context(), name, "other", time.Now(), time.Minute); ok || err != nil {
					t.Fatal(ok, err)
				}
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if done, failed, _ := f.counts(); done != 1 || failed != 1 {
					t.Fatalf("%v", f.all())
				}
			})
		})
	}
}

func TestAStoreThatIsDownIsAskedAgain(t *testing.T) {
	for kind, fault := range map[string]mode{"it fails": fails, "its reply is lost": loseReply} {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fleet) {
				f.leases.plan(fault)
				defer start(t, f.process("one"), jobs.Job{Name: name, Every: hourly, Do: five})()
				time.Sleep(8 * time.Minute)
				synctest.Wait()
				if done, failed, _ := f.counts(); done != 0 || failed != 1 {
					t.Fatalf("%v", f.all())
				}
				f.leases.clear()
				time.Sleep(15 * time.Minute)
				synctest.Wait()
				if done, _, _ := f.counts(); done != 1 {
					t.Fatalf("%v", f.all())
				}
			})
		})
	}
}

func TestALongJobKeepsItsLease(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		long := func(ctx context.Context) (int64, error) {
			select {
			case <-time.After(20 * time.Minute):
				return 1, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		// Single renewals may fail, and one may hang.
		f.leases.on[4], f.leases.on[9] = fails, hangs
		defer start(t, f.process("one"), jobs.Job{Name: name, Every: hourly, Do: long})()
		time.Sleep(2*time.Minute + time.Second)
		for range 19 {
			if _, ok, err := f.leases.Leases.Take(t.Context(), name, "other", time.Now(), time.Minute); ok || err != nil {
				t.Fatal("another got it: ", ok, err)
			}
			time.Sleep(time.Minute)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if done, failed, lost := f.counts(); done != 1 || failed+lost != 0 {
			t.Fatalf("%v", f.all())
		}
	})
}

func TestWhoLosesTheLeaseStops(t *testing.T) {
	for kind, lose := range map[string]func(t *testing.T, f *fleet){
		"another has it": func(t *testing.T, f *fleet) { // as after a pause of the whole process
			f.steal(t, "other", hourly)
		},
		"another had it in between": func(t *testing.T, f *fleet) { f.steal(t, "other", time.Nanosecond) },
		"the store fails":           func(_ *testing.T, f *fleet) { f.leases.plan(fails) },
		"the store hangs":           func(_ *testing.T, f *fleet) { f.leases.plan(hangs) },
	} {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fleet) {
				defer start(t, f.process("one"), jobs.Job{Name: name, Every: hourly, Do: untilStopped})()
				time.Sleep(3 * time.Minute)
				synctest.Wait()
				if got := f.all(); len(got) != 0 {
					t.Fatalf("stopped while it held: %v", got)
				}
				lose(t, f)
				time.Sleep(time.Minute) // less than a lease after the last renewal that went through
				synctest.Wait()
				if got := f.all(); len(got) != 1 || got[0].outcome != jobs.Lost || got[0].rows != 2 {
					t.Fatalf("%v", got)
				}
			})
		})
	}
}

// steal ends whoever holds the lease and takes it.
func (f *fleet) steal(t *testing.T, owner string, life time.Duration) {
	t.Helper()
	if _, ok, err := f.leases.Leases.Take(t.Context(), name, owner, time.Now().Add(24*time.Hour), life-24*time.Hour); !ok || err != nil {
		t.Fatal(ok, err)
	}
}

func TestWhoIsStoppedGivesTheLeaseBack(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		stop := start(t, f.process("one"), jobs.Job{Name: name, Every: hourly, Do: untilStopped})
		time.Sleep(3 * time.Minute)
		stop()
		if fence, ok, err := f.leases.Leases.Take(t.Context(), name, "two", time.Now(), time.Minute); !ok || err != nil || fence != 2 {
			t.Fatal(fence, ok, err)
		}
		if got := f.all(); len(got) != 0 {
			t.Errorf("reported %v", got)
		}
	})
}

func TestAHolderThatDiedKeepsOthersOutForAMinute(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		defer start(t, f.process("one"), jobs.Job{Name: name, Every: hourly, Do: five})()
		time.Sleep(2*time.Minute - time.Second)
		if _, ok, err := f.leases.Leases.Take(t.Context(), name, "dead", time.Now(), time.Minute); !ok || err != nil {
			t.Fatal(ok, err)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if done, _, _ := f.counts(); done != 1 {
			t.Fatalf("%v", f.all())
		}
	})
}

func TestOnceDoesItAndGivesTheLeaseBack(t *testing.T) {
	f := newFleet()
	one, two := f.process("one"), f.process("two")
	var inner error
	n, err := one.Once(t.Context(), name, func(ctx context.Context) (int64, error) {
		_, inner = two.Once(ctx, name, five)
		return 7, nil
	})
	if n != 7 || err != nil || !errors.Is(inner, jobs.ErrHeld) {
		t.Fatal(n, err, inner)
	}
	if n, err := two.Once(t.Context(), name, five); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	boom := errors.New("boom")
	if n, err := one.Once(t.Context(), name, func(context.Context) (int64, error) { return 3, boom }); n != 3 || !errors.Is(err, boom) {
		t.Fatal(n, err)
	}
	f.leases.plan(fails)
	if _, err := one.Once(t.Context(), name, five); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	f.leases.clear()
	if n, err := two.Once(t.Context(), name, five); n != 5 || err != nil {
		t.Fatal("a failure kept the lease: ", n, err)
	}
}

func TestOwnersDiffer(t *testing.T) {
	a, b := jobs.NewOwner(), jobs.NewOwner()
	if a == b || len(a) < 20 || len(a) > 64 {
		t.Fatal(a, b)
	}
}
