// SPDX-License-Identifier: Apache-2.0

package limits_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
)

// sink keeps events in memory.
type sink struct {
	mu     sync.Mutex
	events []audit.Event
}

func (s *sink) Append(_ context.Context, events ...audit.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, events...)
	return nil
}

// counters is a store of counters that can be down.
type counters struct {
	ratelimit.Store
	down  bool
	calls int
}

var errDown = errors.New("counters are down")

func (c *counters) Take(ctx context.Context, p ratelimit.Policy, scope string, now time.Time) (ratelimit.Result, error) {
	c.calls++
	if c.down {
		return ratelimit.Result{}, errDown
	}
	return c.Store.Take(ctx, p, scope, now)
}

func (c *counters) Settle(ctx context.Context, p ratelimit.Policy, scope string, failed bool, now time.Time) (ratelimit.Result, error) {
	c.calls++
	if err := ctx.Err(); err != nil {
		return ratelimit.Result{}, err
	}
	if c.down {
		return ratelimit.Result{}, errDown
	}
	return c.Store.Settle(ctx, p, scope, failed, now)
}

// table is a limits.Table under a clock that stands still.
type table struct {
	*limits.Table
	t        *testing.T
	now      time.Time
	store    *counters
	sink     *sink
	recorder *audit.Recorder
	refused  []string
}

func newTable(t *testing.T, overrides map[limits.Name]limits.Override) *table {
	t.Helper()
	x := &table{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), store: &counters{Store: ratelimit.NewMemory(10_000)}, sink: &sink{}}
	var err error
	if x.recorder, err = audit.NewRecorder(x.sink, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	x.Table, err = limits.New(limits.Deps{
		Store: x.store, Recorder: x.recorder, Now: func() time.Time { return x.now }, Overrides: overrides,
		Refused: func(policy string) { x.refused = append(x.refused, policy) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *table) passes(name limits.Name, scope string) ratelimit.Result {
	x.t.Helper()
	r, err := x.Take(x.t.Context(), name, scope)
	if err != nil || !r.Allowed {
		x.t.Fatalf("%s of %s: %+v, %v", name, scope, r, err)
	}
	return r
}

func (x *table) refuses(name limits.Name, scope string) ratelimit.Result {
	x.t.Helper()
	r, err := x.Take(x.t.Context(), name, scope)
	if !errors.Is(err, limits.ErrTooMany) || r.Allowed || fault.Of(err).Retry() != r.RetryAfter || r.RetryAfter <= 0 {
		x.t.Fatalf("%s of %s: %+v, %v", name, scope, r, err)
	}
	return r
}

func (x *table) recorded() []audit.Event {
	x.t.Helper()
	if err := x.recorder.Flush(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
	return x.sink.events
}

// documented reads the table of the specification: policy to its numbers.
func documented(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("../../../docs/specs/v1.0/server/middleware.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(raw), "\n## Rate limits\n")
	if !ok {
		t.Fatal("the section is gone")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	out := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		names, numbers := strings.Split(cells[1], ","), strings.Split(cells[2], ",")
		for i, n := range names {
			out[strings.Trim(n, " `")] = strings.TrimSpace(numbers[min(i, len(numbers)-1)])
		}
	}
	return out
}

func TestEveryPolicyIsDocumentedWithItsNumbers(t *testing.T) {
	docs := documented(t)
	units := map[time.Duration]string{time.Second: "per s", time.Minute: "per min", 5 * time.Minute: "per 5 min", 15 * time.Minute: "per 15 min", time.Hour: "per h"}
	for _, name := range limits.Names() {
		text, ok := docs[name]
		if !ok {
			t.Errorf("%s is not documented", name)
			continue
		}
		x := newTable(t, nil)
		r := x.passes(limits.Name(name), "a")
		for range r.Remaining {
			x.passes(limits.Name(name), "a")
		}
		window := x.refuses(limits.Name(name), "a").Reset
		first, rest, _ := strings.Cut(text, " ")
		if got := r.Limit; first != strconv.Itoa(got) {
			t.Errorf("%s allows %d, documented is %q", name, got, text)
		}
		if unit := units[window.Round(time.Second)]; unit == "" || !strings.HasPrefix(strings.TrimPrefix(rest, "failures ")+" ", unit+" ") {
			t.Errorf("%s is refilled in %s, documented is %q", name, window, text)
		}
	}
	if !slices.IsSorted(limits.Names()) {
		t.Error("names are not in order")
	}
}

func TestOverrides(t *testing.T) {
	t.Run("an unknown name refuses the start and lists the known ones", func(t *testing.T) {
		recorder, _ := audit.NewRecorder(&sink{}, slog.New(slog.DiscardHandler))
		_, err := limits.New(limits.Deps{Store: ratelimit.NewMemory(1), Recorder: recorder, Now: time.Now,
			Overrides: map[limits.Name]limits.Override{"device.code.adr": {Limit: 1}}})
		if err == nil || !strings.Contains(err.Error(), "device.code.adr") || !strings.Contains(err.Error(), string(limits.DeviceCodeAddr)) {
			t.Fatal(err)
		}
	})

	t.Run("a limit without a window keeps the policy's", func(t *testing.T) {
		x := newTable(t, map[limits.Name]limits.Override{limits.DeviceCodeAddr: {Limit: 2}, limits.DeviceLookupAddr: {Limit: 2, Window: 10 * time.Second}})
		for _, name := range []limits.Name{limits.DeviceCodeAddr, limits.DeviceLookupAddr} {
			x.passes(name, "a")
			x.passes(name, "a")
		}
		if r := x.refuses(limits.DeviceCodeAddr, "a"); r.Reset != time.Hour || r.RetryAfter != 30*time.Minute {
			t.Errorf("%+v", r)
		}
		if r := x.refuses(limits.DeviceLookupAddr, "a"); r.Reset != 10*time.Second || r.RetryAfter != 5*time.Second {
			t.Errorf("%+v", r)
		}
	})

	t.Run("LIM-5 nought turns it off: nothing is counted", func(t *testing.T) {
		x := newTable(t, map[limits.Name]limits.Override{limits.ConsoleLoginPair: {}})
		for range 50 {
			if r := x.passes(limits.ConsoleLoginPair, "a"); r.Limit != 0 {
				t.Fatalf("%+v", r)
			}
			x.Settle(t.Context(), limits.ConsoleLoginPair, "a", true)
		}
		if x.store.calls != 0 {
			t.Fatalf("%d calls", x.store.calls)
		}
	})
}

func TestTake(t *testing.T) {
	for _, name := range limits.Names() {
		t.Run("LIM-5 LIM-1 "+name+" is what its override says", func(t *testing.T) {
			x := newTable(t, map[limits.Name]limits.Override{limits.Name(name): {Limit: 2, Window: 10 * time.Second}})
			for i, allowed := range []bool{true, true, false} {
				if _, err := x.Take(t.Context(), limits.Name(name), "s"); (err == nil) != allowed || err != nil && !errors.Is(err, limits.ErrTooMany) {
					t.Fatalf("call %d: %v", i+1, err)
				}
			}
			if p, err := x.Policy(limits.Name(name)); err != nil || p.Window != 10*time.Second {
				t.Errorf("%+v, %v", p, err)
			}
			x = newTable(t, map[limits.Name]limits.Override{limits.Name(name): {}})
			for range 1000 {
				if _, err := x.Take(t.Context(), limits.Name(name), "s"); err != nil {
					t.Fatal(err)
				}
				x.Settle(t.Context(), limits.Name(name), "s", true)
			}
			if x.store.calls != 0 {
				t.Errorf("what is off is counted %d times", x.store.calls)
			}
		})
	}
	t.Run("LIM-1 RL-02 one policy's end moves no other, one scope's no other", func(t *testing.T) {
		x := newTable(t, map[limits.Name]limits.Override{limits.DeviceCodeAddr: {Limit: 1}})
		x.passes(limits.DeviceCodeAddr, "a")
		x.refuses(limits.DeviceCodeAddr, "a")
		x.passes(limits.DeviceCodeAddr, "b")
		for _, name := range limits.Names() {
			if limits.Name(name) != limits.DeviceCodeAddr {
				x.passes(limits.Name(name), "a")
			}
		}
	})

	t.Run("LIM-4 who waits as long as told passes, who comes earlier does not", func(t *testing.T) {
		x := newTable(t, map[limits.Name]limits.Override{limits.ConsoleSetupAddr: {Limit: 4, Window: time.Minute}})
		for range 4 {
			x.passes(limits.ConsoleSetupAddr, "a")
		}
		wait := x.refuses(limits.ConsoleSetupAddr, "a").RetryAfter
		x.now = x.now.Add(wait - time.Microsecond)
		x.refuses(limits.ConsoleSetupAddr, "a")
		x.now = x.now.Add(time.Microsecond)
		x.passes(limits.ConsoleSetupAddr, "a")
	})

	t.Run("LOG-03 the first refusal of a scope and window is on record, all are counted", func(t *testing.T) {
		x := newTable(t, map[limits.Name]limits.Override{limits.DeviceCodeAddr: {Limit: 1}})
		x.passes(limits.DeviceCodeAddr, "a")
		x.passes(limits.DeviceCodeAddr, "b")
		for range 3 {
			x.refuses(limits.DeviceCodeAddr, "a")
		}
		x.refuses(limits.DeviceCodeAddr, "b")
		if n := len(x.recorded()); n != 2 || len(x.refused) != 4 {
			t.Fatalf("%d events, %d counted", n, len(x.refused))
		}
		if e := x.recorded()[0]; e.Name != "oauth.rate_limited" || string(e.Fields) != `{"policy":"device.code.addr"}` || e.Actor != audit.Anonymous {
			t.Fatalf("%+v", e)
		}
		x.now = x.now.Add(time.Hour)
		x.passes(limits.DeviceCodeAddr, "a")
		x.refuses(limits.DeviceCodeAddr, "a")
		if n := len(x.recorded()); n != 3 {
			t.Fatalf("%d events", n)
		}
	})
}

func TestAnUnknownPolicyIsNoPermit(t *testing.T) {
	x := newTable(t, nil)
	const name = "device.cod.addr"
	_, taken := x.Take(t.Context(), name, "a")
	_, judged := x.Judge(t.Context(), name, "a", ratelimit.Result{Allowed: true}, nil)
	_, spent := x.Spent(name, "a")
	_, shared := x.Spent(limits.DeviceCodeAddr, "a") // what this process counts alone can be looked at
	_, numbers := x.Policy(name)
	for what, err := range map[string]error{"take": taken, "judge": judged, "spent": spent, "spent elsewhere": shared, "numbers": numbers} {
		if err == nil || fault.Of(err).Kind() != fault.Internal { // no error is of that kind too
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSpent(t *testing.T) {
	x := newTable(t, map[limits.Name]limits.Override{limits.BearerFailedAddr: {Limit: 1}})
	for range 2 { // asking counts nothing
		if _, err := x.Spent(limits.BearerFailedAddr, "a"); err != nil {
			t.Fatal(err)
		}
	}
	x.passes(limits.BearerFailedAddr, "a")
	if _, err := x.Spent(limits.BearerFailedAddr, "a"); !errors.Is(err, limits.ErrTooMany) || fault.Of(err).Retry() <= 0 {
		t.Fatalf("err = %v", err)
	}
	if _, err := x.Spent(limits.BearerFailedAddr, "b"); err != nil {
		t.Fatal(err)
	}
}

func TestNewChecksWhatItNeeds(t *testing.T) {
	recorder, err := audit.NewRecorder(&sink{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	whole := limits.Deps{Store: ratelimit.NewMemory(10), Recorder: recorder, Now: time.Now}
	for name, drop := range map[string]func(*limits.Deps){
		"store": func(d *limits.Deps) { d.Store = nil }, "recorder": func(d *limits.Deps) { d.Recorder = nil }, "clock": func(d *limits.Deps) { d.Now = nil },
	} {
		d := whole
		drop(&d)
		if _, err := limits.New(d); err == nil {
			t.Errorf("made without %s", name)
		}
	}
}

func TestCountersDown(t *testing.T) {
	inProcess := []limits.Name{limits.DevicePollAddr, limits.BearerFailedAddr}
	fallBack := []limits.Name{limits.BearerToken, limits.AccountRead, limits.RevokeAddr, limits.IntrospectClient}

	t.Run("LIM-7 OUT-01 what mints and signs in is refused, what reads is counted in process", func(t *testing.T) {
		x := newTable(t, nil)
		x.store.down = true
		for _, name := range limits.Names() {
			r, err := x.Take(t.Context(), limits.Name(name), "a")
			if slices.Contains(inProcess, limits.Name(name)) || slices.Contains(fallBack, limits.Name(name)) {
				if err != nil || !r.Allowed || r.Limit == 0 {
					t.Errorf("%s: %+v, %v", name, r, err)
				}
				continue
			}
			if f := fault.Of(err); err == nil || f.Kind() != fault.Unavailable || f.Retry() == 0 || errors.Is(err, limits.ErrTooMany) {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
		}
		if len(x.refused) != 0 || len(x.recorded()) != 0 {
			t.Error("an outage counts as a refusal by a limit")
		}
	})

	t.Run("LIM-7 in process the same policy holds", func(t *testing.T) {
		x := newTable(t, map[limits.Name]limits.Override{limits.BearerToken: {Limit: 2}})
		x.store.down = true
		x.passes(limits.BearerToken, "a")
		x.passes(limits.BearerToken, "a")
		x.refuses(limits.BearerToken, "a")
	})

	t.Run("what lives in process never asks the store", func(t *testing.T) {
		x := newTable(t, nil)
		for _, name := range inProcess {
			x.passes(name, "a")
			x.Settle(t.Context(), name, "a", false)
		}
		if x.store.calls != 0 {
			t.Fatalf("%d calls", x.store.calls)
		}
	})

	t.Run("a caller who has left counts nowhere", func(t *testing.T) {
		x := newTable(t, map[limits.Name]limits.Override{limits.BearerToken: {Limit: 1}})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := x.Take(ctx, limits.BearerToken, "a"); err == nil {
			t.Fatal("counted")
		}
		x.passes(limits.BearerToken, "a")
	})
}

func TestSettle(t *testing.T) {
	t.Run("LIM-15 RL-03 right ones are never refused, wrong ones use the budget up", func(t *testing.T) {
		x := newTable(t, nil)
		for range 100 {
			x.passes(limits.ConsoleLoginPair, "a")
			x.Settle(t.Context(), limits.ConsoleLoginPair, "a", false)
		}
		for range 5 {
			x.passes(limits.ConsoleLoginPair, "a")
			x.Settle(t.Context(), limits.ConsoleLoginPair, "a", true)
		}
		x.refuses(limits.ConsoleLoginPair, "a")
		x.passes(limits.ConsoleLoginPair, "b")
	})

	t.Run("LIM-15 a hundred at once: five permits", func(t *testing.T) {
		x := newTable(t, nil)
		x.Table, _ = limits.New(limits.Deps{Store: ratelimit.NewMemory(100), Recorder: x.recorder, Now: func() time.Time { return x.now }})
		var wg sync.WaitGroup
		var mu sync.Mutex
		passed := 0
		for range 100 {
			wg.Go(func() {
				if _, err := x.Take(context.Background(), limits.DeviceWrongAccount, "a"); err == nil {
					mu.Lock()
					passed++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if passed != 5 {
			t.Fatalf("%d passed", passed)
		}
	})

	t.Run("LIM-11 the fifth wrong code locks for a quarter of an hour", func(t *testing.T) {
		x := newTable(t, nil)
		for range 5 {
			x.passes(limits.DeviceWrongAccount, "a")
			x.Settle(t.Context(), limits.DeviceWrongAccount, "a", true)
		}
		if r := x.refuses(limits.DeviceWrongAccount, "a"); !r.Locked || r.RetryAfter != 15*time.Minute {
			t.Fatalf("%+v", r)
		}
		x.passes(limits.DeviceWrongAccount, "b")
		x.now = x.now.Add(15*time.Minute - time.Microsecond)
		x.refuses(limits.DeviceWrongAccount, "a")
		x.now = x.now.Add(time.Microsecond)
		x.passes(limits.DeviceWrongAccount, "a")
	})

	t.Run("a failure is settled also when its caller has left, and a store that is down keeps the permit", func(t *testing.T) {
		x := newTable(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		for range 5 {
			x.passes(limits.ConsoleLoginPair, "a")
		}
		x.store.down = true
		x.Settle(ctx, limits.ConsoleLoginPair, "a", false) // lost
		x.store.down = false
		x.refuses(limits.ConsoleLoginPair, "a")
		cancel()
		x.Settle(ctx, limits.ConsoleLoginPair, "a", false)
		x.passes(limits.ConsoleLoginPair, "a")
	})
}

func TestSweepKeepsWhatCounts(t *testing.T) {
	x := newTable(t, map[limits.Name]limits.Override{limits.DevicePollAddr: {Limit: 1}, limits.DeviceCodeAddr: {Limit: 1}})
	for _, name := range []limits.Name{limits.DevicePollAddr, limits.DeviceCodeAddr} {
		x.passes(name, "a")
		x.refuses(name, "a")
	}
	x.Sweep(x.now)
	for _, name := range []limits.Name{limits.DevicePollAddr, limits.DeviceCodeAddr} {
		x.refuses(name, "a")
	}
	if n := len(x.recorded()); n != 2 {
		t.Fatalf("%d events: what was on record was forgotten", n)
	}
}
