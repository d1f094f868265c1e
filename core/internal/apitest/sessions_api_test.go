// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// tkMembers gives the names of an object's members in their order.
func tkMembers(t *testing.T, object string) (names []string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(object))
	depth := 0
	for key := true; ; {
		tok, err := d.Token()
		if err != nil {
			return names
		}
		switch v := tok.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				depth++
			} else {
				depth--
			}
			key = depth == 1
		case string:
			if depth == 1 && key {
				names = append(names, v)
				key = false
				continue
			}
			key = depth == 1
		default:
			key = depth == 1
		}
	}
}

func TestAccountAnswer(t *testing.T) {
	s := apitest.Start(t, unlimited())
	want := []string{"subject_type", "subject_email", "subject_issuer", "account", "workspaces", "default_workspace_id"}
	t.Run("API-4 every member of the account's answer", func(t *testing.T) {
		bearer, _ := tkLogin(t, s, s.SignedIn(t), "laptop")
		a := tkAsk(t, s, bearer, http.StatusOK, "")
		if got := tkMembers(t, a.Body); !slices.Equal(got, want) {
			t.Fatalf("members %q", got)
		}
		body := a.JSON(t)
		who := body["account"].(map[string]any)
		if body["subject_type"] != "account" || body["subject_email"] != apitest.OwnerEmail || body["subject_issuer"] != nil ||
			len(who) != 3 || who["id"] != ownerID(t, s) || who["email"] != apitest.OwnerEmail || who["name"] != apitest.OwnerName {
			t.Fatal(a.Body)
		}
		list := body["workspaces"].([]any)
		if w := list[0].(map[string]any); len(list) != 1 || len(w) != 3 || w["name"] != apitest.Workspace || w["role"] != "owner" || w["id"] != body["default_workspace_id"] {
			t.Fatal(a.Body)
		}
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
			t.Fatal(a.Header)
		}
	})
	t.Run("API-4 without a workspace", func(t *testing.T) {
		addAccount(t, s, "bob@example.com")
		bearer, _ := tkLogin(t, s, signedInAs(t, s, "bob@example.com"), "laptop")
		a := tkAsk(t, s, bearer, http.StatusOK, "")
		if got := tkMembers(t, a.Body); !slices.Equal(got, want) {
			t.Fatalf("members %q", got)
		}
		if !strings.Contains(a.Body, `"workspaces":[],"default_workspace_id":null`) || !strings.Contains(a.Body, `"subject_issuer":null`) {
			t.Fatal(a.Body)
		}
	})
}

// tkListed gives the ids of a page of sessions in their order.
func tkListed(t *testing.T, a apitest.Answer) (ids []string, current []string) {
	t.Helper()
	wantAnswer(t, a, http.StatusOK, "")
	for _, row := range a.JSON(t)["data"].([]any) {
		r := row.(map[string]any)
		ids = append(ids, r["id"].(string))
		if r["current"] == true {
			current = append(current, r["id"].(string))
		}
	}
	return ids, current
}

func TestSessionList(t *testing.T) {
	s := apitest.Start(t, unlimited())
	b := s.SignedIn(t)
	var bearers, ids []string
	for i := range 7 {
		bearer, id := tkLogin(t, s, b, fmt.Sprintf("device %d", i))
		bearers, ids = append(bearers, bearer), append(ids, id)
	}
	// Two of one instant, so that the id decides.
	sqlExec(t, s, `UPDATE oauth_access_tokens SET created_at = (SELECT created_at FROM oauth_access_tokens WHERE id = $1) WHERE id = $2`, ids[5], ids[4])
	addAccount(t, s, "bob@example.com")
	bobs, bobsID := tkLogin(t, s, signedInAs(t, s, "bob@example.com"), "device 0")
	// A person of an identity provider who has the owner's e-mail.
	external := canon.NewID()
	sqlExec(t, s, `INSERT INTO oauth_access_tokens (id, subject_email, subject_issuer, subject_id, client_id, device_label, prefix, token_hash, created_at, expires_at, approved_at, grant_ref)
		SELECT $1, subject_email, 'https://idp.example', 'ada', client_id, device_label, 'dfoe_', $2, created_at, expires_at, approved_at, grant_ref FROM oauth_access_tokens WHERE id = $3`,
		external, tkBytes(secret.DigestOf("external")), ids[0])
	_, ended := tkLogin(t, s, b, "ended")
	wantAnswer(t, s.Bearer(t, bearers[0], http.MethodDelete, sessionsPath+"/"+ended), http.StatusOK, "")
	_, over := tkLogin(t, s, b, "over")
	sqlExec(t, s, `UPDATE oauth_access_tokens SET expires_at = created_at WHERE id = $1`, over)

	newest := slices.Clone(ids)
	slices.Reverse(newest)
	if newest[1] < newest[2] { // of one instant the greater id comes first
		newest[1], newest[2] = newest[2], newest[1]
	}
	get := func(t *testing.T, bearer, query string) apitest.Answer {
		t.Helper()
		return s.Bearer(t, bearer, http.MethodGet, sessionsPath+query)
	}
	t.Run("API-5 newest first, the caller's marked, ended and expired ones left out", func(t *testing.T) {
		for i, bearer := range bearers {
			got, current := tkListed(t, get(t, bearer, ""))
			if !slices.Equal(got, newest) || !slices.Equal(current, []string{ids[i]}) {
				t.Fatalf("listed %v, current %v; want %v and %s", got, current, newest, ids[i])
			}
		}
	})
	t.Run("API-5 the members of a row", func(t *testing.T) {
		a := get(t, bearers[6], "?limit=1")
		if got := tkMembers(t, a.Body); !slices.Equal(got, []string{"page", "limit", "total", "has_more", "data"}) {
			t.Fatalf("members %q", got)
		}
		row := a.JSON(t)["data"].([]any)[0].(map[string]any)
		if len(row) != 9 || row["prefix"] != "dfoa_" || row["client_id"] != "difyctl" || row["device_label"] != "device 6" || row["subject_type"] != "account" {
			t.Fatal(a.Body)
		}
		for _, name := range []string{"created_at", "expires_at"} {
			if v, _ := row[name].(string); !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`).MatchString(v) {
				t.Errorf("%s is %v", name, row[name])
			}
		}
	})
	t.Run("API-5 TOK-07 others' rows are hidden", func(t *testing.T) {
		got, _ := tkListed(t, get(t, bobs, ""))
		if !slices.Equal(got, []string{bobsID}) {
			t.Fatalf("bob sees %v", got)
		}
		if strings.Contains(get(t, bearers[0], "?limit=200").Body, external) {
			t.Fatal("an account sees the sessions of an external subject of its e-mail")
		}
	})

	pages := []struct {
		name, query string
		status      int
	}{
		{name: "API-2 page 0", query: "?page=0", status: http.StatusUnprocessableEntity},
		{name: "API-2 limit 0", query: "?limit=0", status: http.StatusUnprocessableEntity},
		{name: "API-2 limit 1", query: "?limit=1", status: http.StatusOK},
		{name: "API-2 limit 200", query: "?limit=200", status: http.StatusOK},
		{name: "API-2 limit 201", query: "?limit=201", status: http.StatusUnprocessableEntity},
		{name: "API-2 page as text", query: "?page=one", status: http.StatusUnprocessableEntity},
		{name: "API-2 limit as text", query: "?limit=all", status: http.StatusUnprocessableEntity},
		{name: "API-2 empty", query: "?page=", status: http.StatusUnprocessableEntity},
		{name: "API-2 negative", query: "?page=-1", status: http.StatusUnprocessableEntity},
		{name: "API-2 signed", query: "?page=%2B1", status: http.StatusUnprocessableEntity},
		{name: "API-2 fraction", query: "?limit=1.0", status: http.StatusUnprocessableEntity},
		{name: "API-2 leading nought", query: "?limit=010", status: http.StatusUnprocessableEntity},
		{name: "API-2 huge", query: "?page=99999999999999999999", status: http.StatusUnprocessableEntity},
		{name: "API-2 far beyond the end", query: "?page=1000000&limit=200", status: http.StatusOK},
		{name: "API-2 twice", query: "?page=1&page=1", status: http.StatusUnprocessableEntity},
		{name: "API-1 an unknown parameter of a strict route", query: "?page=1&colour=red", status: http.StatusUnprocessableEntity},
		{name: "API-1 a parameter in another letter case", query: "?Page=1", status: http.StatusUnprocessableEntity},
	}
	for _, tc := range pages {
		t.Run(tc.name, func(t *testing.T) {
			a := get(t, bearers[0], tc.query)
			if tc.status == http.StatusOK {
				wantAnswer(t, a, tc.status, "")
				return
			}
			wantAnswer(t, a, tc.status, "invalid_param")
			details, ok := a.JSON(t)["details"].([]any)
			if !ok || len(details) == 0 || a.JSON(t)["message"] != "Request validation failed" {
				t.Fatal(a.Body)
			}
			for _, refused := range []string{"red", "all", "1.0", "99999999"} {
				if strings.Contains(a.Body, `"`+refused) {
					t.Fatalf("the refused value is in the body: %s", a.Body)
				}
			}
		})
	}
	t.Run("API-2 the pages add up", func(t *testing.T) {
		var all []string
		for page := 1; ; page++ {
			a := get(t, bearers[0], fmt.Sprintf("?limit=3&page=%d", page))
			got, _ := tkListed(t, a)
			all = append(all, got...)
			body := a.JSON(t)
			if body["total"] != 7.0 || body["page"] != float64(page) || body["limit"] != 3.0 || body["has_more"] != (page*3 < 7) {
				t.Fatal(a.Body)
			}
			if body["has_more"] == false {
				break
			}
		}
		if !slices.Equal(all, newest) {
			t.Fatalf("%v is not %v", all, newest)
		}
		if body := get(t, bearers[0], "?page=9").JSON(t); body["limit"] != 100.0 || body["total"] != 7.0 || len(body["data"].([]any)) != 0 {
			t.Fatalf("beyond the end: %v", body)
		}
		if a := get(t, bearers[0], "?page=9"); !strings.Contains(a.Body, `"data":[]`) {
			t.Fatal(a.Body)
		}
	})
	t.Run("API-1 an unknown member of an open body is ignored", func(t *testing.T) {
		body := strings.TrimSuffix(tkLoginBody(apitest.OwnerEmail, tkEncoded(apitest.OwnerPassword), false), "}") + `,"colour":"red","token":{"a":[1]}}`
		wantAnswer(t, s.Call(t, http.MethodPost, loginPath, body, "Content-Type", "application/json"), http.StatusOK, "")
		wantAnswer(t, s.Post(t, codePath, map[string]any{"client_id": "difyctl", "device_label": "x", "colour": "red"}), http.StatusOK, "")
	})
}

func TestEndingSessions(t *testing.T) {
	spy := &tkStore{}
	s := apitest.Start(t, unlimited(), apitest.Wrap(spy.wrap))
	b := s.SignedIn(t)
	del := func(t *testing.T, bearer, path string) apitest.Answer {
		t.Helper()
		return s.Bearer(t, bearer, http.MethodDelete, sessionsPath+path)
	}
	const revoked = `{"status":"revoked"}`
	reason := func(id string) string {
		return sqlText(t, s, `SELECT coalesce(revoke_reason, '') FROM oauth_access_tokens WHERE id = $1`, id)
	}
	t.Run("API-6 oneself", func(t *testing.T) {
		bearer, id := tkLogin(t, s, b, "self")
		if a := del(t, bearer, "/self"); a.Status != http.StatusOK || a.Body != revoked {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		tkAsk(t, s, bearer, http.StatusUnauthorized, "invalid_token")
		wantAnswer(t, del(t, bearer, "/self"), http.StatusUnauthorized, "invalid_token")
		if reason(id) != "logout" {
			t.Fatal(reason(id))
		}
	})
	t.Run("API-6 another of one's own, and again", func(t *testing.T) {
		bearer, _ := tkLogin(t, s, b, "keeper")
		other, id := tkLogin(t, s, b, "other")
		for range 3 {
			if a := del(t, bearer, "/"+id); a.Status != http.StatusOK || a.Body != revoked {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			tkAsk(t, s, other, http.StatusUnauthorized, "invalid_token")
		}
		if reason(id) != "user" {
			t.Fatal(reason(id))
		}
		if n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'oauth.token_revoked' AND token_id = $1`, id); n != 1 {
			t.Fatalf("%d events", n)
		}
		if f := eventFields(t, s, "oauth.token_revoked"); f["token_id"] != id || f["reason"] != "user" || f["subject"] != ownerID(t, s) {
			t.Fatal(f)
		}
		tkAsk(t, s, bearer, http.StatusOK, "")
	})
	t.Run("API-6 one's own by its id", func(t *testing.T) {
		bearer, id := tkLogin(t, s, b, "by id")
		wantAnswer(t, del(t, bearer, "/"+id), http.StatusOK, "")
		tkAsk(t, s, bearer, http.StatusUnauthorized, "invalid_token")
	})
	t.Run("API-6 TOK-07 a foreign one reads like one that never was", func(t *testing.T) {
		bearer, _ := tkLogin(t, s, b, "keeper")
		addAccount(t, s, "bob@example.com")
		bobs, bobsID := tkLogin(t, s, signedInAs(t, s, "bob@example.com"), "bob's")
		unknown := del(t, bearer, "/"+canon.NewID())
		wantAnswer(t, unknown, http.StatusNotFound, "session_not_found")
		tkSameFailure(t, unknown, del(t, bearer, "/"+bobsID))
		tkSameFailure(t, unknown, del(t, bearer, "/malformed"))
		tkAsk(t, s, bobs, http.StatusOK, "")
		wantAnswer(t, del(t, bobs, "/"+bobsID), http.StatusOK, "")
		tkSameFailure(t, unknown, del(t, bearer, "/"+bobsID)) // ended, and still foreign
	})
	t.Run("API-3 what is no id is unknown without asking SQL", func(t *testing.T) {
		bearer, id := tkLogin(t, s, b, "keeper")
		_, before, _ := spy.counts()
		for _, path := range []string{"/x", "/1", "/" + strings.ToUpper(id), "/" + strings.ReplaceAll(id, "-", ""), "/{" + id + "}", "/" + id + "0", "/%00", "/" + id[:35] + "%0A", "/'%20OR%201=1--", "/..%2Fself"} {
			wantAnswer(t, del(t, bearer, path), http.StatusNotFound, "session_not_found")
		}
		if _, after, _ := spy.counts(); after != before {
			t.Fatalf("the store was asked %d times", after-before)
		}
		tkAsk(t, s, bearer, http.StatusOK, "")
	})
	t.Run("API-6 all but the current one", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		b := s.SignedIn(t)
		var others []string
		for i := range 3 {
			bearer, _ := tkLogin(t, s, b, fmt.Sprint("other ", i))
			others = append(others, bearer)
		}
		keeper, _ := tkLogin(t, s, b, "keeper")
		addAccount(t, s, "bob@example.com")
		bobs, _ := tkLogin(t, s, signedInAs(t, s, "bob@example.com"), "bob's")
		for _, want := range []string{`{"status":"revoked","revoked":3}`, `{"status":"revoked","revoked":0}`} {
			if a := s.Bearer(t, keeper, http.MethodDelete, sessionsPath); a.Status != http.StatusOK || a.Body != want {
				t.Fatalf("%d %s, want %s", a.Status, a.Body, want)
			}
		}
		for _, other := range others {
			tkAsk(t, s, other, http.StatusUnauthorized, "invalid_token")
		}
		tkAsk(t, s, keeper, http.StatusOK, "")
		tkAsk(t, s, bobs, http.StatusOK, "")
		if n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'oauth.token_revoked'`); n != 3 {
			t.Fatalf("%d events", n)
		}
	})
}

func TestSessionsPage(t *testing.T) {
	s := apitest.Start(t, unlimited())
	b := s.SignedIn(t)
	addAccount(t, s, "bob@example.com")
	t.Run("W-18 without a device the page shows the command that adds one", func(t *testing.T) {
		if a := b.Get("/account/sessions"); !strings.Contains(a.Body, "difyauth login --host "+s.URL) {
			t.Fatal(a.Body)
		}
	})
	t.Run("W-18 all others end at once, this browser stays", func(t *testing.T) {
		one, _ := tkLogin(t, s, b, "one")
		two, _ := tkLogin(t, s, b, "two")
		other := s.SignedIn(t)
		bob := signedInAs(t, s, "bob@example.com")
		b.Get("/account/sessions/end?kind=others")
		b.Submit("/account/sessions/end", nil)
		if b.Path != "/account/sessions?outcome=ended" || b.Page.Status != http.StatusOK {
			t.Fatalf("%d at %s", b.Page.Status, b.Path)
		}
		tkAsk(t, s, one, http.StatusUnauthorized, "invalid_token")
		tkAsk(t, s, two, http.StatusUnauthorized, "invalid_token")
		wantAnswer(t, other.Call(http.MethodGet, "/console/api/account/profile", ""), http.StatusUnauthorized, "unauthorized")
		wantAnswer(t, b.Call(http.MethodGet, "/console/api/account/profile", ""), http.StatusOK, "")
		wantAnswer(t, bob.Call(http.MethodGet, "/console/api/account/profile", ""), http.StatusOK, "")
	})
	t.Run("TOK-07 a foreign session is not found on the page either", func(t *testing.T) {
		bob := signedInAs(t, s, "bob@example.com")
		bobs, bobsID := tkLogin(t, s, bob, "bob's")
		bobsBrowser := sqlText(t, s, `SELECT id FROM console_sessions WHERE token_hash = $1`, tkDigest(bob.Cookie("console_session")))
		token := b.CSRF()
		for kind, id := range map[string]string{"device": bobsID, "browser": bobsBrowser} {
			if a := b.Get("/account/sessions/end?kind=" + kind + "&id=" + id); a.Status != http.StatusNotFound {
				t.Errorf("%s: asked about it: %d", kind, a.Status)
			}
			a := b.Call(http.MethodPost, "/account/sessions/end", "csrf_token="+token+"&kind="+kind+"&id="+id, "Content-Type", "application/x-www-form-urlencoded", "Origin", s.URL)
			if a.Status != http.StatusNotFound {
				t.Errorf("%s: ended it: %d", kind, a.Status)
			}
		}
		tkAsk(t, s, bobs, http.StatusOK, "")
		wantAnswer(t, bob.Call(http.MethodGet, "/console/api/account/profile", ""), http.StatusOK, "")
	})
}
