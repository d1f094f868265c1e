// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"

	"github.com/dify-sso/dify-sso/pkg/faulttest"
)

// FaultyTrail wraps a trail.
func FaultyTrail(s audit.Trail, f *Faults) audit.Trail { return faultyTrail{s, f} }

type faultyTrail struct {
	s audit.Trail
	f *Faults
}

func (w faultyTrail) Newest(ctx context.Context, f audit.Filter, limit int) ([]audit.Event, error) {
	return faulttest.Get(ctx, w.f, "Newest", func() ([]audit.Event, error) { return w.s.Newest(ctx, f, limit) })
}

func (w faultyTrail) Next(ctx context.Context, f audit.Filter, after audit.Position, limit int) ([]audit.Event, error) {
	return faulttest.Get(ctx, w.f, "Next", func() ([]audit.Event, error) { return w.s.Next(ctx, f, after, limit) })
}

func (w faultyTrail) Find(ctx context.Context, id string) (audit.Position, error) {
	return faulttest.Get(ctx, w.f, "Find", func() (audit.Position, error) { return w.s.Find(ctx, id) })
}

// AuditTrail is the contract of audit.Trail.
func AuditTrail(t *testing.T, open OpenDurable) {
	// made appends events of which two share an instant, and not in the order of time.
	made := func(t *testing.T, d Durable) (e [5]audit.Event) {
		t.Helper()
		for i, at := range []time.Duration{2, 0, 2, 3, 1} {
			e[i] = event("x")
			e[i].At = after(at * time.Microsecond)
		}
		e[1].Name, e[1].SubjectKey, e[1].TokenID = "test.other", "", ""
		e[3].Name, e[3].SubjectKey, e[3].Actor = "test.other", "another", audit.Actor{Type: "operator", ID: "actor"}
		e[4].SubjectKey, e[4].TokenID, e[4].Actor = "another", "other", audit.Account("other")
		if err := d.Audit.Append(t.Context(), e[:]...); err != nil {
			t.Fatal(err)
		}
		return e
	}

	t.Run("newest first, and oldest first, under every filter", func(t *testing.T) {
		a, b := open(t)
		e := made(t, a)
		for _, c := range []struct {
			name string
			f    audit.Filter
			want []audit.Event // oldest first
		}{
			{"all", audit.Filter{}, []audit.Event{e[1], e[4], e[0], e[2], e[3]}},
			{"since, included", audit.Filter{Since: after(2 * time.Microsecond)}, []audit.Event{e[0], e[2], e[3]}},
			{"until, excluded", audit.Filter{Until: after(2 * time.Microsecond)}, []audit.Event{e[1], e[4]}},
			{"a name", audit.Filter{Name: "test.other"}, []audit.Event{e[1], e[3]}},
			{"a name within a time", audit.Filter{Name: "test.other", Since: after(time.Microsecond), Until: after(time.Second)}, []audit.Event{e[3]}},
			{"a subject", audit.Filter{SubjectKey: "another"}, []audit.Event{e[4], e[3]}},
			{"about or by an account", audit.Filter{SubjectKey: "another", AccountID: "actor"}, []audit.Event{e[1], e[4], e[0], e[2], e[3]}},
			{"by an account alone", audit.Filter{SubjectKey: "nobody", AccountID: "actor"}, []audit.Event{e[1], e[0], e[2]}},
			{"a token", audit.Filter{TokenID: "other"}, []audit.Event{e[4]}},
			{"everything at once", audit.Filter{Name: "test.something", SubjectKey: "subject", AccountID: "actor", TokenID: "token", Since: start, Until: after(time.Second)}, []audit.Event{e[0], e[2]}},
			{"nothing", audit.Filter{Name: "test"}, nil},
		} {
			got, err := b.AuditTrail.Next(t.Context(), c.f, audit.Position{}, 10)
			if err != nil {
				t.Fatal(err)
			}
			same(t, c.name+", oldest first", got, c.want)
			if got, err = b.AuditTrail.Newest(t.Context(), c.f, 10); err != nil {
				t.Fatal(err)
			}
			var turned []audit.Event
			for i := range c.want {
				turned = append(turned, c.want[len(c.want)-1-i])
			}
			same(t, c.name+", newest first", got, turned)
		}
	})

	t.Run("pages join without a gap or a repetition, though events come and go", func(t *testing.T) {
		a, b := open(t)
		e := made(t, a)
		var got []audit.Event
		var from audit.Position
		for i := range 5 {
			page, err := b.AuditTrail.Next(t.Context(), audit.Filter{Until: after(time.Second)}, from, 1)
			if err != nil || len(page) != 1 {
				t.Fatalf("page %d: %v, %v", i, page, err)
			}
			got, from = append(got, page...), page[0].Position()
			late := event("late")
			late.At = after(time.Second)
			if err := a.Audit.Append(t.Context(), late); err != nil {
				t.Fatal(err)
			}
			a.exec(t, `DELETE FROM audit_events WHERE id = $1`, page[0].ID) // as a prune does
		}
		same(t, "pages", got, []audit.Event{e[1], e[4], e[0], e[2], e[3]})
		if page, err := b.AuditTrail.Next(t.Context(), audit.Filter{Until: after(time.Second)}, from, 1); err != nil || len(page) > 0 {
			t.Errorf("behind the end: %v, %v", page, err)
		}
		newest, err := b.AuditTrail.Newest(t.Context(), audit.Filter{}, 2)
		if err != nil || len(newest) != 2 {
			t.Errorf("%v, %v", newest, err)
		}
	})

	t.Run("a position is found by id, and what is not there is said to be", func(t *testing.T) {
		a, b := open(t)
		e := made(t, a)
		if p, err := b.AuditTrail.Find(t.Context(), e[3].ID); err != nil || p != e[3].Position() {
			t.Errorf("%+v, %v", p, err)
		}
		if _, err := b.AuditTrail.Find(t.Context(), canon.NewID()); !errors.Is(err, audit.ErrNoEvent) {
			t.Error(err)
		}
	})

	t.Run("a cancelled context reads nothing", func(t *testing.T) {
		a, _ := open(t)
		ctx := cancelled(t)
		_, newest := a.AuditTrail.Newest(ctx, audit.Filter{}, 1)
		_, next := a.AuditTrail.Next(ctx, audit.Filter{}, audit.Position{}, 1)
		_, find := a.AuditTrail.Find(ctx, canon.NewID())
		for _, err := range []error{newest, next, find} {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})

	t.Run("a failure is no empty trail", func(t *testing.T) {
		a, _ := open(t)
		var faults Faults
		trail := FaultyTrail(a.AuditTrail, &faults)
		faults.Plan(Fault{Method: "Newest"}, Fault{Method: "Next"}, Fault{Method: "Find"})
		_, newest := trail.Newest(t.Context(), audit.Filter{}, 1)
		_, next := trail.Next(t.Context(), audit.Filter{}, audit.Position{}, 1)
		_, find := trail.Find(t.Context(), canon.NewID())
		if newest == nil || next == nil || find == nil || errors.Is(find, audit.ErrNoEvent) {
			t.Errorf("%v, %v, %v", newest, next, find)
		}
	})
}
