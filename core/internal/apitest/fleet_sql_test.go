// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

func TestPostgresIsDown(t *testing.T) {
	aboutFleet(t)
	slow(t)
	server := testserver.StartPostgres(t)
	url, prefix := testserver.Redis(t)
	s := flTwo(t, apitest.NewPairIn(t, server.Database(t), apitest.RedisAt(t, url, prefix)), faProxied)
	live, _ := s.login(t, "live")
	cold, _ := s.login(t, "cold")
	dead, _ := s.login(t, "dead")
	s.alive(t, live, true)
	s.alive(t, dead, true)
	wantAnswer(t, s.b.Bearer(t, dead, http.MethodDelete, sessionsPath+"/self"), http.StatusOK, "")
	approved, pending := s.a.Code(t, "approved"), s.b.Code(t, "pending")
	wantAnswer(t, s.owner.decide(t, "approve", approved.User), http.StatusOK, "")
	rows := tokenRows(t, s.a)

	server.Kill()
	t.Run("M-16 /readyz names it, _ready does not", func(t *testing.T) {
		for name, server := range s.each() {
			if a := htInner(t, server, "/readyz"); a.Status != http.StatusServiceUnavailable || a.Body != `{"checks":{"schema":"unavailable","sql":"unavailable","store":"ok"}}` {
				t.Errorf("%s server, /readyz: %d %s", name, a.Status, a.Body)
			}
			a := server.Call(t, http.MethodGet, "/openapi/v1/_ready", "")
			dvOutage(t, a, "5")
			if body := strings.ToLower(a.Body); strings.Contains(body, "sql") || strings.Contains(body, "postgres") || strings.Contains(body, `"store"`) {
				t.Errorf("%s server, _ready: %s", name, a.Body)
			}
		}
	})
	t.Run("OUT-02 DF-28 what needs it is a 503 and no verdict", func(t *testing.T) {
		for range 2 {
			dvOutage(t, s.b.Poll(t, approved), "")
			dvOutage(t, s.owner.decide(t, "approve", pending.User), "")
			dvOutage(t, s.a.Bearer(t, cold, http.MethodGet, accountPath), "")
			dvOutage(t, s.b.Bearer(t, live, http.MethodDelete, sessionsPath+"/self"), "")
		}
	})
	t.Run("OUT-02 what Redis knows is served", func(t *testing.T) {
		for name, server := range s.each() {
			for bearer, status := range map[string]int{live: http.StatusOK, dead: http.StatusUnauthorized} {
				if a := faAsk(t, server.Inner, http.MethodGet, faVerify, bearer); a.Status != status {
					t.Errorf("%s server: %d %s instead of %d", name, a.Status, a.Body, status)
				}
			}
			wantAnswer(t, server.Poll(t, server.Code(t, "during")), http.StatusBadRequest, "authorization_pending")
		}
	})
	server.Start(t)
	s.answering(t)
	t.Run("DF-28 OUT-02 afterwards nothing was half done and nothing is lost", func(t *testing.T) {
		if n := tokenRows(t, s.a); n != rows {
			t.Fatalf("%d rows instead of %d", n, rows)
		}
		for _, bearer := range []string{live, cold} {
			s.alive(t, bearer, true)
		}
		s.alive(t, dead, false)
		won := s.a.Poll(t, approved) // at once: no slow_down
		wantAnswer(t, won, http.StatusOK, "")
		s.alive(t, won.Text(t, "token"), true)
		wantAnswer(t, s.owner.with(s.b).decide(t, "approve", pending.User), http.StatusOK, "")
		wantAnswer(t, s.b.Poll(t, pending), http.StatusOK, "")
		s.Clock.Advance(token.LiveFor)
		s.alive(t, dead, false)
	})
}
