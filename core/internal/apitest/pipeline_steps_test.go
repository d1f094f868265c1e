// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

const (
	htAccount  = "/openapi/v1/account"
	htSessions = "/openapi/v1/account/sessions"
)

// Two neighbouring steps of the pipeline fail together, and the earlier one answers.
func TestOrderOfThePipeline(t *testing.T) {
	stores := htNewStores()
	s := apitest.Start(t, apitest.Wrap(stores.wrap), unlimited("bearer.token=1/1h", "account.read=1/1h", "bearer.failed.addr=4/1h"))
	b := s.SignedIn(t)
	fresh := func() string { tok, _ := s.SignInDevice(t, b, "box"); return tok }
	const malformed = "dfoa_short"
	unknown := "dfoa_" + strings.Repeat("A", 43)
	ask := func(path string, headers ...string) apitest.Answer {
		return s.Call(t, http.MethodGet, path, "", headers...)
	}

	t.Run("PL-1 no such route, and no bearer", func(t *testing.T) {
		wantAnswer(t, ask("/openapi/v1/accounts"), http.StatusNotFound, "not_found")
		wantAnswer(t, ask("/openapi/v1/accounts", "Authorization", "Bearer "+malformed), http.StatusNotFound, "not_found")
	})
	t.Run("PL-1 another scheme, and a malformed token", func(t *testing.T) {
		for _, header := range []string{"", "Basic " + malformed, "Bearer", "Bearer ", "Bearer\t" + malformed, malformed} {
			a := ask(htAccount, "Authorization", header)
			wantAnswer(t, a, http.StatusUnauthorized, "unauthorized")
			if got := a.Header.Get("WWW-Authenticate"); got != `Bearer realm="api", resource_metadata="`+s.URL+`/.well-known/oauth-protected-resource/openapi/v1"` {
				t.Errorf("%q: challenge %q", header, got)
			}
		}
	})
	t.Run("PL-1 two headers, and both malformed", func(t *testing.T) {
		wantAnswer(t, ask(htAccount, "Authorization", "Bearer "+malformed, "Authorization", "Bearer "+malformed), http.StatusBadRequest, "bad_request")
	})
	t.Run("PL-1 a malformed token, and SQL is down", func(t *testing.T) {
		stores.set("tokens", htFails)
		defer stores.set("tokens", htWorks)
		wantAnswer(t, ask(htAccount, "Authorization", "Bearer "+malformed), http.StatusUnauthorized, "invalid_token")
	})
	t.Run("PL-1 the token's limit is used up, and the token is unknown or SQL is down", func(t *testing.T) {
		wantAnswer(t, ask(htAccount, "Authorization", "bearer "+unknown), http.StatusUnauthorized, "invalid_token")
		a := ask(htAccount, "Authorization", "Bearer "+unknown)
		wantAnswer(t, a, http.StatusTooManyRequests, "too_many_requests")
		stores.set("tokens", htFails)
		defer stores.set("tokens", htWorks)
		wantAnswer(t, ask(htAccount, "Authorization", "Bearer "+unknown), http.StatusTooManyRequests, "too_many_requests")
	})
	t.Run("PL-1 the token's limit and the route's are used up", func(t *testing.T) {
		token := fresh()
		a := ask(htAccount, "Authorization", "Bearer "+token)
		wantAnswer(t, a, http.StatusOK, "")
		s.Clock.Advance(59 * 60e9) // neither is back within its hour
		wantAnswer(t, ask(htAccount, "Authorization", "Bearer "+token), http.StatusTooManyRequests, "too_many_requests")
		if got := refusedBy(t, s); got != "bearer.token" {
			t.Fatalf("refused by %s", got)
		}
		wantAnswer(t, ask(htAccount, "Authorization", "Bearer "+fresh()), http.StatusTooManyRequests, "too_many_requests")
		if got := refusedBy(t, s); got != "account.read" {
			t.Fatalf("a fresh token is refused by %s", got)
		}
		s.Clock.Advance(2 * 3600e9)
	})
	t.Run("PL-1 a token that has ended, and the route's limit is used up", func(t *testing.T) {
		wantAnswer(t, ask(htAccount, "Authorization", "Bearer "+fresh()), http.StatusOK, "")
		token, id := s.SignInDevice(t, b, "other")
		sqlExec(t, s, `UPDATE oauth_access_tokens SET revoked_at = created_at, token_hash = NULL WHERE id = $1`, id)
		wantAnswer(t, ask(htAccount, "Authorization", "Bearer "+token), http.StatusUnauthorized, "invalid_token")
		s.Clock.Advance(2 * 3600e9)
	})
	t.Run("PL-1 no or a bad token, and bad parameters", func(t *testing.T) {
		wantAnswer(t, ask(htSessions+"?page=0"), http.StatusUnauthorized, "unauthorized")
		wantAnswer(t, ask(htSessions+"?page=0", "Authorization", "Bearer "+malformed), http.StatusUnauthorized, "invalid_token")
		wantAnswer(t, ask(htSessions+"?page=0", "Authorization", "Bearer "+fresh()), http.StatusUnprocessableEntity, "invalid_param")
	})
	t.Run("PL-1 the address's failures are used up, and the token is malformed", func(t *testing.T) {
		s.Clock.Advance(2 * 3600e9)
		for range 4 {
			wantAnswer(t, ask(htAccount, "Authorization", "Bearer "+malformed), http.StatusUnauthorized, "invalid_token")
		}
		wantAnswer(t, ask(htAccount, "Authorization", "Bearer "+malformed), http.StatusTooManyRequests, "too_many_requests")
		wantAnswer(t, ask(htSessions, "Authorization", "Bearer "+fresh()), http.StatusTooManyRequests, "too_many_requests")
	})
}

// refusedBy names the limit of the newest event about one.
func refusedBy(t testing.TB, s *apitest.Server) string {
	t.Helper()
	var policy string
	for line := range strings.Lines(s.Log.String()) {
		if _, rest, ok := strings.Cut(line, `"event":"oauth.rate_limited"`); ok {
			_, rest, _ = strings.Cut(rest, `"policy":"`)
			policy, _, _ = strings.Cut(rest, `"`)
		}
	}
	return policy
}

func TestBearersThatAreNone(t *testing.T) {
	s := apitest.Start(t, unlimited())
	b := s.SignedIn(t)
	revoked, _ := s.SignInDevice(t, b, "revoked")
	wantAnswer(t, s.Bearer(t, revoked, http.MethodDelete, htSessions+"/self"), http.StatusOK, "")
	expired, id := s.SignInDevice(t, b, "expired")
	sqlExec(t, s, `UPDATE oauth_access_tokens SET expires_at = created_at WHERE id = $1`, id)
	addAccount(t, s, "banned@example.com")
	banned, _ := s.SignInDevice(t, signedInAs(t, s, "banned@example.com"), "banned")
	sqlExec(t, s, `UPDATE accounts SET status = 'banned' WHERE email = 'banned@example.com'`)
	live, _ := s.SignInDevice(t, b, "live")

	const want = `{"code":"invalid_token","message":"The access token is invalid. Sign in again.","status":401`
	tail := strings.Repeat("A", 43)
	var first http.Header
	for _, tc := range []struct{ name, token string }{
		{"PL-2 malformed", "garbage"}, {"PL-2 unknown", "dfoa_" + tail}, {"PL-2 revoked", revoked}, {"PL-2 expired", expired}, {"PL-2 of a banned account", banned},
		{"PL-2 an app key", "app-" + tail}, {"PL-2 dfp_", "dfp_" + tail}, {"PL-2 dfoe_ on the community edition", "dfoe_" + tail},
		{"PL-2 a device code", "dc_" + tail}, {"PL-2 a live one less a character", live[:len(live)-1]}, {"PL-2 a live one and a character", live + "A"},
		{"PL-2 a live one in other case", strings.ToUpper(live)}, {"PL-2 a live one in quotes", `"` + live + `"`}, {"PL-2 two of them", live + " " + live},
		{"PL-2 a live one, escaped", strings.Replace(live, "_", "%5f", 1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, route := range []struct{ method, path string }{
				{"GET", htAccount}, {"GET", htSessions}, {"DELETE", htSessions}, {"DELETE", htSessions + "/self"}, {"DELETE", htSessions + "/" + id},
			} {
				a := s.Bearer(t, tc.token, route.method, route.path)
				a.Header.Del("X-Request-Id")
				a.Header.Del("Date")
				a.Header.Del("Content-Length") // a key of another kind is told where it belongs, by its shape alone
				if first == nil {
					first = a.Header
				}
				body, _, _ := strings.Cut(a.Body, `,"hint"`)
				if a.Status != http.StatusUnauthorized || strings.TrimSuffix(body, "}") != want || fmt.Sprint(a.Header) != fmt.Sprint(first) {
					t.Fatalf("%s %s: %d %v %s", route.method, route.path, a.Status, a.Header, a.Body)
				}
			}
		})
	}
	t.Run("PL-2 and the live one lives", func(t *testing.T) {
		wantAnswer(t, s.Bearer(t, live, http.MethodGet, htAccount), http.StatusOK, "")
	})
	t.Run("PL-2 a token anywhere but in its header is none", func(t *testing.T) {
		for _, a := range []apitest.Answer{
			s.Call(t, http.MethodGet, htAccount+"?access_token="+live+"&token="+live, ""),
			s.Call(t, http.MethodGet, htAccount, "", "Cookie", "token="+live+"; access_token="+live+"; console_session="+live),
			s.Call(t, http.MethodGet, htAccount, "", "X-Api-Key", live, "Proxy-Authorization", "Bearer "+live),
		} {
			wantAnswer(t, a, http.StatusUnauthorized, "unauthorized")
		}
	})
}

func TestManyIdentitiesAtOnce(t *testing.T) {
	slow(t)
	s := apitest.Start(t, unlimited())
	type person struct{ id, email, token, session, profile string }
	people := make([]person, 6)
	for i := range people {
		p := &people[i]
		p.email = fmt.Sprintf("person%d@example.com", i)
		p.id = addAccount(t, s, p.email)
		b := signedInAs(t, s, p.email)
		p.token, p.session = s.SignInDevice(t, b, "box of "+p.email)
		p.profile = b.Cookie("console_session")
	}
	t.Run("PL-6 no identity crosses into another request", func(t *testing.T) {
		const workers, each = 16, 625 // 10 000
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := range each {
					p := people[(w*7+i)%len(people)]
					if problem := htOneOf(s, p.id, p.email, p.token, p.session, p.profile, (w+i)%5, t); problem != "" {
						t.Error(problem)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

// htOneOf sends one of five requests for a person, or one for nobody.
func htOneOf(s *apitest.Server, id, email, token, session, cookie string, kind int, t testing.TB) string {
	var a apitest.Answer
	var wants []string
	switch kind {
	case 0, 1:
		a, wants = s.Bearer(t, token, http.MethodGet, htAccount), []string{`"subject_email":"` + email + `"`, `"id":"` + id + `"`}
	case 2:
		a, wants = s.Bearer(t, token, http.MethodGet, htSessions), []string{`"id":"` + session + `"`, `"device_label":"box of ` + email + `"`, `"total":1`}
	case 3:
		a, wants = s.Call(t, http.MethodGet, "/console/api/account/profile", "", "Cookie", "console_session="+cookie), []string{`"id":"` + id + `"`, `"email":"` + email + `"`}
	default:
		if a = s.Call(t, http.MethodGet, htAccount, ""); a.Status != http.StatusUnauthorized {
			return fmt.Sprintf("nobody is served: %d %s", a.Status, a.Body)
		}
		return ""
	}
	for _, want := range wants {
		if a.Status != http.StatusOK || !strings.Contains(a.Body, want) || strings.Contains(strings.ReplaceAll(a.Body, email, ""), "@example.com") {
			return fmt.Sprintf("%s got %d %s", email, a.Status, a.Body)
		}
	}
	return ""
}

func TestCountersAreDown(t *testing.T) {
	stores := htNewStores()
	s := apitest.Start(t, apitest.Wrap(stores.wrap), unlimited("bearer.token=3", "account.read=100", "device.code.addr=100", "device.lookup.addr=100",
		"device.decide.account=100", "device.wrong.all=100", "device.wrong.account=100", "console.login.addr=100", "console.login.pair=100",
		"console.login.email=100", "device.poll.addr=100", "bearer.failed.addr=100"))
	b := s.SignedIn(t)
	token, _ := s.SignInDevice(t, b, "box")
	c := s.Code(t, "box")
	csrf := b.CSRF()
	stores.set("counters", htFails)
	t.Run("LIM-7 reads are counted in this process", func(t *testing.T) {
		for range 3 {
			a := s.Bearer(t, token, http.MethodGet, htAccount)
			wantAnswer(t, a, http.StatusOK, "")
			if a.Header.Get("RateLimit-Limit") != "3" {
				t.Fatalf("%v", a.Header)
			}
		}
		wantAnswer(t, s.Bearer(t, token, http.MethodGet, htAccount), http.StatusTooManyRequests, "too_many_requests")
	})
	t.Run("LIM-7 what leads to a token is refused", func(t *testing.T) {
		script := []string{"Content-Type", "application/json", "Origin", s.URL, "X-CSRF-Token", csrf}
		for name, a := range map[string]apitest.Answer{
			"code": s.Post(t, codePath, map[string]string{"client_id": "difyctl", "device_label": "x"}), "lookup": s.Call(t, http.MethodGet, lookPath+"?user_code="+c.User, ""),
			"approve": b.Call(http.MethodPost, "/openapi/v1/oauth/device/approve", `{"user_code":"`+c.User+`"}`, script...),
			"deny":    b.Call(http.MethodPost, "/openapi/v1/oauth/device/deny", `{"user_code":"`+c.User+`"}`, script...),
			"sign-in": s.Post(t, "/console/api/login", map[string]string{"email": apitest.OwnerEmail, "password": "eA=="}),
		} {
			if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") != "2" {
				t.Errorf("%s: %d %v %s", name, a.Status, a.Header, a.Body)
			}
		}
	})
	t.Run("LIM-7 polls are counted in this process, always", func(t *testing.T) {
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
	})
	stores.set("counters", htWorks)
	t.Run("LIM-7 and all is well again", func(t *testing.T) {
		allow(t, b, c)
		s.Clock.Advance(5e9)
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
	})
}
