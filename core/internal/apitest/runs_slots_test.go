// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

func TestRunSlots(t *testing.T) {
	w := rnStart(t, apitest.Set("APP_DEFAULT_ACTIVE_REQUESTS", "2"), apitest.Set("APP_MAX_ACTIVE_REQUESTS", "3"))
	app := func(t *testing.T, most int) string {
		t.Helper()
		return "/openapi/v1/apps/" + w.NewApp(t, apps.App{WorkspaceID: w.id, APIEnabled: true, MaxActive: most}).ID + "/run"
	}
	busy := func(t *testing.T, path string) {
		t.Helper()
		n := w.rt.asked()
		a := w.as(t, "normal", http.MethodPost, path, rnHello)
		wantAnswer(t, a, http.StatusTooManyRequests, "too_many_requests")
		if a.Header.Get("Retry-After") != "5" || w.rt.asked() != n {
			t.Errorf("Retry-After %q, asked %d", a.Header.Get("Retry-After"), w.rt.asked()-n)
		}
	}
	t.Run("API-27 the app's own number, or the default, and never more than the most", func(t *testing.T) {
		for own, most := range map[int]int{0: 2, 1: 1, 3: 3, 7: 3} {
			path := app(t, own)
			var streams []*rnStream
			for range most {
				streams = append(streams, w.open(t, "normal", path, rnHello))
			}
			busy(t, path)
			w.finish(t, streams[most-1])
			streams[most-1] = w.open(t, "normal", path, rnHello) // the slot is free when the stream has ended
			busy(t, path)
			for _, s := range streams {
				s.leave()
			}
		}
	})
	t.Run("API-27 a slot is given back however a run ends", func(t *testing.T) {
		path := app(t, 1)
		for name, end := range map[string]func(s *rnStream, one *rnRun){
			"well":       func(s *rnStream, one *rnRun) { one.say(`{"event":"message_end"}`); one.end(nil); s.rest() },
			"badly":      func(s *rnStream, one *rnRun) { one.end(run.ErrTimeout); s.rest() },
			"left":       func(s *rnStream, _ *rnRun) { s.leave() },
			"a panic":    func(s *rnStream, one *rnRun) { one.events <- "no event"; s.rest() },
			"in a pause": func(s *rnStream, one *rnRun) { one.say(`{"event":"workflow_paused"}`); one.end(nil); s.rest() },
		} {
			n := w.rt.asked()
			s := w.open(t, "normal", path, rnHello)
			end(s, w.rt.run(t, n+1))
			eventually(t, func() (bool, string) {
				again := w.open(t, "normal", path, rnHello)
				if again.res.StatusCode == http.StatusOK {
					w.finish(t, again)
					return true, ""
				}
				return false, name + ": its slot stays taken"
			})
		}
		w.rt.note(func() { w.rt.refuse = run.ErrKeyRejected })
		for range 3 {
			wantAnswer(t, w.as(t, "normal", http.MethodPost, path, rnHello), http.StatusBadGateway, "runtime_key_rejected")
		}
		w.rt.note(func() { w.rt.refuse = nil })
		w.finish(t, w.open(t, "normal", path, rnHello))
	})
	t.Run("API-27 a run in one piece has one too", func(t *testing.T) {
		path := app(t, 1)
		w.rt.block = func(context.Context, run.Request) (json.RawMessage, error) {
			busy(t, path)
			return json.RawMessage(`{}`), nil
		}
		for range 2 {
			wantAnswer(t, w.as(t, "normal", http.MethodPost, path, `{"inputs":{},"query":"x","response_mode":"blocking"}`), http.StatusOK, "")
		}
	})
	t.Run("API-27 LIM-2 of many at once as many pass as may", func(t *testing.T) {
		path := app(t, 3)
		var passed, refused atomic.Int32
		var all sync.WaitGroup
		begin := make(chan struct{})
		for range 24 {
			all.Go(func() {
				<-begin
				s := w.open(t, "normal", path, rnHello)
				switch s.res.StatusCode {
				case http.StatusOK:
					passed.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
				}
			})
		}
		close(begin)
		all.Wait()
		if passed.Load() != 3 || refused.Load() != 21 {
			t.Errorf("%d pass, %d are refused", passed.Load(), refused.Load())
		}
	})
	t.Run("API-27 a holder that crashed is free after 10 min", func(t *testing.T) {
		path := app(t, 1)
		id := path[len("/openapi/v1/apps/") : len(path)-len("/run")]
		if ok, err := w.App.Stores.Slots.Take(t.Context(), id, canon.NewID(), 1, w.Clock.Now()); err != nil || !ok {
			t.Fatal(ok, err)
		}
		busy(t, path)
		w.Clock.Advance(run.SlotLease - time.Second)
		busy(t, path)
		w.Clock.Advance(time.Second)
		w.finish(t, w.open(t, "normal", path, rnHello))
	})
	t.Run("API-27 OUT-01 a store that does not answer refuses, and what its lost answer took is given back", func(t *testing.T) {
		path := app(t, 1)
		for _, mode := range []storetest.Mode{storetest.Fail, storetest.Hang, storetest.LoseReply} {
			w.faults.Clear()
			w.faults.Plan(storetest.Fault{Method: "Slots.Take", Mode: mode})
			n := w.rt.asked()
			a := w.as(t, "normal", http.MethodPost, path, rnHello)
			wantAnswer(t, a, http.StatusServiceUnavailable, "service_unavailable")
			if a.Header.Get("Retry-After") == "" || w.rt.asked() != n {
				t.Errorf("%v", a.Header)
			}
			eventually(t, func() (bool, string) { return w.faults.Calls("Slots.Free") > 0, "nothing is given back" })
			w.faults.Clear()
			eventually(t, func() (bool, string) {
				s := w.open(t, "normal", path, rnHello)
				if s.res.StatusCode != http.StatusOK {
					return false, "the slot stays taken"
				}
				w.finish(t, s)
				return true, ""
			})
		}
	})
}

func TestRunsWithoutALimit(t *testing.T) {
	w := rnStart(t)
	t.Run("API-27 no store is asked, and none that is down stands in the way", func(t *testing.T) {
		w.faults.Plan(storetest.Fault{Method: "Slots.Take"})
		w.finish(t, w.open(t, "normal", w.path(apps.Chat, "run"), rnHello))
		for _, method := range []string{"Slots.Take", "Slots.Renew", "Slots.Free"} {
			if n := w.faults.Calls(method); n != 0 {
				t.Errorf("%s was called %d times", method, n)
			}
		}
	})
}
