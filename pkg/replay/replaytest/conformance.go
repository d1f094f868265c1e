// SPDX-License-Identifier: Apache-2.0

// Package replaytest holds the conformance suite of envelope.Replay, imported from tests
// alone.
package replaytest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
)

// Stores is one fresh, empty store as two processes hold it; a store in process is the
// same twice. Age lets time pass.
type Stores struct {
	A, B envelope.Replay
	Age  func(d time.Duration)
}

const id = "AAAAAAAAAAAAAAAAAAAAAA"

// Conformance is the contract of envelope.Replay.
func Conformance(t *testing.T, open func(t *testing.T) Stores) {
	consume := func(t *testing.T, s envelope.Replay, a envelope.Audience, id string) bool {
		t.Helper()
		fresh, err := s.Consume(t.Context(), a, id, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return fresh
	}
	t.Run("an id is fresh once, whichever process asks", func(t *testing.T) {
		s := open(t)
		if !consume(t, s.A, envelope.ExternalSubject, id) {
			t.Fatal("the first is not fresh")
		}
		if consume(t, s.A, envelope.ExternalSubject, id) || consume(t, s.B, envelope.ExternalSubject, id) {
			t.Fatal("a second is fresh")
		}
	})
	t.Run("an id belongs to its audience", func(t *testing.T) {
		s := open(t)
		consume(t, s.A, envelope.ExternalSubject, id)
		if !consume(t, s.B, envelope.ConsoleLogin, id) || !consume(t, s.B, envelope.ExternalSubject, "B"+id[1:]) {
			t.Fatal("another audience or id is not fresh")
		}
	})
	t.Run("a mark holds for its time", func(t *testing.T) {
		s := open(t)
		consume(t, s.A, envelope.ExternalSubject, id)
		s.Age(59 * time.Second)
		if consume(t, s.B, envelope.ExternalSubject, id) {
			t.Fatal("forgotten before its time")
		}
		s.Age(2 * time.Second)
		if !consume(t, s.B, envelope.ExternalSubject, id) {
			t.Fatal("kept beyond its time, or lengthened by a refusal")
		}
	})
	t.Run("of many at once one is fresh", func(t *testing.T) {
		s := open(t)
		var (
			wins  atomic.Int32
			group sync.WaitGroup
		)
		for i := range 50 {
			group.Go(func() {
				from := s.A
				if i%2 == 1 {
					from = s.B
				}
				if fresh, err := from.Consume(t.Context(), envelope.ExternalSubject, id, time.Minute); err == nil && fresh {
					wins.Add(1)
				}
			})
		}
		group.Wait()
		if wins.Load() != 1 {
			t.Fatalf("%d were fresh", wins.Load())
		}
	})
	t.Run("a cancelled context marks nothing", func(t *testing.T) {
		s := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if fresh, err := s.A.Consume(ctx, envelope.ExternalSubject, id, time.Minute); err == nil || fresh {
			t.Fatal("answered")
		}
		if !consume(t, s.A, envelope.ExternalSubject, id) {
			t.Fatal("marked")
		}
	})
}
