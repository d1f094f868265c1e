// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
)

// lastUse reads what is stored.
func (b *bench) lastUse(m token.Minted) (at time.Time, ip string) {
	b.t.Helper()
	s, err := b.Find(b.t.Context(), b.subject(), m.Session.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	if s.LastUsedAt != nil {
		at = *s.LastUsedAt
	}
	return at, s.LastUsedIP
}

func (b *bench) flush() {
	b.t.Helper()
	if err := b.FlushUsage(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func TestLastUse(t *testing.T) {
	t.Run("TK-18 null, then the last of a batch, then once a minute", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		if at, ip := b.lastUse(m); !at.IsZero() || ip != "" {
			t.Fatalf("used at %s from %s", at, ip)
		}
		b.Used(m.Session.ID, m.Session.CreatedAt, "192.0.2.1")
		b.Clock.Advance(time.Second)
		b.Used(m.Session.ID, m.Session.CreatedAt, "192.0.2.2")
		first := b.Clock.Now()
		b.flush()
		if at, ip := b.lastUse(m); !at.Equal(first) || ip != "192.0.2.2" {
			t.Fatalf("used at %s from %s", at, ip)
		}

		b.Clock.Advance(time.Minute - time.Microsecond)
		b.Used(m.Session.ID, m.Session.CreatedAt, "192.0.2.3")
		b.flush()
		if at, _ := b.lastUse(m); !at.Equal(first) || b.faults.Calls("TouchUsed") != 1 {
			t.Fatalf("written again within the minute, %d writes", b.faults.Calls("TouchUsed"))
		}

		b.Clock.Advance(time.Microsecond)
		b.Used(m.Session.ID, m.Session.CreatedAt, "192.0.2.4")
		b.flush()
		if at, ip := b.lastUse(m); !at.Equal(b.Clock.Now()) || ip != "192.0.2.4" {
			t.Fatalf("used at %s from %s", at, ip)
		}
	})

	t.Run("TK-18 the minute is lengthened by chance, each time anew", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		uses := func(after time.Duration, want int) {
			t.Helper()
			b.Clock.Advance(after)
			b.Used(m.Session.ID, m.Session.CreatedAt, "192.0.2.1")
			b.flush()
			if n := b.faults.Calls("TouchUsed"); n != want {
				t.Fatalf("%d writes, want %d", n, want)
			}
		}
		b.jitter = 14 * time.Second
		uses(0, 1)
		uses(74*time.Second-time.Microsecond, 1)
		uses(time.Microsecond, 2)
		b.jitter = 0
		uses(time.Minute, 2) // what was drawn with the last write holds
		uses(14*time.Second, 3)
		for i := range 10 { // and so on, however old the memory of it grows
			uses(59*time.Second, 3+i)
			uses(time.Second, 4+i)
		}
	})

	t.Run("TK-18 a new token of the session is noted at its first use", func(t *testing.T) {
		b := newBench(t)
		first := b.minted(b.request("l"))
		b.Used(first.Session.ID, first.Session.CreatedAt, "192.0.2.1")
		b.flush()
		b.Clock.Advance(time.Second)
		second := b.minted(b.request("l"))
		if at, _ := b.lastUse(second); !at.IsZero() {
			t.Fatalf("used at %s before its first use", at)
		}
		b.Clock.Advance(time.Second)
		b.Used(second.Session.ID, second.Session.CreatedAt, "192.0.2.2")
		b.flush()
		if at, ip := b.lastUse(second); !at.Equal(b.Clock.Now()) || ip != "192.0.2.2" {
			t.Fatalf("used at %s from %s", at, ip)
		}
	})

	t.Run("a clock that stepped back holds nothing up", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.Clock.Advance(time.Hour)
		b.Used(m.Session.ID, m.Session.CreatedAt, "192.0.2.1")
		b.flush()
		b.Clock.Advance(-30 * time.Minute)
		b.Used(m.Session.ID, m.Session.CreatedAt, "192.0.2.2")
		b.flush()
		if n := b.faults.Calls("TouchUsed"); n != 2 {
			t.Fatalf("%d writes", n)
		}
	})

	t.Run("many go in several batches; the rest of one that failed goes with the next", func(t *testing.T) {
		b := newBench(t)
		for i := range 1100 {
			b.Used(fmt.Sprint(i), b.Clock.Now(), "")
		}
		b.faults.Plan(storetest.Fault{Method: "TouchUsed", On: 2})
		if err := b.FlushUsage(t.Context()); err == nil || b.faults.Calls("TouchUsed") != 2 {
			t.Fatalf("%d writes, %v", b.faults.Calls("TouchUsed"), err)
		}
		b.flush()
		b.flush()
		if n := b.faults.Calls("TouchUsed"); n != 4 { // 500, then 500 and 100
			t.Fatalf("%d writes", n)
		}
	})

	t.Run("nothing used, nothing written", func(t *testing.T) {
		b := newBench(t)
		b.flush()
		if b.faults.Total() != 0 {
			t.Fatal("the store was asked")
		}
	})

	t.Run("what could not be written goes with the next batch, unless a newer use came", func(t *testing.T) {
		b := newBench(t)
		one, two := b.minted(b.request("1")), b.minted(b.request("2"))
		b.faults.Plan(storetest.Fault{Method: "TouchUsed", On: 1})
		b.Used(one.Session.ID, one.Session.CreatedAt, "192.0.2.1")
		b.Used(two.Session.ID, two.Session.CreatedAt, "192.0.2.2")
		used := b.Clock.Now()
		if err := b.FlushUsage(t.Context()); err == nil {
			t.Fatal("the failure is kept silent")
		}
		b.Clock.Advance(time.Second)
		b.Used(two.Session.ID, two.Session.CreatedAt, "192.0.2.3")
		b.flush()
		if at, ip := b.lastUse(one); !at.Equal(used) || ip != "192.0.2.1" {
			t.Errorf("one: used at %s from %s", at, ip)
		}
		if at, ip := b.lastUse(two); !at.Equal(b.Clock.Now()) || ip != "192.0.2.3" {
			t.Errorf("two: used at %s from %s", at, ip)
		}
	})

	t.Run("TK-18 the writer writes each second and once more when it is stopped", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- b.RunUsage(ctx) }()
			b.Used(m.Session.ID, m.Session.CreatedAt, "192.0.2.1")
			time.Sleep(time.Second - time.Millisecond)
			if n := b.faults.Calls("TouchUsed"); n != 0 {
				t.Errorf("%d writes before the second is over", n)
			}
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			if n := b.faults.Calls("TouchUsed"); n != 1 {
				t.Errorf("%d writes after a second", n)
			}
			b.Clock.Advance(time.Minute)
			b.Used(m.Session.ID, m.Session.CreatedAt, "192.0.2.2")
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		if at, ip := b.lastUse(m); !at.Equal(b.Clock.Now()) || ip != "192.0.2.2" {
			t.Fatalf("used at %s from %s", at, ip)
		}
	})
}
