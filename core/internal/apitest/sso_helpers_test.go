// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// ssServer is a server of the Enterprise Edition beside a bridge.
type ssServer struct {
	*apitest.Server
	bridge *apitest.Bridge
}

func ssStart(t testing.TB, options ...apitest.Option) *ssServer {
	t.Helper()
	s, b := apitest.StartEnterprise(t, options...)
	return &ssServer{s, b}
}

const (
	ssFlow  = "device_sso_flow"
	ssGrant = "device_approval_grant"
)

// typed enters a code on the page, so that this browser is known to have sent it.
func (s *ssServer) typed(t testing.TB, b *apitest.Browser, c apitest.Codes) {
	t.Helper()
	b.Get("/device")
	if a := b.SubmitOnly("/device", url.Values{"user_code": {c.User}}); a.Status != http.StatusSeeOther {
		t.Fatalf("the code is not taken: %d", a.Status)
	}
}

// begun starts a company sign-in for a code.
func (s *ssServer) begun(t testing.TB, b *apitest.Browser, c apitest.Codes) apitest.Order {
	t.Helper()
	before := s.bridge.Orders()
	a := b.Initiate("user_code=" + c.User)
	if a.Status != http.StatusFound || s.bridge.Orders() != before+1 {
		t.Fatalf("no login was begun: %d, %s", a.Status, a.Header.Get("Location"))
	}
	return s.bridge.Last(t)
}

// back comes back from the identity provider as somebody.
func (s *ssServer) back(t testing.TB, b *apitest.Browser, c apitest.Codes, who apitest.External) {
	t.Helper()
	a := b.Complete(s.bridge.Assert(t, s.begun(t, b, c), who))
	if a.Status != http.StatusFound || a.Header.Get("Location") != s.URL+"/device?sso_verified=1" {
		t.Fatalf("nobody came back: %d, %s", a.Status, a.Header.Get("Location"))
	}
}

// csrf is the token of the browser's approval grant.
func csrf(t testing.TB, b *apitest.Browser) string {
	t.Helper()
	a := b.Call(http.MethodGet, apitest.DevicePath+"/approval-context", "")
	if a.Status != http.StatusOK {
		t.Fatalf("approval-context: %d %s", a.Status, a.Body)
	}
	return a.Text(t, "csrf_token")
}

// allowed is a code that somebody of the identity provider has allowed.
func (s *ssServer) allowed(t testing.TB, label string, who apitest.External) apitest.Codes {
	t.Helper()
	c, b := s.Code(t, label), s.Browser(t)
	s.back(t, b, c, who)
	wantAnswer(t, b.DecideExternal("approve", c.User, csrf(t, b)), http.StatusOK, "")
	return c
}

// wantCode compares where a navigation that failed leads to: the page with a public code
// and, where one is wanted, a reference.
func (s *ssServer) wantCode(t testing.TB, a apitest.Answer, code, reference string) {
	t.Helper()
	want := s.URL + "/device?"
	if reference != "" {
		want += "attempt=" + reference + "&"
	}
	want += "sso_error=" + code
	if a.Status != http.StatusFound || a.Header.Get("Location") != want {
		t.Fatalf("%d to %q instead of %q", a.Status, a.Header.Get("Location"), want)
	}
	if a.Body != "" && strings.Contains(a.Body, "<") {
		t.Errorf("a body beside the redirect: %s", a.Body)
	}
}

// wantCause compares the newest refused assertion in audit.
func (s *ssServer) wantCause(t testing.TB, n int, cause string) {
	t.Helper()
	awaitEvents(t, s.Server, "sso.assertion_rejected", n)
	if got := eventFields(t, s.Server, "sso.assertion_rejected")["cause"]; got != cause {
		t.Fatalf("cause %v instead of %s", got, cause)
	}
}

// setCookies gives the lines of an answer that set a cookie of a name.
func setCookies(a apitest.Answer, name string) (lines []string) {
	for _, line := range a.Header["Set-Cookie"] {
		if strings.HasPrefix(line, name+"=") {
			lines = append(lines, line)
		}
	}
	return lines
}

// another is somebody of the same issuer.
func another(name string) apitest.External {
	return apitest.External{Issuer: apitest.Grace.Issuer, ID: name + "-1", Email: name + "@corp.example", Name: name}
}

// linkIdentity links an identity to the owner's account, as the account branch will.
func (s *ssServer) linkIdentity(t testing.TB, who apitest.External) {
	t.Helper()
	sqlExec(t, s.Server, `INSERT INTO account_identities (id, account_id, issuer, subject_id, connection_id, email, linked_at, linked_by) VALUES ($1, $2, $3, $4, 'corp', $5, $6, 'test')`,
		"0190a1b2-0000-7000-8000-00000000000a", ownerID(t, s.Server), who.Issuer, who.ID, who.Email, s.Clock.Now().UTC())
}

func (s *ssServer) unlinkIdentity(t testing.TB, who apitest.External) {
	t.Helper()
	sqlExec(t, s.Server, `DELETE FROM account_identities WHERE issuer = $1 AND subject_id = $2`, who.Issuer, who.ID)
}

// ssTargets are what a kill may name of somebody.
func ssTargets(who apitest.External) map[string]access.Target {
	return map[string]access.Target{
		"subject": {Issuer: who.Issuer, SubjectID: who.ID}, "email": {Issuer: who.Issuer, Email: who.Email}, "connection": {ConnectionID: apitest.Connection},
	}
}

// end ends somebody's access.
func (s *ssServer) end(t testing.TB, target access.Target) {
	t.Helper()
	if _, err := s.App.Access.Kill(context.Background(), target, "test", audit.Operator); err != nil {
		t.Fatal(err)
	}
}

// open gives somebody's e-mail an account.
func (s *ssServer) open(t testing.TB, email string) {
	t.Helper()
	_, err := s.App.Access.CreateAccount(context.Background(), access.NewAccount{Email: email, Name: "x", Password: secret.New(apitest.OwnerPassword)}, audit.Operator)
	if err != nil {
		t.Fatal(err)
	}
}
