// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	rtt "github.com/dify-sso/dify-sso/core/internal/runtimetest"
)

// dcWaits is what the client makes of a 429: how many seconds it waits before it tries again,
// on GET, PUT and DELETE and, with --retry-on-limit, on the POST of a run. 0 is shown at once.
func dcWaits(a apitest.Answer) int {
	if a.Status != http.StatusTooManyRequests || dcRead(http.MethodGet, a).said != "too_many_requests" {
		return 0
	}
	seconds, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if err != nil {
		return 1 // 150 to 1200 ms
	}
	if seconds > 60 {
		return 0
	}
	return seconds
}

func TestDifyctlWaitsForLimits(t *testing.T) {
	const body = `{"code":"too_many_requests","message":"m","status":429}`
	for name, c := range map[string]struct {
		status      int
		after, body string
		want        int
	}{
		"our limit":          {429, "7", body, 7},
		"without a time":     {429, "", body, 1},
		"too long a time":    {429, "61", body, 0},
		"a runtime's quota":  {429, "7", `{"code":"rate_limit_error","message":"m","status":429}`, 0},
		"somebody's proxy":   {429, "7", `<p>`, 0},
		"an outage":          {503, "7", `{"code":"service_unavailable","message":"m","status":503}`, 0},
		"an unreadable body": {429, "7", `{"code":"too_many_requests","message":"m","status":"429"}`, 0},
	} {
		t.Run("the reader: "+name, func(t *testing.T) {
			a := apitest.Answer{Status: c.status, Header: http.Header{}, Body: c.body}
			if c.after != "" {
				a.Header.Set("Retry-After", c.after)
			}
			if got := dcWaits(a); got != c.want {
				t.Errorf("%d", got)
			}
		})
	}
	w := dcStart(t)
	d := htDifyctl{t: t, s: w.Server, token: w.bearers["normal"]}
	t.Run("every run of an app is taken: --retry-on-limit waits as long as is said", func(t *testing.T) {
		d.t = t
		one := w.dify(t, apps.App{Name: "One at a time", Mode: apps.Chat, MaxActive: 1})
		w.rt.On(rtt.Chat, append(dcScript(dcEvents[15]), rtt.Hang()))
		defer w.rt.On(rtt.Chat)
		c := htDial(t, w.URL)
		c.send(d.request(http.MethodPost, "apps/"+one.ID+"/run", `{"inputs":{},"query":"hi"}`, "application/json", "text/event-stream"))
		if res, err := http.ReadResponse(c.in, &http.Request{Method: http.MethodPost}); err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(err)
		}
		a := d.stream(http.MethodPost, "apps/"+one.ID+"/run", `{"inputs":{},"query":"hi"}`)
		dcRefused(t, http.MethodPost, a, 7, "rate_limited", "too_many_requests")
		if got := dcWaits(a); got != 5 {
			t.Errorf("it waits %d s", got)
		}
		_ = c.conn.Close()
	})
	t.Run("a runtime's quota is shown at once", func(t *testing.T) {
		d.t = t
		w.rt.On(rtt.Chat, rtt.Script{rtt.Status(429, "too_many_requests", "x")})
		defer w.rt.On(rtt.Chat)
		if a := d.stream(http.MethodPost, "apps/"+w.apps[apps.Chat].ID+"/run", `{"inputs":{},"query":"hi"}`); dcWaits(a) != 0 || a.Status != http.StatusTooManyRequests {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("a token's limit is waited for in a minute at most", func(t *testing.T) {
		s := wsStart(t, unlimited("bearer.token=2/1m"))
		d := htDifyctl{t: t, s: s.Server, token: s.bearers["normal"]}
		for {
			if a := d.call(http.MethodGet, "workspaces", ""); a.Status != http.StatusOK {
				if got := dcWaits(a); got < 1 || got > 60 {
					t.Errorf("it waits %d s for %v", got, a.Header)
				}
				return
			}
		}
	})
}
