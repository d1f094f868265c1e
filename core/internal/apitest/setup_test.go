// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

const setupPath = "/console/api/setup"

// setupBody is the JSON of a first owner.
func setupBody(code, email string) map[string]string {
	return map[string]string{"setup_code": code, "email": email, "name": "Ada", "password": apitest.OwnerPassword, "workspace_name": "Engines"}
}

func TestSetUpByScript(t *testing.T) {
	s := apitest.Start(t, apitest.Fresh(), unlimited())
	drawn, err := s.App.Installation.NewCode(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	code := drawn.Reveal()
	without := func(field, value string) map[string]string {
		body := setupBody(code, "ada@example.com")
		body[field] = value
		return body
	}
	for _, tc := range []struct {
		name   string
		body   map[string]string
		status int
		word   string
		field  string
	}{
		{"W-10 a wrong code", setupBody("wrong", "ada@example.com"), http.StatusForbidden, "setup_code_wrong", ""},
		{"no e-mail", without("email", ""), http.StatusBadRequest, "bad_request", "email"},
		{"a malformed e-mail", without("email", "ada"), http.StatusBadRequest, "bad_request", "email"},
		{"a name of control characters", without("name", "a\x07"), http.StatusBadRequest, "bad_request", "name"},
		{"a workspace's name that is too long", without("workspace_name", strings.Repeat("x", 256)), http.StatusBadRequest, "bad_request", "workspace_name"},
		{"a short password", without("password", "short"), http.StatusBadRequest, "bad_request", "password"},
		{"the e-mail as password", without("password", "ada@example.com"), http.StatusBadRequest, "bad_request", "password"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Post(t, setupPath, tc.body)
			wantAnswer(t, a, tc.status, tc.word)
			if tc.field != "" && !strings.Contains(a.Body, `"loc":["`+tc.field+`"]`) {
				t.Errorf("the field is not named: %s", a.Body)
			}
			if strings.Contains(a.Body, code) || strings.Contains(a.Body, tc.body["password"]) && tc.body["password"] != "short" {
				t.Errorf("a secret is echoed: %s", a.Body)
			}
		})
	}
	t.Run("W-22 before it nobody can sign in", func(t *testing.T) {
		wantAnswer(t, s.Post(t, "/console/api/login", map[string]string{"email": "a@b.c", "password": "eA=="}), http.StatusUnauthorized, "not_setup")
		wantAnswer(t, s.Call(t, http.MethodPost, "/console/api/init", ""), http.StatusUnauthorized, "not_setup")
	})
	t.Run("a foreign origin is refused", func(t *testing.T) {
		wantAnswer(t, s.Post(t, setupPath, setupBody(code, "ada@example.com"), "Origin", "https://evil.example"), http.StatusForbidden, "origin_not_allowed")
	})
	t.Run("W-10 of twenty racers one wins", func(t *testing.T) {
		var (
			wg       sync.WaitGroup
			start    = make(chan struct{})
			statuses = make(chan int, 20)
		)
		for range 20 {
			wg.Go(func() {
				<-start
				statuses <- s.Post(t, setupPath, setupBody(code, "ada@example.com")).Status
			})
		}
		close(start)
		wg.Wait()
		close(statuses)
		got := map[int]int{}
		for status := range statuses {
			got[status]++
		}
		if got[http.StatusCreated] != 1 || got[http.StatusConflict] != 19 {
			t.Fatalf("statuses %v", got)
		}
		if n := sqlInt(t, s, `SELECT count(*) FROM accounts`); n != 1 {
			t.Fatalf("%d accounts", n)
		}
		if n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'account.setup'`); n != 1 {
			t.Fatalf("%d events", n)
		}
	})
	t.Run("W-10 a second time is a conflict", func(t *testing.T) {
		wantAnswer(t, s.Post(t, setupPath, setupBody(code, "eve@example.com")), http.StatusConflict, "already_set_up")
		wantAnswer(t, s.Call(t, http.MethodPost, "/console/api/register", ""), http.StatusConflict, "already_set_up")
	})
}

func TestSetUpCodeIsGuarded(t *testing.T) {
	s := apitest.Start(t, apitest.Fresh())
	for range 10 {
		wantAnswer(t, s.Post(t, setupPath, setupBody("wrong", "ada@example.com")), http.StatusForbidden, "setup_code_wrong")
	}
	a := s.Post(t, setupPath, setupBody("wrong", "ada@example.com"))
	wantAnswer(t, a, http.StatusTooManyRequests, "too_many_requests")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}
