// SPDX-License-Identifier: Apache-2.0

package lifecycle_test

import (
	"context"
	"errors"
	"strings"
	"testing"

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
	ctx, cancel := context.WithCancel(t.Context())
	w := lifecycle.Surviving(lifecycle.Worker{Name: "panics", Run: func(context.Context) error { cancel(); panic("oops") }},
		1<<62, func(string, *lifecycle.PanicError) {})
	if err := w.Run(ctx); err == nil || !strings.HasPrefix(err.Error(), "panic: oops") {
		t.Fatalf("got %v", err)
	}
}
