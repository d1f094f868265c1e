// SPDX-License-Identifier: Apache-2.0

package ratelimit_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/ratelimit/ratelimittest"
)

func TestMemory(t *testing.T) {
	ratelimittest.Conformance(t, func(*testing.T) ratelimit.Store { return ratelimit.NewMemory(10_000) })
}

func TestMemoryIsBounded(t *testing.T) {
	p := ratelimit.Policy{Name: "x", Limit: 2, Window: time.Minute}
	now := time.Unix(1_000_000, 0)
	for _, name := range []string{"RL-06 LIM-10 random scopes leave no more keys than the cap, and none once they are over"} {
		t.Run(name, func(t *testing.T) {
			m := ratelimit.NewMemory(1000)
			for i := range 5000 {
				if _, err := m.Take(context.Background(), p, fmt.Sprint(i), now); err != nil {
					t.Fatal(err)
				}
			}
			if n := m.Sweep(now); n != 0 {
				t.Fatalf("%d live counters were swept", n)
			}
			if n := m.Sweep(now.Add(2 * time.Minute)); n == 0 || n > 1000 {
				t.Fatalf("%d counters were held", n)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]struct {
		limit  int
		window time.Duration
		ok     bool
	}{
		"120/1h": {120, time.Hour, true}, "60": {60, 0, true}, "0": {0, 0, true}, " 5 / 15m ": {5, 15 * time.Minute, true}, //nolint:gocritic // the blanks are what is tested
		"": {}, "-1": {}, "a": {}, "1/": {}, "1/0s": {}, "1/1ms": {}, "1e3": {}, "9999999": {},
	} {
		limit, window, err := ratelimit.Parse(in)
		if (err == nil) != want.ok || limit != want.limit || window != want.window {
			t.Errorf("Parse(%q) = %d, %s, %v", in, limit, window, err)
		}
	}
}
