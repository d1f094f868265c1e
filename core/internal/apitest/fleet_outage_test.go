// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// flDurable is a Redis of the test's own that forgets nothing when it is killed.
func flDurable(t *testing.T) (*testserver.RedisServer, *apitest.Pair) {
	t.Helper()
	server := testserver.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	return server, apitest.NewPairOn(t, apitest.RedisAt(t, server.URL(), ""))
}

// flNeedRedis are the routes that cannot answer without it. All others answer as ever.
var flNeedRedis = []string{
	"GET /openapi/v1/_ready",
	"POST /openapi/v1/oauth/device/code", "POST /openapi/v1/oauth/device/token", "GET /openapi/v1/oauth/device/lookup",
	"POST /openapi/v1/oauth/device/approve", "POST /openapi/v1/oauth/device/deny", "GET /openapi/v1/oauth/device/approval-context",
	// Sessions are ended, and their tombstones are missing.
	"DELETE /openapi/v1/account/sessions/self", "DELETE /openapi/v1/account/sessions",
	"POST /console/api/setup", "POST /console/api/login",
	"POST /console/api/account/password", // the present one is asked for, within the limits of a sign-in
	"POST /setup", "POST /signin", "POST /device", "POST /device/authorize",
	"POST /openapi/v1/workspaces/:workspace/members", "POST /workspace/members", // who invites much is slowed down
	"GET /activate", "POST /activate", "POST /account/security",
}

func TestRedisIsDownAtEachRoute(t *testing.T) {
	aboutFleet(t)
	slow(t)
	server, p := flDurable(t)
	s := apitest.Start(t, apitest.On(p), htRaised)
	h := htNewSender(t, s)
	t.Run("DF-27 OUT-01 INV-6 what needs it is a 503 and no verdict, all else is as ever", func(t *testing.T) {
		for _, route := range httpapi.Routes() {
			key := route.Method + " " + route.Path
			as, r := htServed(route.Caller), htReal(t, h, key, htTable[key])
			h.armed = server.Kill
			a := h.send(t, as, route.Method, route.Path, r)
			h.armed = nil
			server.Start(t)
			eventually(t, func() (bool, string) { // its client asks again within a second
				a := s.Call(t, http.MethodGet, "/openapi/v1/_ready", "")
				return a.Status == http.StatusOK, a.Body
			})
			switch {
			case !slices.Contains(flNeedRedis, key):
				if a.Status != r.want[as] {
					t.Errorf("%s: status %d instead of %d: %.200s", key, a.Status, r.want[as], a.Body)
				}
			case a.Status == http.StatusServiceUnavailable:
				dvOutage(t, a, "")
			default:
				t.Errorf("%s: status %d without Redis: %.200s", key, a.Status, a.Body)
			}
		}
	})
}

// flAtOnce runs acts that wait.
func flAtOnce(acts ...func()) {
	tkAtOnce(len(acts), func(i int) struct{} {
		acts[i]()
		return struct{}{}
	})
}

// eachDoes is an act at both servers at once.
func (s *flServers) eachDoes(act func(name string, server *apitest.Server)) func() {
	var acts []func()
	for name, server := range s.each() {
		acts = append(acts, func() { act(name, server) })
	}
	return func() { flAtOnce(acts...) }
}

// flBearersOf are bearers in the different ways in which an outage can find them.
type flBearersOf struct{ live, cold, dead, busy, ending, endingID string }

func TestRedisIsDown(t *testing.T) {
	aboutFleet(t)
	slow(t)
	const perToken = 8
	for _, outage := range []struct {
		name       string
		begin, end func(t *testing.T, server *testserver.RedisServer)
		readyz     string
	}{
		{"killed", func(_ *testing.T, r *testserver.RedisServer) { r.Kill() }, func(t *testing.T, r *testserver.RedisServer) { r.Start(t) }, "unavailable"},
		{"hanging", func(_ *testing.T, r *testserver.RedisServer) { r.Pause() }, func(_ *testing.T, r *testserver.RedisServer) { r.Resume() }, "does not answer"},
	} {
		t.Run(outage.name, func(t *testing.T) {
			t.Parallel() // most of it waits
			server, p := flDurable(t)
			s := flTwo(t, p, oaClients, unlimited(fmt.Sprintf("bearer.token=%d/1h", perToken), "device.code.addr=100", "console.login.addr=100"))
			var o flBearersOf
			for label, to := range map[string]*string{"live": &o.live, "cold": &o.cold, "dead": &o.dead, "busy": &o.busy} {
				*to, _ = s.login(t, label)
			}
			o.ending, o.endingID = s.login(t, "ending")
			for _, remembered := range []string{o.live, o.dead, o.busy, o.ending} {
				s.alive(t, remembered, true)
			}
			wantAnswer(t, s.a.Bearer(t, o.dead, http.MethodDelete, sessionsPath+"/self"), http.StatusOK, "")
			approved, pending := s.a.Code(t, "approved"), s.a.Code(t, "pending")
			wantAnswer(t, s.owner.decide(t, "approve", approved.User), http.StatusOK, "")
			rows := tokenRows(t, s.a)

			outage.begin(t, server)
			t.Run("M-16 /readyz names it, _ready does not", func(t *testing.T) {
				flAtOnce(s.eachDoes(func(name string, server *apitest.Server) {
					if a := htInner(t, server, "/readyz"); a.Status != http.StatusServiceUnavailable || a.Body != `{"checks":{"schema":"ok","sql":"ok","store":"`+outage.readyz+`"}}` {
						t.Errorf("%s server, /readyz: %d %s", name, a.Status, a.Body)
					}
				}), s.eachDoes(func(name string, server *apitest.Server) {
					a := server.Call(t, http.MethodGet, "/openapi/v1/_ready", "")
					dvOutage(t, a, "5")
					if body := strings.ToLower(a.Body); strings.Contains(body, `"store"`) || strings.Contains(body, "redis") || strings.Contains(body, "sql") {
						t.Errorf("%s server, _ready: %s", name, a.Body)
					}
				}))
			})
			t.Run("TK-13 SQL answers bearers, dead ones are refused", func(t *testing.T) {
				flAtOnce(
					func() { s.alive(t, o.live, true) }, func() { s.alive(t, o.cold, true) },
					func() { s.alive(t, o.dead, false) }, func() { s.alive(t, unknownToken, false) },
					func() { oaWantInactive(t, oaAsk(t, s.a, o.dead)) },
					func() {
						if a := oaAsk(t, s.b, o.live); a.Status != http.StatusOK || a.JSON(t)["active"] != true {
							t.Errorf("introspection of a live token: %d %s", a.Status, a.Body)
						}
					})
			})
			t.Run("LIM-7 reads are counted by each server, what leads to a token is refused", func(t *testing.T) {
				flAtOnce(s.eachDoes(func(name string, server *apitest.Server) {
					statuses := tkAtOnce(perToken+1, func(int) int { return server.Bearer(t, o.busy, http.MethodGet, sessionsPath).Status })
					if tkCount(statuses, http.StatusOK) != perToken || tkCount(statuses, http.StatusTooManyRequests) != 1 {
						t.Errorf("%s server: %v", name, statuses)
					}
				}), func() {
					dvOutage(t, s.a.Post(t, codePath, map[string]string{"client_id": "difyctl", "device_label": "x"}), "")
				}, func() {
					dvOutage(t, s.b.Post(t, loginPath, map[string]string{"email": apitest.OwnerEmail, "password": tkEncoded(apitest.OwnerPassword)}), "")
				})
			})
			t.Run("DF-27 polls are no verdict", func(t *testing.T) {
				flAtOnce(
					func() { dvOutage(t, s.a.Poll(t, approved), "") }, func() { dvOutage(t, s.b.Poll(t, pending), "") },
					func() { dvOutage(t, s.a.Poll(t, unknownCode), "") })
			})
			t.Run("TK-13 TK-11 what is ended meanwhile is refused, and the answer says that it may not be everywhere", func(t *testing.T) {
				dvOutage(t, s.a.Bearer(t, o.live, http.MethodDelete, sessionsPath+"/"+o.endingID), "")
				s.alive(t, o.ending, false)
			})
			outage.end(t, server)
			s.answering(t)

			t.Run("TK-13 nothing was remembered", func(t *testing.T) {
				if got := s.entry(t, o.cold); got != "" {
					t.Errorf("a bearer that was used meanwhile is in Redis: %q", got)
				}
				if got := s.entry(t, unknownToken); got != "" {
					t.Errorf("a bearer that is none is in Redis: %q", got)
				}
			})
			t.Run("TK-13 what was ended meanwhile is buried by and by", func(t *testing.T) {
				eventually(t, func() (bool, string) { return s.entry(t, o.ending) == "x", "no tombstone" })
				s.alive(t, o.ending, false)
				s.alive(t, o.dead, false)
				s.alive(t, o.cold, true)
			})
			t.Run("DF-27 the approval is still there", func(t *testing.T) {
				if n := tokenRows(t, s.a); n != rows {
					t.Fatalf("%d rows instead of %d", n, rows)
				}
				a := s.b.Poll(t, approved)
				if outage.name == "hanging" && a.Status == http.StatusBadRequest {
					// Redis has read what hung in the connection: a claim that nobody waits for.
					wantAnswer(t, a, http.StatusBadRequest, "authorization_pending")
					s.Clock.Advance(devicegrant.Lease)
					a = s.b.Poll(t, approved)
				}
				wantAnswer(t, a, http.StatusOK, "")
				s.alive(t, a.Text(t, "token"), true)
				s.Clock.Advance(token.LiveFor)
				wantAnswer(t, s.owner.decide(t, "approve", pending.User), http.StatusOK, "")
				wantAnswer(t, s.a.Poll(t, pending), http.StatusOK, "")
			})
		})
	}
}
