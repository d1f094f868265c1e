// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/audit"
)

// rnOften is how often the streams of these tests look at their token.
var rnOften = apitest.Paced(run.Pace{Still: 20 * time.Millisecond})

// begun opens a stream of the named person that has said something.
func (w *rnWorld) begun(t testing.TB, who, task string) (*rnStream, *rnRun) {
	t.Helper()
	n := w.rt.asked()
	s := w.open(t, who, w.path(apps.Chat, "run"), rnHello)
	one := w.rt.run(t, n+1)
	one.say(`{"event":"message","task_id":"` + task + `"}`)
	s.next()
	return s, one
}

func TestTokensOfStreams(t *testing.T) {
	w := rnStart(t, rnOften)
	cut := func(t *testing.T, s *rnStream, one *rnRun, task string) {
		t.Helper()
		s.wantEnd(http.StatusUnauthorized, "invalid_token", task)
		rnWithin(t, rnSoon, "the runtime's request ends", one.closed)
		w.rt.await(t, "told to stop", func() bool { return len(w.rt.stops) > 0 && w.rt.stops[len(w.rt.stops)-1].task == task })
	}
	t.Run("TOK-12 the session is ended by its owner", func(t *testing.T) {
		s, one := w.begun(t, "normal", "ended")
		other, still := w.begun(t, "editor", "other")
		wantAnswer(t, w.as(t, "normal", http.MethodDelete, accountPath+"/sessions/self", ""), http.StatusOK, "")
		cut(t, s, one, "ended")
		still.say(`{"event":"message_end"}`)
		still.end(nil)
		other.rest()
		w.bearers["normal"] = rnBearer(t, w.Server, w.ids["normal"], wsEmail("normal"))
	})
	t.Run("TOK-12 TK-15 the account is banned", func(t *testing.T) {
		s, one := w.begun(t, "editor", "banned")
		if _, err := w.App.Access.SetStatus(t.Context(), wsEmail("editor"), account.Banned, audit.Operator); err != nil {
			t.Fatal(err)
		}
		cut(t, s, one, "banned")
		wantAnswer(t, w.as(t, "editor", http.MethodPost, w.path(apps.Chat, "run"), rnHello), http.StatusUnauthorized, "invalid_token")
	})
	t.Run("TOK-12 TK-15 the account is closed", func(t *testing.T) {
		s, one := w.begun(t, "admin", "closed")
		if _, err := w.App.Access.SetStatus(t.Context(), wsEmail("admin"), account.Closed, audit.Operator); err != nil {
			t.Fatal(err)
		}
		cut(t, s, one, "closed")
	})
	t.Run("TOK-12 the membership ends: no new run passes, and the one that runs goes on", func(t *testing.T) {
		s, one := w.begun(t, "normal", "member")
		wantAnswer(t, w.as(t, "owner", http.MethodDelete, w.members()+"/"+w.ids["normal"], ""), http.StatusOK, "")
		wantAnswer(t, w.as(t, "normal", http.MethodPost, w.path(apps.Chat, "run"), rnHello), http.StatusNotFound, "app_not_found")
		looks := w.faults.Calls("Cache.Get")
		eventually(t, func() (bool, string) { return w.faults.Calls("Cache.Get") > looks+3, "nobody looks at the token" })
		one.say(`{"event":"message_end"}`)
		one.end(nil)
		if got := s.rest(); len(got) != 1 {
			t.Errorf("%q", got)
		}
	})
	t.Run("TOK-12 the token's time is over", func(t *testing.T) {
		s, one := w.begun(t, "owner", "over")
		w.Clock.Advance(15 * 24 * time.Hour)
		cut(t, s, one, "over")
	})
}

func TestTokensOfStreamsInAnOutage(t *testing.T) {
	w := rnStart(t, rnOften)
	t.Run("TOK-12 that nobody can say is no verdict", func(t *testing.T) {
		s, one := w.begun(t, "normal", "outage")
		w.faults.Plan(storetest.Fault{Method: "Cache.Get"}, storetest.Fault{Method: "ByDigest"})
		eventually(t, func() (bool, string) { return w.faults.Calls("ByDigest") > 3, "nobody asks" })
		one.say(`{"event":"message"}`)
		s.next()
		w.faults.Clear()
		one.say(`{"event":"message_end"}`)
		one.end(nil)
		s.rest()
	})
}

func TestTokensOfStreamsAreNotCounted(t *testing.T) {
	w := rnStart(t, rnOften, unlimited("bearer.token=10"))
	t.Run("TOK-12 LIM-1 however often a stream looks, its token pays once", func(t *testing.T) {
		s, one := w.begun(t, "normal", "long")
		before := w.faults.Calls("Cache.Get")
		eventually(t, func() (bool, string) { return w.faults.Calls("Cache.Get") > before+20, "nobody looks" })
		one.say(`{"event":"message_end"}`)
		one.end(nil)
		s.rest()
		a := w.as(t, "normal", http.MethodGet, accountPath, "")
		wantAnswer(t, a, http.StatusOK, "")
		if got := a.Header.Get("RateLimit-Remaining"); got != "8" {
			t.Errorf("%s of 10 are left after two requests", got)
		}
	})
}

func TestTokensOfStreamsOnTwoReplicas(t *testing.T) {
	slow(t)
	pair := apitest.NewPair(t)
	w := rnStart(t, apitest.On(pair), rnOften)
	second := apitest.Start(t, apitest.On(pair), unlimited())
	t.Run("TOK-12 what one replica ends closes the streams of another", func(t *testing.T) {
		s, _ := w.begun(t, "normal", "elsewhere")
		wantAnswer(t, second.Bearer(t, w.bearers["normal"], http.MethodDelete, accountPath+"/sessions/self"), http.StatusOK, "")
		s.wantEnd(http.StatusUnauthorized, "invalid_token", "elsewhere")
		s, _ = w.begun(t, "admin", "banned")
		if _, err := second.App.Access.SetStatus(t.Context(), wsEmail("admin"), account.Banned, audit.Operator); err != nil {
			t.Fatal(err)
		}
		s.wantEnd(http.StatusUnauthorized, "invalid_token", "banned")
	})
}

func TestThePaceOfStreams(t *testing.T) {
	slow(t)
	w := rnStart(t)
	t.Run("TOK-12 TK-15 within 5 s as clients are served", func(t *testing.T) {
		s, _ := w.begun(t, "normal", "pace")
		at := time.Now()
		wantAnswer(t, w.as(t, "normal", http.MethodDelete, accountPath+"/sessions/self", ""), http.StatusOK, "")
		s.wantEnd(http.StatusUnauthorized, "invalid_token", "pace")
		if took := time.Since(at); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
