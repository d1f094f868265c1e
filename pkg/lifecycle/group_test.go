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
