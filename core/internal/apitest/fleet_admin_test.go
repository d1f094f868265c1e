// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

func TestCommandsBesideTheServersOfAFleet(t *testing.T) {
	aboutFleet(t)
	t.Run("M-31 the first owner, whom both servers wait for", func(t *testing.T) {
		p := apitest.NewPair(t)
		options := []apitest.Option{apitest.On(p), apitest.Fresh(), unlimited()}
		servers := []*apitest.Server{apitest.Start(t, options...), apitest.Start(t, options...)}
		if s := ctBeside(servers[0], "setup-code"); s.code != 0 || !strings.Contains(s.out, "Set-up code: ") || s.err != "" {
			t.Fatalf("%+v", s)
		}
		if s := ctBeside(servers[0], ctOwner...); s.code != 0 || s.err != "" || strings.Contains(s.out, apitest.OwnerPassword) {
			t.Fatalf("%+v", s)
		}
		for _, server := range servers {
			server.SignInDevice(t, server.SignedIn(t), "laptop")
			wantAnswer(t, server.Call(t, http.MethodPost, "/console/api/init", ""), http.StatusConflict, "already_set_up")
		}
		for _, again := range [][]string{ctOwner, {"setup-code"}} {
			if s := ctBeside(servers[1], again...); s.code != 1 || !strings.Contains(s.err, "already set up") {
				t.Errorf("%v: %+v", again, s)
			}
		}
		if n := sqlInt(t, servers[0], `SELECT count(*) FROM audit_events WHERE event = 'account.setup' AND actor_type = 'operator'`); n != 1 {
			t.Errorf("%d events", n)
		}
	})

	s := flTwo(t, apitest.NewPair(t))
	addAccount(t, s.a, "bob@example.com")
	for _, tc := range []struct {
		name  string
		args  func(id string) []string
		event string
		kills bool // browsers and approvals too
	}{
		{"tokens revoke", func(id string) []string { return []string{"tokens", "revoke", id} }, "oauth.token_revoked", false},
		{"set-status", func(string) []string { return []string{"set-status", "bob@example.com", "banned"} }, "account.status_changed", true},
		{"revoke-subject", func(string) []string {
			return []string{"revoke-subject", "--email", "bob@example.com", "--reason", "lost"}
		}, "oauth.subject_revoked", true},
	} {
		t.Run("M-31 TK-10 INV-11 "+tc.name+" holds on both servers with the next request", func(t *testing.T) {
			s.owner = dvSignIn(t, s.b, "bob@example.com")
			token, id := s.login(t, "laptop")
			s.alive(t, token, true) // and is remembered
			approved := s.a.Code(t, "approved before")
			wantAnswer(t, s.owner.decide(t, "approve", approved.User), http.StatusOK, "")
			sqlExec(t, s.a, `DELETE FROM audit_events`)
			said := ctBeside(s.a, tc.args(id)...)
			if said.code != 0 || said.err != "" || strings.Contains(said.out, token) {
				t.Fatalf("%+v", said)
			}
			s.alive(t, token, false)
			for name, server := range s.each() {
				status := http.StatusOK
				if tc.kills {
					status = http.StatusUnauthorized
				}
				if a := server.Call(t, http.MethodGet, profilePath, "", "Cookie", s.owner.cookie); a.Status != status {
					t.Errorf("%s server, the browser: %d %s", name, a.Status, a.Body)
				}
			}
			if a := s.b.Poll(t, approved); (a.Status == http.StatusOK) == tc.kills {
				t.Errorf("the approval from before: %d %s", a.Status, a.Body)
			}
			audited := strings.Join(ctAudited(t, s.a), "")
			for _, event := range []string{tc.event, "oauth.token_revoked"} {
				if !strings.Contains(audited, event+" operator cli:") {
					t.Errorf("no %s in\n%s", event, audited)
				}
			}
			if tc.name == "set-status" {
				if s := ctBeside(s.a, "set-status", "bob@example.com", "active"); s.code != 0 {
					t.Fatalf("%+v", s)
				}
				s.alive(t, token, false)
			}
		})
	}
}
