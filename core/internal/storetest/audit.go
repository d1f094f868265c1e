// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// Audit is the contract of audit.Sink.
func Audit(t *testing.T, open OpenDurable) {
	t.Run("every field comes back as it went in, in order", func(t *testing.T) {
		a, b := open(t)
		full := event("one")
		bare := audit.Event{ID: canon.NewID(), At: after(time.Microsecond), Name: "test.bare", Actor: audit.System, Fields: []byte(`{}`)}
		if err := a.Audit.Append(t.Context(), full, bare); err != nil {
			t.Fatal(err)
		}
		same(t, "events", b.Events(t), []audit.Event{full, bare})
	})

	t.Run("all or none", func(t *testing.T) {
		a, b := open(t)
		first := event("one")
		if err := a.Audit.Append(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		broken := event("two")
		broken.ID = "no id"
		if err := a.Audit.Append(t.Context(), event("three"), broken); err == nil {
			t.Fatal("an event without an id was appended")
		}
		same(t, "events", b.Events(t), []audit.Event{first})
	})

	t.Run("OUT-02 OUT-06 a batch that comes again, for nobody heard that it was written, is there once", func(t *testing.T) {
		a, b := open(t)
		first, second, third := event("one"), event("two"), event("three")
		for _, batch := range [][]audit.Event{{first, second}, {first, second}, {second, third}} {
			if err := a.Audit.Append(t.Context(), batch...); err != nil {
				t.Fatal(err)
			}
		}
		same(t, "events", b.Events(t), []audit.Event{first, second, third})
	})

	t.Run("what a client says of itself never keeps an event out", func(t *testing.T) {
		a, b := open(t)
		ctx := audit.WithRequest(t.Context(), audit.Request{ID: "r", IP: "192.0.2.1", UserAgent: "a\x00b\xff"})
		e := audit.New(ctx, start, audit.Anonymous, something{"a\x00b\xff"})
		if err := a.Audit.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		same(t, "events", b.Events(t), []audit.Event{e})
	})

	t.Run("nothing to append is no failure", func(t *testing.T) {
		a, _ := open(t)
		if err := a.Audit.Append(t.Context()); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("a cancelled context writes nothing", func(t *testing.T) {
		a, b := open(t)
		if err := a.Audit.Append(cancelled(t), event("one")); !errors.Is(err, context.Canceled) {
			t.Fatalf("append: %v", err)
		}
		if got := b.Events(t); len(got) > 0 {
			t.Fatalf("wrote %v", got)
		}
	})
}
