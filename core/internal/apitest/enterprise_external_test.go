// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// exGuest gives a person without an account a live row, as the Enterprise Edition mints,
// and its token.
func exGuest(t testing.TB, s *apitest.Server, subjectID, email, connection string) (token string) {
	t.Helper()
	token = "dfoe_" + secret.Random()
	hash, ref, now := secret.DigestOf(token), secret.DigestOf(secret.Random()), s.Clock.Now()
	sqlExec(t, s, `INSERT INTO oauth_access_tokens (id, subject_email, subject_issuer, subject_id, connection_id, client_id, device_label, prefix,
		token_hash, created_at, expires_at, approved_at, grant_ref) VALUES ($1, $2, $3, $4, $5, 'difyctl', $1, 'dfoe_', $6, $7, $8, $7, $9)`,
		canon.NewID(), email, klIDP, subjectID, connection, hash[:], now, now.Add(time.Hour), ref[:])
	return token
}

func TestPeopleWithoutAnAccount(t *testing.T) {
	s := apitest.Start(t, unlimited(), apitest.Enterprise(t))
	const account = "/openapi/v1/account"
	// The owner's e-mail: the e-mail is a label, and makes nobody another.
	guest, other := exGuest(t, s, "ann", apitest.OwnerEmail, "corp"), exGuest(t, s, "ann", "ann@corp.example", "corp")
	stranger := exGuest(t, s, "bea", apitest.OwnerEmail, "corp")
	owner, _ := s.SignInDevice(t, s.SignedIn(t), "box")
	list := func(t *testing.T, token string) []any {
		t.Helper()
		a := s.Bearer(t, token, http.MethodGet, sessionsPath)
		wantAnswer(t, a, http.StatusOK, "")
		rows, _ := a.JSON(t)["data"].([]any)
		return rows
	}
	t.Run("SSO-31 who they are", func(t *testing.T) {
		a := s.Bearer(t, guest, http.MethodGet, account)
		wantAnswer(t, a, http.StatusOK, "")
		want := `{"subject_type":"external_sso","subject_email":"` + apitest.OwnerEmail + `","subject_issuer":"` + klIDP + `","account":null,"workspaces":[],"default_workspace_id":null}`
		if a.Body != want {
			t.Fatalf("%s, want %s", a.Body, want)
		}
	})
	t.Run("TOK-08 an account and an external subject of one e-mail see their own rows alone", func(t *testing.T) {
		if rows := list(t, guest); len(rows) != 2 {
			t.Errorf("the guest sees %v", rows)
		} else if row := rows[0].(map[string]any); row["prefix"] != "dfoe_" || row["subject_type"] != "external_sso" {
			t.Errorf("%v", row)
		}
		if rows := list(t, owner); len(rows) != 1 {
			t.Errorf("the owner sees %v", rows)
		}
		if rows := list(t, stranger); len(rows) != 1 {
			t.Errorf("another person of the issuer sees %v", rows)
		}
	})
	t.Run("TOK-08 and end their own alone, and another's reads like none", func(t *testing.T) {
		ids := map[string]string{}
		for name, token := range map[string]string{"guest": guest, "owner": owner, "stranger": stranger} {
			ids[name] = list(t, token)[0].(map[string]any)["id"].(string)
		}
		for _, tc := range []struct{ token, of string }{{guest, "owner"}, {guest, "stranger"}, {owner, "guest"}, {stranger, "owner"}, {stranger, "guest"}} {
			foreign := s.Bearer(t, tc.token, http.MethodDelete, sessionsPath+"/"+ids[tc.of])
			none := s.Bearer(t, tc.token, http.MethodDelete, sessionsPath+"/"+canon.NewID())
			wantAnswer(t, foreign, http.StatusNotFound, "session_not_found")
			if foreign.Body != none.Body {
				t.Errorf("%s and %s differ", foreign.Body, none.Body)
			}
		}
	})
	t.Run("API-7 PL-8 TOK-10 routes of accounts refuse them by kind, and that is on record", func(t *testing.T) {
		a := s.Bearer(t, guest, http.MethodGet, "/openapi/v1/workspaces")
		wantAnswer(t, a, http.StatusForbidden, "wrong_surface")
		awaitEvents(t, s, "openapi.wrong_surface_denied", 1)
		if f := eventFields(t, s, "openapi.wrong_surface_denied"); f["subject_type"] != "external_sso" || f["route"] != "/openapi/v1/workspaces" || f["client_id"] != "difyctl" {
			t.Errorf("%v", f)
		}
		// A header does not make another method of it.
		a = s.Call(t, http.MethodGet, "/openapi/v1/workspaces", "", "Authorization", "Bearer "+guest, "X-HTTP-Method-Override", "DELETE")
		wantAnswer(t, a, http.StatusForbidden, "wrong_surface")
		a = s.Call(t, http.MethodHead, "/openapi/v1/workspaces", "", "Authorization", "Bearer "+guest)
		if a.Status != http.StatusForbidden {
			t.Errorf("HEAD: %d", a.Status)
		}
	})
	t.Run("API-7 they end all others, one, and their own", func(t *testing.T) {
		a := s.Bearer(t, guest, http.MethodDelete, sessionsPath)
		wantAnswer(t, a, http.StatusOK, "")
		if a.Body != `{"status":"revoked","revoked":1}` {
			t.Error(a.Body)
		}
		wantAnswer(t, s.Bearer(t, other, http.MethodGet, account), http.StatusUnauthorized, "invalid_token")
		third := exGuest(t, s, "ann", "third@corp.example", "corp")
		row := list(t, third)[0].(map[string]any)
		if row["current"] != true {
			row = list(t, third)[1].(map[string]any)
		}
		wantAnswer(t, s.Bearer(t, guest, http.MethodDelete, sessionsPath+"/"+row["id"].(string)), http.StatusOK, "")
		wantAnswer(t, s.Bearer(t, third, http.MethodGet, account), http.StatusUnauthorized, "invalid_token")
		wantAnswer(t, s.Bearer(t, guest, http.MethodDelete, sessionsPath+"/self"), http.StatusOK, "")
		wantAnswer(t, s.Bearer(t, guest, http.MethodGet, account), http.StatusUnauthorized, "invalid_token")
		for _, token := range []string{owner, stranger} {
			wantAnswer(t, s.Bearer(t, token, http.MethodGet, account), http.StatusOK, "")
		}
	})
}

func TestExternalTokensOnTheCommunityEdition(t *testing.T) {
	s := apitest.Start(t, unlimited())
	guest := exGuest(t, s, "ann", "ann@corp.example", "corp") // as an installation that was of the other edition has it
	t.Run("SSO-02 a dfoe_ bearer is refused like garbage", func(t *testing.T) {
		for _, path := range []string{"/openapi/v1/account", sessionsPath, "/openapi/v1/workspaces"} {
			a, garbage := s.Bearer(t, guest, http.MethodGet, path), s.Bearer(t, "garbage", http.MethodGet, path)
			wantAnswer(t, a, http.StatusUnauthorized, "invalid_token")
			if a.Body != garbage.Body {
				t.Errorf("%s: %s and %s", path, a.Body, garbage.Body)
			}
		}
	})
}
