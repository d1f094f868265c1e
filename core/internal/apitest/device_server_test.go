// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
)

// dvServer is a server without limits whose stores fail on demand.
type dvServer struct {
	*apitest.Server
	*dvFaults
	owner dvPerson
}

func dvStart(t *testing.T, options ...apitest.Option) *dvServer {
	t.Helper()
	s := &dvServer{dvFaults: &dvFaults{}}
	s.Server = apitest.Start(t, append([]apitest.Option{unlimited(), apitest.Wrap(s.wrap)}, options...)...)
	s.owner = dvSignIn(t, s.Server, apitest.OwnerEmail)
	return s
}

func (s *dvServer) grants() *dvGrants { return s.App.Stores.Grants.(*dvGrants) }

// state is where the newest grant stands.
func (s *dvServer) state(t testing.TB) devicegrant.State {
	t.Helper()
	g, ok := s.grants().newest(t, s.Clock.Now())
	if !ok {
		return ""
	}
	return g.State
}

// approved starts a login and approves it.
func (s *dvServer) approved(t testing.TB, label string) apitest.Codes {
	t.Helper()
	c := s.Code(t, label)
	wantAnswer(t, s.owner.decide(t, "approve", c.User), http.StatusOK, "")
	return c
}

// works fails unless the token is served, or with dead unless it is refused.
func (s *dvServer) works(t testing.TB, token string, live bool) {
	t.Helper()
	a := s.Bearer(t, token, http.MethodGet, "/openapi/v1/account")
	if live {
		wantAnswer(t, a, http.StatusOK, "")
	} else {
		wantAnswer(t, a, http.StatusUnauthorized, "invalid_token")
	}
}

// dvPerson is a signed-in browser with its CSRF token at hand, so that a decision is
// one request.
type dvPerson struct {
	s             *apitest.Server
	email         string
	browser       *apitest.Browser
	cookie, token string
}

func dvSignIn(t testing.TB, s *apitest.Server, email string) dvPerson {
	t.Helper()
	b := signedInAs(t, s, email)
	return dvPerson{s: s, email: email, browser: b, cookie: "console_session=" + b.Cookie("console_session"), token: b.CSRF()}
}

// headers are those of a decision by script.
func (p dvPerson) headers() []string {
	return []string{"Content-Type", "application/json", "Cookie", p.cookie, "Origin", p.s.URL, "X-CSRF-Token", p.token}
}

func (p dvPerson) decide(t testing.TB, act, userCode string) apitest.Answer {
	t.Helper()
	return p.s.Call(t, http.MethodPost, "/openapi/v1/oauth/device/"+act, `{"user_code":"`+userCode+`"}`, p.headers()...)
}

// verdicts are the answers that end or go on with a login; an outage is none of them.
var verdicts = []string{"authorization_pending", "slow_down", "expired_token", "access_denied", "invalid_grant", "invalid_client",
	"expired_or_unknown", "already_resolved", "invalid_token", "unauthorized", "invalid_credentials", "session_not_found", `"valid":`}

// dvOutage wants a 503 that says when to come again, and no verdict.
func dvOutage(t testing.TB, a apitest.Answer, retry string) {
	t.Helper()
	if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || retry != "" && a.Header.Get("Retry-After") != retry {
		t.Fatalf("%d with Retry-After %q instead of 503 with %q: %s", a.Status, a.Header.Get("Retry-After"), retry, a.Body)
	}
	for _, word := range verdicts {
		if strings.Contains(a.Body, word) {
			t.Fatalf("an outage reads as %s: %s", word, a.Body)
		}
	}
}
