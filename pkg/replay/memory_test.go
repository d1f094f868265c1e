// SPDX-License-Identifier: Apache-2.0

package replay_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/replay"
	"github.com/dify-sso/dify-sso/pkg/replay/replaytest"
)

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) age(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

func TestConformance(t *testing.T) {
	replaytest.Conformance(t, func(*testing.T) replaytest.Stores {
		c := &clock{at: time.Unix(1767225600, 0)}
		m := replay.NewMemory(100, c.now)
		return replaytest.Stores{A: m, B: m, Age: c.age}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	c := &clock{at: time.Unix(1767225600, 0)}
	m := replay.NewMemory(2, c.now)
	use := func(i int) (bool, error) {
		return m.Consume(t.Context(), envelope.ExternalSubject, strconv.Itoa(i), time.Minute)
	}
	for i := range 2 {
		if fresh, err := use(i); !fresh || err != nil {
			t.Fatal(fresh, err)
		}
	}
	if fresh, err := use(2); fresh || !errors.Is(err, replay.ErrFull) {
		t.Fatalf("a third mark: %t, %v", fresh, err)
	}
	if fresh, err := use(0); fresh || err != nil {
		t.Fatalf("a full store has forgotten a mark: %t, %v", fresh, err)
	}
	c.age(time.Minute)
	if fresh, err := use(2); !fresh || err != nil {
		t.Fatalf("marks that are over take room: %t, %v", fresh, err)
	}
}
