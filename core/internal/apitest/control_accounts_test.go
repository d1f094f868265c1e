// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// The commands run beside a server: over its socket where it has one, on Postgres and
// Redis in a fleet.
func TestAccountsByCommandBesideAServer(t *testing.T) {
	t.Run("TK-16 TK-27 M-31 an account created with an external subject's e-mail takes it over, in the running server's memory too", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		s.SignedIn(t)
		klGuest(t, s, "00u1", "bob@example.com", "con-1")
		klGuest(t, s, "00u2", "eve@example.com", "con-1")
		const of = `SELECT token_hash FROM oauth_access_tokens WHERE subject_email = $1`
		his, hers := sqlDigest(t, s, of, "bob@example.com"), sqlDigest(t, s, of, "eve@example.com")
		bearers := s.App.Stores.Bearers
		for _, d := range []struct {
			digest secret.Digest
			email  string
		}{{his, "bob@example.com"}, {hers, "eve@example.com"}} {
			subject := token.Subject{Issuer: klIDP, ID: "x", Email: d.email}
			if err := bearers.Remember(t.Context(), d.digest, token.Context{SessionID: "x", Subject: subject, ExpiresAt: s.Clock.Now().Add(time.Hour)}, s.Clock.Now(), 30*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		said := ctBeside(s, "create-account", "--email", "Bob@example.com", "--name", "Bob", "--password-file", "-")
		if said.code != 0 || !strings.Contains(said.out, "1 token of people who had this e-mail without an account revoked") {
			t.Fatalf("%+v", said)
		}
		if n := sqlInt(t, s, `SELECT count(*) FROM oauth_access_tokens WHERE revoked_at IS NULL AND subject_email = 'eve@example.com'`); n != 1 {
			t.Errorf("%d rows of somebody else", n)
		}
		if reason := sqlText(t, s, `SELECT revoke_reason FROM oauth_access_tokens WHERE subject_email = 'bob@example.com'`); reason != "email_became_account" {
			t.Errorf("reason %s", reason)
		}
		if n := sqlInt(t, s, `SELECT epoch FROM subject_epochs WHERE subject_key = $1`, token.EmailKey("bob@example.com")); n != 1 {
			t.Errorf("epoch %d", n)
		}
		if known, err := bearers.Get(t.Context(), his, s.Clock.Now()); err != nil || known.Finding != token.Buried {
			t.Errorf("what the server remembers: %+v, %v", known, err)
		}
		if known, err := bearers.Get(t.Context(), hers, s.Clock.Now()); err != nil || known.Finding == token.Buried {
			t.Errorf("of somebody else: %+v, %v", known, err)
		}
		s.SignInDevice(t, signedInAs(t, s, "bob@example.com"), "laptop") // the new account works at once
	})

	t.Run("M-31 a password that is set ends browsers and approvals, and tokens when it is asked to", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		b := s.SignedIn(t)
		laptop, _ := s.SignInDevice(t, b, "laptop")
		wantAnswer(t, s.Bearer(t, laptop, http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
		approved := s.Code(t, "approved before")
		wantAnswer(t, b.Decide("approve", approved.User), http.StatusOK, "")
		set := []string{"set-password", apitest.OwnerEmail, "--password-file", "-"}
		if said := ctBeside(s, set...); said.code != 0 || !strings.Contains(said.out, "0 tokens revoked, 1 browser signed out") {
			t.Fatalf("%+v", said)
		}
		wantAnswer(t, s.Poll(t, approved), http.StatusBadRequest, "access_denied")
		wantAnswer(t, s.Bearer(t, laptop, http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
		if said := ctBeside(s, append(set, "--revoke-tokens")...); said.code != 0 || !strings.Contains(said.out, "1 token revoked") {
			t.Fatalf("%+v", said)
		}
		wantAnswer(t, s.Bearer(t, laptop, http.MethodGet, "/openapi/v1/account"), http.StatusUnauthorized, "")
		if strings.Contains(s.Log.String(), apitest.OwnerPassword) {
			t.Error("the password is in the log")
		}
	})

	t.Run("M-31 refusals come in the words of the service", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		s.SignedIn(t)
		for args, want := range map[string]string{
			"create-account --email " + apitest.OwnerEmail + " --name A --password-file -": "An account has this e-mail already, and nothing was done. \"core admin list-accounts",
			"revoke-admin " + apitest.OwnerEmail:                                           "last active deployment administrator",
			"grant-admin nobody@example.com":                                               "No such account",
		} {
			if said := ctBeside(s, strings.Fields(args)...); said.code != 1 || !strings.Contains(said.err, want) || said.out != "" {
				t.Errorf("%s: %+v", args, said)
			}
		}
		if said := ctBeside(s, "grant-admin", apitest.OwnerEmail, "-o", "json"); said.code != 0 || !strings.Contains(said.out, `"deployment_admin":true,"changed":false`) {
			t.Errorf("%+v", said)
		}
		if said := ctBeside(s, "list-accounts", "-o", "json"); said.code != 0 || !strings.HasPrefix(said.out, `{"page":1,"limit":50,"total":1,"has_more":false,"data":[`) || strings.Contains(said.out, "argon2") {
			t.Errorf("%+v", said)
		}
	})
}
