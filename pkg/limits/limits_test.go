// SPDX-License-Identifier: Apache-2.0

package limits_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/limits"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
)

type nowhere struct{}

func (nowhere) Append(context.Context, ...audit.Event) error { return nil }

func deps(t *testing.T) limits.Deps {
	t.Helper()
	recorder, err := audit.NewRecorder(nowhere{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return limits.Deps{Policies: policies(), Store: ratelimit.NewMemory(10), Recorder: recorder, Now: time.Now}
}

func policies() limits.Policies {
	return limits.Policies{limits.Of("b.two", 2, time.Hour), limits.Of("a.one", 1, time.Hour).Locked(time.Minute)}
}

func TestATableNeedsPolicies(t *testing.T) {
	d := deps(t)
	d.Policies = nil
	if _, err := limits.New(d); err == nil {
		t.Fatal("made without policies")
	}
}

func TestAServiceAsksItsOwnPolicies(t *testing.T) {
	d := deps(t)
	d.Overrides = map[limits.Name]limits.Override{"b.two": {Limit: 0}}
	table, err := limits.New(d)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, limits.ErrTooMany} {
		if _, err := table.Take(t.Context(), "a.one", "x"); !errors.Is(err, want) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	for range 5 {
		if _, err := table.Take(t.Context(), "b.two", "x"); err != nil {
			t.Errorf("a limit that is off refuses: %v", err)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]struct {
		overrides map[limits.Name]limits.Override
		wrong     string
	}{
		"":                       {},
		"a.one=120/1h, b.two=0,": {overrides: map[limits.Name]limits.Override{"a.one": {Limit: 120, Window: time.Hour}, "b.two": {}}},
		"c.three=1":              {wrong: `names no limit: "c.three"; the limits are a.one, b.two`},
		"a.one=many,b.two=3":     {overrides: map[limits.Name]limits.Override{"b.two": {Limit: 3}}, wrong: `a.one: a limit reads "120/1h", "60" or "0"`},
	} {
		wrong := ""
		got := policies().Parse(text, func(format string, args ...any) { wrong += fmt.Sprintf(format, args...) })
		if !maps.Equal(got, want.overrides) || wrong != want.wrong {
			t.Errorf("%q: %v, %q", text, got, wrong)
		}
	}
}
