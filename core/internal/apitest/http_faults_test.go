// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// htServed is the caller that a class of route is there for.
func htServed(caller string) htCaller {
	switch {
	case caller == "bearer":
		return htLive
	case strings.HasPrefix(caller, "cookie"), strings.HasPrefix(caller, "signed-in"), caller == "form":
		return htCookie
	}
	return htNobody
}

// htReal replaces a line of the table where its request would not get to every store:
// codes that are known, and one that may be redeemed.
func htReal(t testing.TB, h *htSender, key string, r htRequest) htRequest {
	t.Helper()
	switch key {
	case "POST /openapi/v1/oauth/device/token":
		c := h.s.Code(t, "box")
		allow(t, h.approver, c)
		r.json, r.want = fmt.Sprintf(`{"client_id":"difyctl","device_code":%q}`, c.Device), htAll(http.StatusOK)
	case "POST /openapi/v1/oauth/device/approve", "POST /openapi/v1/oauth/device/deny":
		r.json, r.want = fmt.Sprintf(`{"user_code":%q}`, h.s.Code(t, "box").User), htAll(http.StatusOK)
	case "GET /openapi/v1/oauth/device/approval-context":
		r.query, r.want = "user_code="+h.s.Code(t, "box").User, htAll(http.StatusOK)
	case "POST /device":
		r.form, r.want = url.Values{"user_code": {h.s.Code(t, "box").User}}, htAll(http.StatusSeeOther)
	}
	r.query += "&query-canary=1"
	if key == "GET /openapi/v1/account/sessions" || key == "GET /console/api/apps" || key == "GET /openapi/v1/oauth/device/lookup" || key == "GET /openapi/v1/apps/:app/describe" {
		r.query = strings.TrimSuffix(r.query, "&query-canary=1") // those take no other parameter, or none at all
	}
	return r
}

// htBrokenEverywhere sends every route's request while one store is broken, and gives the
// failures. Whatever does not need the store must answer as ever.
func htBrokenEverywhere(t *testing.T, w *mxWorld, stores htStores, name string, mode htMode) []apitest.Answer {
	t.Helper()
	var failures []apitest.Answer
	for _, route := range httpapi.Routes() {
		key := route.Method + " " + route.Path
		if route.Path == "/openapi/v1/_ready" {
			continue // it says so and is asked often: /readyz names the cause (M-16)
		}
		as, r := htServed(route.Caller), htReal(t, w.htSender, key, htTable[key])
		want := r.want[as]
		w.armed = func() { stores.set(name, mode) }
		var a apitest.Answer
		if route.App && route.Caller == "bearer" { // of an app that there is, by the owner of its workspace
			delete(w.live, 1) // another request may have ended it
			want, a = r.roles[0], w.ask(t, mxCaller{role: 1}, route.Method, route.Path, r)
		} else {
			a = w.send(t, as, route.Method, route.Path, r)
		}
		stores.set(name, htWorks)
		w.armed = nil
		if a.Status < http.StatusInternalServerError || a.Status == want {
			if a.Status != want {
				t.Errorf("%s: status %d instead of %d or a failure: %.200s", key, a.Status, want, a.Body)
			}
			continue
		}
		wantFrameless(t, a)
		isPage := strings.Contains(route.Caller, "page") || strings.Contains(route.Caller, "form")
		if html := strings.HasPrefix(a.Header.Get("Content-Type"), "text/html"); html != isPage {
			t.Errorf("%s: a failure as %q", key, a.Header.Get("Content-Type"))
		}
		for _, canary := range []string{"cause-canary", "10.9.8.7", "hunter2", "query-canary", "panic", "goroutine", "sqlstore"} {
			if strings.Contains(a.Body, canary) || strings.Contains(fmt.Sprint(a.Header), canary) {
				t.Errorf("%s: %q in %v %s", key, canary, a.Header, a.Body)
			}
		}
		if len(a.Cookies) > 0 && a.Cookies[0].Name == "console_session" {
			t.Errorf("%s: a failure signs in", key)
		}
		failures = append(failures, a)
	}
	return failures
}

// htWantFixed compares a failure with the fixed text of its code.
func htWantFixed(t testing.TB, s *apitest.Server, a apitest.Answer, want *fault.Error, status int) {
	t.Helper()
	if a.Status != status {
		t.Fatalf("status %d instead of %d: %.300s", a.Status, status, a.Body)
	}
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		wantFailureShape(t, a)
		if body := a.JSON(t); body["code"] != want.Code() || body["message"] != want.Text() {
			t.Fatalf("%s", a.Body)
		}
	}
	if retry := a.Header.Get("Retry-After"); (status == http.StatusServiceUnavailable) != (retry != "") {
		t.Fatalf("Retry-After %q with %d", retry, status)
	}
	id := a.Header.Get("X-Request-Id")
	eventually(t, func() (bool, string) {
		lines := 0
		for line := range strings.Lines(s.Log.String()) {
			if strings.Contains(line, `"msg":"request"`) && strings.Contains(line, id) && strings.Contains(line, "cause-canary") {
				lines++
			}
		}
		return id != "" && lines == 1, "the cause of " + id + " is not in the log once"
	})
}

// htMostNeed is how many routes fail at least with a store: a broken one that nobody
// asks would prove nothing.
var htMostNeed = map[string]int{
	"accounts": 2, "workspaces": 10, "members": 1, "apps": 20, "runs": 2, "tokens": 6, "access": 1, "console": 10, "audit": 0, "grants": 4, "counters": 4, "installation": 0,
}

func TestEveryRouteWhenAStoreFails(t *testing.T) {
	slow(t)
	stores := htNewStores()
	w := mxNew(t, apitest.Wrap(stores.wrap), htRaised)
	s := w.s
	for name, least := range htMostNeed {
		t.Run("HTTP-16 M-6 "+name, func(t *testing.T) {
			failures := htBrokenEverywhere(t, w, stores, name, htFails)
			if len(failures) < least {
				t.Fatalf("%d routes failed, at least %d need the store", len(failures), least)
			}
			for _, a := range failures {
				htWantFixed(t, s, a, fault.ErrUnavailable, http.StatusServiceUnavailable)
			}
		})
	}
	t.Run("HTTP-16 M-6 the server serves on", func(t *testing.T) { s.SignInDevice(t, s.SignedIn(t), "box") })
}

func TestEveryRouteWhenAStorePanics(t *testing.T) {
	slow(t)
	stores := htNewStores()
	w := mxNew(t, apitest.Wrap(stores.wrap), htRaised)
	s := w.s
	for name, least := range htMostNeed {
		t.Run("HTTP-18 M-28 "+name, func(t *testing.T) {
			failures := htBrokenEverywhere(t, w, stores, name, htPanics)
			if len(failures) < least {
				t.Fatalf("%d routes failed, at least %d need the store", len(failures), least)
			}
			for _, a := range failures {
				htWantFixed(t, s, a, fault.ErrInternal, http.StatusInternalServerError)
			}
		})
	}
	t.Run("HTTP-18 M-28 the log has no body of a request that panicked", func(t *testing.T) {
		for _, sent := range []string{"Y29ycmVjdCBob3JzZSBiYXR0ZXJ5", apitest.OwnerPassword, "BCDF-GHJK", "query-canary"} {
			if strings.Contains(s.Log.String(), sent) {
				t.Errorf("%q is in the log", sent)
			}
		}
	})
	t.Run("HTTP-18 M-28 no transaction stays open and the process lives", func(t *testing.T) {
		s.SignInDevice(t, s.SignedIn(t), "box")
	})
}

// htRaised keeps the limits on, for a counter that is off is never asked, and out of
// the way.
func htRaised(s *apitest.Server) {
	apitest.Set("RATE_LIMITS", "device.code.addr=100000,device.lookup.addr=100000,device.decide.account=100000,console.login.addr=100000,"+
		"console.setup.addr=100000,device.wrong.account=100000,account.read=100000,bearer.failed.addr=100000,invite.accept.addr=100000")(s)
}

func TestWorkersOutliveAPanic(t *testing.T) {
	slow(t)
	stores := htNewStores()
	s := apitest.Start(t, unlimited(), apitest.Wrap(stores.wrap))
	b := s.SignedIn(t)
	panicked := func(worker string) {
		t.Helper()
		eventually(t, func() (bool, string) {
			return strings.Contains(s.Log.String(), `"msg":"a worker panicked and starts anew","worker":"`+worker+`"`), worker + " did not panic"
		})
	}
	t.Run("HTTP-18 the audit writer, which then writes what it had in hand", func(t *testing.T) {
		stores.set("audit", htPanics)
		wantAnswer(t, s.Bearer(t, "garbage", http.MethodGet, "/openapi/v1/account"), http.StatusUnauthorized, "")
		panicked("audit")
		stores.set("audit", htWorks)
		awaitEvents(t, s, "oauth.bearer_rejected", 1)
	})
	t.Run("HTTP-18 the writer of last uses, which then writes what it had in hand", func(t *testing.T) {
		token, id := s.SignInDevice(t, b, "box")
		stores.set("usage", htPanics)
		wantAnswer(t, s.Bearer(t, token, http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
		panicked("token usage")
		stores.set("usage", htWorks)
		eventually(t, func() (bool, string) {
			return sqlInt(t, s, `SELECT count(*) FROM oauth_access_tokens WHERE id = $1 AND last_used_at IS NOT NULL`, id) == 1, "the use is not on record"
		})
	})
	t.Run("HTTP-18 the clean-up of redeemed grants", func(t *testing.T) {
		c := s.Code(t, "box")
		allow(t, b, c)
		stores.set("cleanup", htFails)
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
		stores.set("cleanup", htPanics)
		panicked("grant clean-up")
		stores.set("cleanup", htWorks)
		wantAnswer(t, s.Poll(t, s.Code(t, "other")), http.StatusBadRequest, "authorization_pending")
	})
}
