// SPDX-License-Identifier: Apache-2.0

package idpsource_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
)

var modes = map[string]faulttest.Mode{"before": faulttest.Fail, "its answer lost": faulttest.LoseReply}

// finds reports a read that finds nothing: its lost answer is the one it gives.
func finds(method string, mode faulttest.Mode) bool {
	return mode == faulttest.LoseReply && (method == "Find.current" || method == "Find.pending")
}

// Each call of the store at each step, cut before it acts and after: nothing serves that
// should not, and what was to be done is done at the next try, on record once.
func TestStoresThatAreGone(t *testing.T) {
	for how, mode := range modes {
		for _, method := range []string{"Find.current", "Begin"} {
			if finds(method, mode) {
				continue
			}
			t.Run("SSO-94 first load: "+method+" "+how, func(t *testing.T) {
				w := newWorld(t)
				w.faults.Plan(faulttest.Fault{Method: method, On: 1, Mode: mode})
				_, _, err := w.Load(t.Context(), w.serving)
				if f := failure.Of(err); f.Code != failure.StoreUnavailable || f.Facts["op"] == "" {
					t.Fatalf("%v", err)
				}
				w.load() // at once: a store's failure is not remembered as the address's
				if w.events() != "loaded" {
					t.Error(w.events())
				}
			})
		}
		for _, tc := range []struct {
			method, events string
			change         func(*world)
		}{
			{"Due", "loaded applied", addKey},
			{"Apply", "loaded applied", addKey},
			{"Find.pending", "loaded held", removeKey},
			{"Refused", "loaded held", removeKey},
			{"Hold", "loaded held", removeKey},
			{"Checked", "loaded held", removeKey},
		} {
			if finds(tc.method, mode) {
				continue
			}
			t.Run("SSO-94 refresh: "+tc.method+" "+how, func(t *testing.T) {
				w := newWorld(t)
				_, before := w.load()
				tc.change(w)
				w.clock.Advance(idpsource.RefreshEvery)
				w.faults.Plan(faulttest.Fault{Method: tc.method, On: 1, Mode: mode})
				if _, err := w.RefreshDue(t.Context()); err == nil {
					t.Fatal("a failure of the store is no error of the job")
				}
				w.faults.Clear()
				if _, err := w.RefreshDue(t.Context()); err != nil {
					t.Fatal(err)
				}
				_, digest := w.load()
				if w.events() != tc.events || (digest == before) != (tc.events == "loaded held") {
					t.Error(w.events())
				}
				if n, err := w.RefreshDue(t.Context()); n != 0 || err != nil {
					t.Errorf("%d are due still, %v", n, err)
				}
			})
		}
		for _, accept := range []bool{true, false} {
			for _, method := range []string{"Find.pending", "Decide"} {
				t.Run("SSO-94 decision: "+method+" "+how, func(t *testing.T) {
					w := newWorld(t)
					_, before := w.load()
					removeKey(w)
					w.refresh()
					w.faults.Clear() // of the calls so far
					w.faults.Plan(faulttest.Fault{Method: method, On: 1, Mode: mode})
					decide, event := w.Reject, "rejected"
					if accept {
						event = "accepted"
						decide = func(ctx context.Context, c connection.Serving, by string) (idpsource.Status, error) {
							return w.Accept(ctx, c, "", by)
						}
					}
					if _, err := decide(t.Context(), w.serving, "cli:root"); fault.Of(err).Kind() != fault.Unavailable {
						t.Fatal(err)
					}
					w.faults.Clear()
					_, err := decide(t.Context(), w.serving, "cli:root")
					if done := method == "Decide" && mode == faulttest.LoseReply; done != errors.Is(err, idpsource.ErrNotPending) || !done && err != nil {
						t.Error(err)
					}
					if _, digest := w.load(); (digest == before) == accept || w.events() != "loaded held "+event {
						t.Error(w.events())
					}
				})
			}
		}
	}
	t.Run("SSO-94 a login that needs another key while the store is gone", func(t *testing.T) {
		w := newWorld(t)
		_, digest := w.load()
		w.faults.Clear()
		w.faults.Plan(faulttest.Fault{Method: "Checked", On: 1})
		if _, _, _, err := w.Refetch(t.Context(), w.serving, digest); failure.Of(err).Code != failure.StoreUnavailable {
			t.Error(err)
		}
	})
	t.Run("SSO-94 what is counted while the store is gone is an error", func(t *testing.T) {
		w := newWorld(t)
		w.faults.Plan(faulttest.Fault{Method: "Waiting"}, faulttest.Fault{Method: "Find.current"})
		if _, err := w.Pending(t.Context()); err == nil {
			t.Error("nothing waits")
		}
		if _, err := w.Expiries(t.Context()); err == nil {
			t.Error("nothing ends")
		}
		if _, err := w.Status(t.Context(), "corp", w.source()); fault.Of(err).Kind() != fault.Unavailable {
			t.Error(err)
		}
	})
	t.Run("SSO-82 a panic of the reader is a failed try", func(t *testing.T) {
		w := newWorld(t)
		_, before := w.load()
		w.Reader(func([]byte, string, time.Time) (idpmetadata.IdP, idpmetadata.Terms, error) { panic("what came") })
		w.refresh()
		if _, digest := w.load(); digest != before || w.status().Failure == "" || strings.Contains(w.log.String(), "what came") {
			t.Error(w.log.String())
		}
		other := w.connection("other", connection.SAMLConfig{MetadataURL: w.source()})
		if _, _, err := w.Load(t.Context(), other); failure.Of(err).Code != failure.Internal || strings.Contains(err.Error(), "what came") {
			t.Error(err)
		}
	})
	t.Run("whoever stops waiting gets an answer, and the others their document", func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := w.Load(ctx, w.serving); err == nil {
			t.Error("a login that is gone was answered")
		}
		w.load()
	})
}

// A second replica acts between the look of the first and its act.
func TestReplicas(t *testing.T) {
	t.Run("SSO-82 the first load of another", func(t *testing.T) {
		w := newWorld(t)
		w.faults.Plan(faulttest.Fault{Method: "Begin", On: 1, Mode: faulttest.Pass, Before: func() {
			v := idpsource.Version{ID: "0197b1d5-0000-7000-8000-000000000001", ConnectionID: "corp", Source: w.source(), Facts: w.idp.facts, Digest: w.idp.facts.Digest(),
				FetchedAt: w.clock.Now(), CheckedAt: w.clock.Now(), DueAt: w.clock.Now()}
			if err := w.d.IdPSource.Begin(t.Context(), v); err != nil {
				t.Error(err)
			}
		}})
		w.load()
		if w.status().Current.ID != "0197b1d5-0000-7000-8000-000000000001" || w.events() != "" {
			t.Error(w.events())
		}
	})
	t.Run("SSO-82 the decision of another", func(t *testing.T) {
		w := newWorld(t)
		w.load()
		removeKey(w)
		w.refresh()
		id := w.status().Pending.ID
		w.faults.Plan(faulttest.Fault{Method: "Decide", On: 1, Mode: faulttest.Pass, Before: func() {
			if err := w.d.IdPSource.Decide(t.Context(), id, true, "cli:other", w.clock.Now()); err != nil {
				t.Error(err)
			}
		}})
		if _, err := w.Reject(t.Context(), w.serving, "cli:root"); !errors.Is(err, idpsource.ErrNotPending) {
			t.Error(err)
		}
	})
	t.Run("SSO-82 an acceptance while the address is read is not held against what it ended", func(t *testing.T) {
		w := newWorld(t)
		w.load()
		removeKey(w)
		w.refresh()
		w.faults.Clear()
		w.faults.Plan(faulttest.Fault{Method: "Find.pending", On: 1, Mode: faulttest.Pass, Before: func() {
			if err := w.d.IdPSource.Decide(t.Context(), w.status().Pending.ID, true, "cli:other", w.clock.Now()); err != nil {
				t.Error(err)
			}
		}})
		w.refresh()
		w.pending(0)
		if s := w.status(); len(s.Current.Facts.Certificates) != 1 {
			t.Errorf("%+v", s.Current)
		}
	})
	for method, change := range map[string]func(*world){"Apply": addKey, "Hold": removeKey} {
		t.Run("SSO-82 "+method+" of another", func(t *testing.T) {
			w := newWorld(t)
			w.load()
			change(w)
			w.faults.Clear()
			w.clock.Advance(idpsource.RefreshEvery)
			w.faults.Plan(faulttest.Fault{Method: method, On: 1, Err: map[string]error{"Apply": idpsource.ErrMoved, "Hold": idpsource.ErrMoved}[method]})
			_, err := w.Refresh(t.Context(), w.serving, "cli:root")
			if err != nil || w.events() != "loaded" {
				t.Error(err, w.events())
			}
		})
	}
}
