// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// Between the approval and the poll the person loses the right.
func TestAnApprovalThatHoldsNoMore(t *testing.T) {
	slow(t)
	s := dvStart(t)
	status := func(to string) func(t *testing.T, bob dvPerson, id string) {
		return func(t *testing.T, _ dvPerson, id string) {
			sqlExec(t, s.Server, `UPDATE accounts SET status = $1 WHERE id = $2`, to, id)
		}
	}
	for _, tc := range []struct {
		name, reason string
		lose         func(t *testing.T, bob dvPerson, id string)
	}{
		{"DF-26 DEV-30 the account is banned", "account_banned", status("banned")},
		{"DF-26 DEV-30 the account is closed", "account_closed", status("closed")},
		{"DF-26 DEV-30 the account is not active yet", "account_pending", status("pending")},
		{"DF-26 DEV-30 the account is deleted", "account_deleted", func(t *testing.T, _ dvPerson, id string) {
			sqlExec(t, s.Server, `DELETE FROM accounts WHERE id = $1`, id)
		}},
		{"DEV-30 a device ended all others", "epoch", func(t *testing.T, bob dvPerson, _ string) {
			token, _ := s.SignInDevice(t, bob.browser, "device of "+bob.email)
			wantAnswer(t, s.Bearer(t, token, http.MethodDelete, "/openapi/v1/account/sessions"), http.StatusOK, "")
			wantAnswer(t, s.Bearer(t, token, http.MethodDelete, "/openapi/v1/account/sessions/self"), http.StatusOK, "")
		}},
		{"DEV-30 the browser that approved was ended from another", "epoch", func(t *testing.T, bob dvPerson, id string) {
			other := dvSignIn(t, s.Server, bob.email)
			session := sqlText(t, s.Server, `SELECT id FROM console_sessions WHERE account_id = $1 ORDER BY created_at LIMIT 1`, id)
			other.browser.Get("/account/sessions/end?kind=browser&id=" + session)
			if a := other.browser.Submit("/account/sessions/end", nil); a.Status != http.StatusOK {
				t.Fatalf("%d at %s:\n%s", a.Status, other.browser.Path, a.Body)
			}
			wantAnswer(t, bob.browser.Call(http.MethodGet, "/console/api/csrf-token", ""), http.StatusUnauthorized, "unauthorized")
		}},
		{"DEV-30 another browser ended everything but itself", "epoch", func(t *testing.T, bob dvPerson, _ string) {
			other := dvSignIn(t, s.Server, bob.email)
			other.browser.Get("/account/sessions/end?kind=others")
			if a := other.browser.Submit("/account/sessions/end", nil); a.Status != http.StatusOK {
				t.Fatalf("%d at %s:\n%s", a.Status, other.browser.Path, a.Body)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			email := strings.ReplaceAll(strings.ToLower(tc.name), " ", "-") + "@example.com"
			id := addAccount(t, s.Server, email)
			bob, label := dvSignIn(t, s.Server, email), "label of "+email
			c := s.Code(t, label)
			wantAnswer(t, bob.decide(t, "approve", c.User), http.StatusOK, "")
			tc.lose(t, bob, id)
			rejected := sqlInt(t, s.Server, `SELECT count(*) FROM audit_events WHERE event = 'oauth.device_flow_rejected'`)

			a := s.Poll(t, c)
			wantAnswer(t, a, http.StatusBadRequest, "access_denied")
			if a.Body != `{"error":"access_denied"}` {
				t.Fatal(a.Body)
			}
			wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
			if n := sqlInt(t, s.Server, `SELECT count(*) FROM oauth_access_tokens WHERE device_label = $1`, label); n != 0 {
				t.Errorf("%d rows", n)
			}
			if n := sqlInt(t, s.Server, `SELECT count(*) FROM audit_events WHERE event = 'oauth.token_minted' AND fields LIKE $1`, "%"+label+"%"); n != 0 {
				t.Errorf("%d tokens minted on record", n)
			}
			awaitEvents(t, s.Server, "oauth.device_flow_rejected", rejected+1)
			f := eventFields(t, s.Server, "oauth.device_flow_rejected")
			if f["reason"] != tc.reason || f["subject"] != id || f["client_id"] != "difyctl" || f["device_label"] != label {
				t.Errorf("%v", f)
			}
		})
	}
	t.Run("DEV-30 an approval given after the end counts", func(t *testing.T) {
		token, _ := s.SignInDevice(t, s.owner.browser, "kept")
		wantAnswer(t, s.Bearer(t, token, http.MethodDelete, "/openapi/v1/account/sessions"), http.StatusOK, "")
		wantAnswer(t, s.Poll(t, s.approved(t, "after")), http.StatusOK, "")
	})
	t.Run("DEV-30 no clock decides: an end that is dated before the approval kills it", func(t *testing.T) {
		token, _ := s.SignInDevice(t, s.owner.browser, "kept")
		c := s.approved(t, "ahead")
		s.Clock.Advance(-time.Minute)
		wantAnswer(t, s.Bearer(t, token, http.MethodDelete, "/openapi/v1/account/sessions"), http.StatusOK, "")
		s.Clock.Advance(time.Minute)
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "access_denied")
	})
}

// The workspaces of one person: first, second and third, made in this order. The
// second is current while the code is approved.
type dvWorkspaces struct {
	s                    *dvServer
	owner                string
	first, second, third string
	created              time.Time
}

func newWorkspaces(t *testing.T) *dvWorkspaces {
	w := &dvWorkspaces{s: dvStart(t)}
	w.owner = ownerID(t, w.s.Server)
	w.first = sqlText(t, w.s.Server, `SELECT id FROM workspaces`)
	w.created = sqlTime(t, w.s.Server, `SELECT created_at FROM workspaces`)
	w.second, w.third = w.add(t, "Second", 1), w.add(t, "Third", 2)
	w.current(t, w.second)
	return w
}

func (w *dvWorkspaces) add(t *testing.T, name string, after int) (id string) {
	id = canon.NewID()
	sqlExec(t, w.s.Server, `INSERT INTO workspaces (id, name, status, created_at, updated_at) VALUES ($1, $2, 'normal', $3, $3)`,
		id, name, w.created.Add(time.Duration(after)*time.Microsecond))
	sqlExec(t, w.s.Server, `INSERT INTO memberships (id, workspace_id, account_id, role, current, created_at, updated_at) VALUES ($1, $2, $3, 'normal', $4, $5, $5)`,
		canon.NewID(), id, w.owner, false, w.created)
	return id
}

func (w *dvWorkspaces) current(t *testing.T, id string) {
	sqlExec(t, w.s.Server, `UPDATE memberships SET current = $1 WHERE account_id = $2`, false, w.owner)
	if id != "" {
		sqlExec(t, w.s.Server, `UPDATE memberships SET current = $1 WHERE account_id = $2 AND workspace_id = $3`, true, w.owner, id)
	}
}

func (w *dvWorkspaces) leave(t *testing.T, id string) {
	sqlExec(t, w.s.Server, `DELETE FROM memberships WHERE account_id = $1 AND workspace_id = $2`, w.owner, id)
}

func (w *dvWorkspaces) archive(t *testing.T, id string) {
	sqlExec(t, w.s.Server, `UPDATE workspaces SET status = 'archive' WHERE id = $1`, id)
}

func TestDefaultWorkspaceOfALogin(t *testing.T) {
	slow(t)
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, w *dvWorkspaces)
		want   func(w *dvWorkspaces) any
		listed int
	}{
		{"DF-47 nothing changed", func(*testing.T, *dvWorkspaces) {}, func(w *dvWorkspaces) any { return w.second }, 3},
		{"DF-47 switched: the approval's stays", func(t *testing.T, w *dvWorkspaces) { w.current(t, w.third) }, func(w *dvWorkspaces) any { return w.second }, 3},
		{"DF-47 left: the current one", func(t *testing.T, w *dvWorkspaces) { w.leave(t, w.second); w.current(t, w.third) }, func(w *dvWorkspaces) any { return w.third }, 2},
		{"DF-47 left and none current: the first", func(t *testing.T, w *dvWorkspaces) { w.leave(t, w.second) }, func(w *dvWorkspaces) any { return w.first }, 2},
		{"DF-47 archived: the first", func(t *testing.T, w *dvWorkspaces) { w.archive(t, w.second) }, func(w *dvWorkspaces) any { return w.first }, 2},
		{"DF-47 archived and another current", func(t *testing.T, w *dvWorkspaces) { w.archive(t, w.second); w.current(t, w.third) }, func(w *dvWorkspaces) any { return w.third }, 2},
		{"DF-47 archived while another archived one is current", func(t *testing.T, w *dvWorkspaces) {
			w.archive(t, w.second)
			w.archive(t, w.first)
			w.current(t, w.first)
		}, func(w *dvWorkspaces) any { return w.third }, 1},
		{"DF-47 every one left", func(t *testing.T, w *dvWorkspaces) {
			for _, id := range []string{w.first, w.second, w.third} {
				w.leave(t, id)
			}
		}, func(*dvWorkspaces) any { return nil }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorkspaces(t)
			before, after := w.s.approved(t, "before"), w.s.approved(t, "after")
			check := func(a apitest.Answer) {
				t.Helper()
				wantAnswer(t, a, http.StatusOK, "")
				body := a.JSON(t)
				if body["default_workspace_id"] != tc.want(w) || len(body["workspaces"].([]any)) != tc.listed {
					t.Fatalf("want %v of %d: %s", tc.want(w), tc.listed, a.Body)
				}
			}
			won := w.s.Poll(t, after) // and what follows is after the poll
			wantAnswer(t, won, http.StatusOK, "")
			if won.JSON(t)["default_workspace_id"] != w.second {
				t.Fatal(won.Body)
			}
			tc.change(t, w)
			check(w.s.Poll(t, before))
			check(w.s.Bearer(t, won.Text(t, "token"), http.MethodGet, "/openapi/v1/account"))
		})
	}
	t.Run("DF-47 the approval stores what the page showed", func(t *testing.T) {
		w := newWorkspaces(t)
		c, b := w.s.Code(t, "x"), w.s.owner.browser
		b.Get("/device")
		b.Submit("/device", url.Values{"user_code": {c.User}})
		if !strings.Contains(b.Page.Body, "Second") || strings.Contains(b.Page.Body, "Third") {
			t.Fatalf("another workspace than the current one is shown:\n%s", b.Page.Body)
		}
		b.Submit("/device/authorize", url.Values{"decision": {"allow"}})
		w.current(t, w.third)
		a := w.s.Poll(t, c)
		wantAnswer(t, a, http.StatusOK, "")
		if got := sqlText(t, w.s.Server, `SELECT workspace_id FROM oauth_access_tokens WHERE id = $1`, a.Text(t, "token_id")); got != w.second || a.Text(t, "default_workspace_id") != w.second {
			t.Fatalf("stored %s: %s", got, a.Body)
		}
	})
}
