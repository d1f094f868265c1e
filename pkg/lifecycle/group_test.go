// SPDX-License-Identifier: Apache-2.0

package lifecycle_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/lifecycle"
)

func untilDone(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func TestFirstFailureStopsTheOthers(t *testing.T) {
	boom := errors.New("boom")
	err := lifecycle.Run(t.Context(),
		lifecycle.Worker{Name: "waits", Run: untilDone},
		lifecycle.Worker{Name: "fails", Run: func(context.Context) error { return boom }})
	if !errors.Is(err, boom) || !strings.HasPrefix(err.Error(), "fails: ") {
		t.Fatalf("got %v", err)
	}
}

func TestEndOfContextIsNoFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := lifecycle.Run(ctx, lifecycle.Worker{Name: "waits", Run: untilDone}); err != nil {
		t.Fatal(err)
	}
}

func TestPanicIsAFailure(t *testing.T) {
	err := lifecycle.Run(t.Context(),
		lifecycle.Worker{Name: "waits", Run: untilDone},
		lifecycle.Worker{Name: "panics", Run: func(context.Context) error { panic("oops") }})
	if err == nil || !strings.Contains(err.Error(), "panics: panic: oops") {
		t.Fatalf("got %v", err)
	}
}

func TestSurvivingStartsAnew(t *testing.T) {
	starts, reports := 0, 0
	boom := errors.New("boom")
	w := lifecycle.Surviving(lifecycle.Worker{Name: "panics", Run: func(context.Context) error {
		if starts++; starts < 3 {
			panic("oops")
		}
		return boom
	}}, 0, func(worker string, panicked *lifecycle.PanicError) {
		if reports++; worker != "panics" || !strings.HasPrefix(panicked.Error(), "panic: oops\n") {
			t.Errorf("%s: %v", worker, panicked)
		}
	})
	if err := lifecycle.Run(t.Context(), w); !errors.Is(err, boom) || starts != 3 || reports != 2 {
		t.Fatalf("%v after %d starts and %d reports", err, starts, reports)
	}
}

func TestSurvivingEndsWithItsContext(t *testing.T) {
	for _, tc := range []struct {
		name string
		last func() error
		want string
	}{
		{"the last run is clean", func() error { return nil }, ""},
		{"the last run panics too", func() error { panic("again") }, "panic: again"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			w := lifecycle.Surviving(lifecycle.Worker{Name: "panics", Run: func(ctx context.Context) error {
				if ctx.Err() != nil {
					return tc.last()
				}
				panic("oops")
			}}, 1<<62, func(string, *lifecycle.PanicError) { time.AfterFunc(time.Millisecond, cancel) })
			err := w.Run(ctx)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want)) {
				t.Fatalf("got %v", err)
			}
		})
	}
}
