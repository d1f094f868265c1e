// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
)

func TestStreamsAtTheEnd(t *testing.T) {
	stop := func(w *rnWorld) <-chan error {
		ended := make(chan error, 1)
		go func() { ended <- w.Stop() }()
		return ended
	}
	draining := func(t *testing.T, w *rnWorld) {
		t.Helper()
		eventually(t, func() (bool, string) {
			res, err := http.Get(w.Inner + "/readyz")
			if err != nil {
				return true, ""
			}
			_ = res.Body.Close()
			return res.StatusCode == http.StatusServiceUnavailable, "it is still ready"
		})
	}
	t.Run("OUT-05 API-16 a stream that ends within the grace is whole", func(t *testing.T) {
		w := rnStart(t, apitest.Set("SHUTDOWN_GRACE", "20s"))
		s, one := w.begun(t, "normal", "t")
		at := time.Now()
		ended := stop(w)
		draining(t, w)
		one.say(`{"event":"message","answer":"still here"}`)
		s.next()
		one.say(`{"event":"message_end"}`)
		one.end(nil)
		if left := s.rest(); len(left) != 1 {
			t.Errorf("%q", left)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(at); took > 10*time.Second {
			t.Errorf("the end took %s", took)
		}
	})
	t.Run("OUT-05 API-16 one that outlives it is told, ends in order, and its runtime is stopped", func(t *testing.T) {
		w := rnStart(t, apitest.Set("SHUTDOWN_GRACE", "100ms"))
		var streams []*rnStream
		for range 5 {
			s, _ := w.begun(t, "normal", "t")
			streams = append(streams, s)
		}
		deaf := htDial(t, w.URL) // who does not read holds nothing up
		deaf.send(rnRaw(w.path(apps.Chat, "run"), w.bearers["normal"], rnHello))
		w.rt.run(t, 6).say(`{"event":"message","task_id":"deaf"}`)
		at := time.Now()
		ended := stop(w)
		for _, s := range streams {
			s.wantEnd(http.StatusServiceUnavailable, "service_unavailable", "t")
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(at); took > 5*time.Second {
			t.Errorf("the end took %s", took)
		}
		if n := len(w.rt.stopped()); n != 6 { // before the process is gone
			t.Errorf("%d of 6 tasks were stopped", n)
		}
	})
	t.Run("OUT-05 API-18 a run in one piece that outlives it is answered", func(t *testing.T) {
		w := rnStart(t, apitest.Set("SHUTDOWN_GRACE", "100ms"))
		asked := make(chan struct{})
		w.rt.block = func(ctx context.Context, _ run.Request) (json.RawMessage, error) {
			close(asked)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		answered := make(chan apitest.Answer, 1)
		go func() {
			answered <- w.as(t, "normal", http.MethodPost, w.path(apps.Chat, "run"), `{"inputs":{},"query":"x","response_mode":"blocking"}`)
		}()
		<-asked
		ended := stop(w)
		wantAnswer(t, <-answered, http.StatusServiceUnavailable, "service_unavailable")
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
