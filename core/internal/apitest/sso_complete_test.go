// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
)

const ssComplete = apitest.DevicePath + "/sso-complete"

func TestCompanySignInEnds(t *testing.T) {
	s := ssStart(t, unlimited())
	t.Run("SSO-15 JWS-15 who comes back gets an approval grant, and a clean address", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "back")
		assertion := s.bridge.Assert(t, s.begun(t, b, c), apitest.Grace)
		a := b.Complete(assertion)
		if a.Status != http.StatusFound || a.Header.Get("Location") != s.URL+"/device?sso_verified=1" {
			t.Fatalf("%d to %s", a.Status, a.Header.Get("Location"))
		}
		grant := setCookies(a, ssGrant)
		want := regexp.MustCompile(`^device_approval_grant=[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}; Path=/openapi/v1/oauth/device; Max-Age=300; HttpOnly; SameSite=Lax$`)
		if len(grant) != 1 || !want.MatchString(grant[0]) {
			t.Errorf("grant cookie %q", grant)
		}
		if flow := setCookies(a, ssFlow); len(flow) != 1 || flow[0] != "device_sso_flow=; Path=/openapi/v1/oauth/device; Max-Age=0; HttpOnly; SameSite=Lax" {
			t.Errorf("flow cookie %q", flow)
		}
		for name, value := range map[string]string{"Cache-Control": "no-store", "Pragma": "no-cache", "Referrer-Policy": "no-referrer"} {
			if a.Header.Get(name) != value {
				t.Errorf("%s: %q", name, a.Header.Get(name))
			}
		}
		payload := strings.Split(assertion, ".")[1]
		if log := s.Log.String(); strings.Contains(log, payload) || strings.Contains(log, apitest.Grace.Email) || strings.Contains(log, "sso_assertion") {
			t.Error("the log tells the assertion")
		}
	})
	t.Run("SSO-16 DEV-13 the last address of a login in another browser, both directions", func(t *testing.T) {
		mine, theirs := s.Browser(t), s.Browser(t)
		c, d := s.Code(t, "mine"), s.Code(t, "theirs")
		m, o := s.begun(t, mine, c), s.begun(t, theirs, d)
		first, second := s.bridge.Assert(t, m, apitest.Grace), s.bridge.Assert(t, o, another("mallory"))
		s.wantCode(t, mine.Complete(second), "sso_wrong_browser", o.Reference)
		s.wantCode(t, theirs.Complete(first), "sso_wrong_browser", m.Reference)
		s.wantCause(t, 2, "binding_mismatch")
		s.wantCode(t, s.Browser(t).Complete(first), "sso_wrong_browser", m.Reference)
		s.wantCause(t, 3, "binding_missing")
		for b, assertion := range map[*apitest.Browser]string{mine: first, theirs: second} {
			if a := b.Complete(assertion); a.Header.Get("Location") != s.URL+"/device?sso_verified=1" {
				t.Errorf("its own browser does not finish: %s", a.Header.Get("Location"))
			}
		}
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
	})
	t.Run("SSO-17 what core began is copied or nothing is believed", func(t *testing.T) {
		b := s.Browser(t)
		other := s.begun(t, s.Browser(t), s.Code(t, "other"))
		o := s.begun(t, b, s.Code(t, "copied"))
		for name, change := range map[string]func(*envelope.ExternalSubjectClaims){
			"nonce": func(c *envelope.ExternalSubjectClaims) { c.Nonce = other.Nonce }, "code": func(c *envelope.ExternalSubjectClaims) { c.UserCodeDigest = other.UserCodeDigest },
			"binding": func(c *envelope.ExternalSubjectClaims) { c.Binding = other.Binding }, "no nonce": func(c *envelope.ExternalSubjectClaims) { c.Nonce = "" },
		} {
			claims := s.bridge.Claims(o, apitest.Grace)
			change(&claims)
			a := b.Complete(s.bridge.Sign(t, claims))
			if s.wantCode(t, a, "sso_wrong_browser", o.Reference); len(setCookies(a, ssGrant)) > 0 {
				t.Errorf("%s: a grant", name)
			}
		}
	})
	t.Run("SSO-15 claims of another form are not believed", func(t *testing.T) {
		b := s.Browser(t)
		o := s.begun(t, b, s.Code(t, "formed"))
		refused := func(name, reference string, change func(*envelope.ExternalSubjectClaims)) {
			claims := s.bridge.Claims(o, apitest.Grace)
			change(&claims)
			t.Run("SSO-15 "+name, func(t *testing.T) { s.wantCode(t, b.Complete(s.bridge.Sign(t, claims)), "sso_failed", reference) })
		}
		refused("another sub_type", o.Reference, func(c *envelope.ExternalSubjectClaims) { c.SubjectType = "account" })
		refused("an issuer of ours", o.Reference, func(c *envelope.ExternalSubjectClaims) { c.Issuer = "dify:account" })
		refused("an issuer with a space", o.Reference, func(c *envelope.ExternalSubjectClaims) { c.Issuer = "https://a b" })
		refused("no issuer", o.Reference, func(c *envelope.ExternalSubjectClaims) { c.Issuer = "" })
		refused("an issuer of 256", o.Reference, func(c *envelope.ExternalSubjectClaims) { c.Issuer = strings.Repeat("a", 256) })
		refused("a subject with a letter beyond ASCII", o.Reference, func(c *envelope.ExternalSubjectClaims) { c.Subject = "grâce" })
		refused("no subject", o.Reference, func(c *envelope.ExternalSubjectClaims) { c.Subject = "" })
		for _, email := range []string{"Grace@corp.example", "grâce@corp.example", "a@b@corp.example", `"a"@corp.example`, "grace@corp.example.", " grace@corp.example", "grace", ""} {
			refused("the e-mail "+email, o.Reference, func(c *envelope.ExternalSubjectClaims) { c.Email = email })
		}
		refused("a connection that is no id", o.Reference, func(c *envelope.ExternalSubjectClaims) { c.Connection = "<corp>" })
		refused("a connection without name", o.Reference, func(c *envelope.ExternalSubjectClaims) { c.ConnectionName = "" })
		refused("a connection whose name is too long", o.Reference, func(c *envelope.ExternalSubjectClaims) { c.ConnectionName = strings.Repeat("a", 65) })
		refused("a sign-in before 1970", o.Reference, func(c *envelope.ExternalSubjectClaims) { c.AuthTime = -1 })
		refused("a class of 256", o.Reference, func(c *envelope.ExternalSubjectClaims) { c.ACR = strings.Repeat("a", 256) })
		refused("a reference that is none", "", func(c *envelope.ExternalSubjectClaims) { c.Attempt = "<b>" })
		refused("a name with a line of its own", o.Reference, func(c *envelope.ExternalSubjectClaims) { c.Name = "Grace\u2028Admin" })
		refused("nine methods", o.Reference, func(c *envelope.ExternalSubjectClaims) { c.AMR = strings.Split("abcdefghi", "") })
		if a := b.Complete(s.bridge.Assert(t, o, apitest.Grace)); a.Header.Get("Location") != s.URL+"/device?sso_verified=1" {
			t.Errorf("the good one is refused afterwards: %s", a.Header.Get("Location"))
		}
	})
	t.Run("SSO-15 JWS-10 a message that does not verify spends nothing", func(t *testing.T) {
		b := s.Browser(t)
		o := s.begun(t, b, s.Code(t, "verified"))
		good := s.bridge.Assert(t, o, apitest.Grace)
		for _, bad := range []string{"", "x", good + "x", good[:len(good)-1], strings.Replace(good, ".", "..", 1), strings.Repeat("A", 5000)} {
			s.wantCode(t, b.Complete(bad), "sso_failed", "")
		}
		s.Clock.Advance(5*time.Minute + 31*time.Second)
		s.wantCode(t, b.Complete(good), "sso_failed", "")
		if a := b.Complete(s.bridge.Assert(t, o, apitest.Grace)); a.Header.Get("Location") != s.URL+"/device?sso_verified=1" {
			t.Error(a.Header.Get("Location"))
		}
	})
	t.Run("SSO-18 JWS-09 an assertion is good once", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "once")
		o := s.begun(t, b, c)
		assertion, flow := s.bridge.Assert(t, o, apitest.Grace), b.DeviceCookie(ssFlow)
		if a := b.Complete(assertion); a.Header.Get("Location") != s.URL+"/device?sso_verified=1" {
			t.Fatal(a.Header.Get("Location"))
		}
		b.SetDeviceCookie(ssFlow, flow)
		s.wantCode(t, b.Complete(assertion), "sso_already_used", o.Reference)
		if got := eventFields(t, s.Server, "sso.assertion_rejected"); got == nil {
			t.Error("no event")
		}
	})
	t.Run("SSO-18 JWS-09 of 50 at once one is believed", func(t *testing.T) {
		b := s.Browser(t)
		assertion := s.bridge.Assert(t, s.begun(t, b, s.Code(t, "many")), apitest.Grace)
		if n := s.believed(t, b.DeviceCookie(ssFlow), assertion, s.URL); n != 1 {
			t.Fatalf("%d were", n)
		}
	})
	t.Run("SSO-20 a code that was decided or is over meanwhile", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "decided")
		o := s.begun(t, b, c)
		wantAnswer(t, s.SignedIn(t).Decide("deny", c.User), http.StatusOK, "")
		a := b.Complete(s.bridge.Assert(t, o, apitest.Grace))
		if s.wantCode(t, a, "invalid_user_code", o.Reference); len(setCookies(a, ssGrant)) > 0 {
			t.Error("a grant")
		}
		d := s.Code(t, "over")
		o = s.begun(t, b, d)
		s.Clock.Advance(15*time.Minute + time.Second)
		s.wantCode(t, b.Complete(s.bridge.Assert(t, o, apitest.Grace)), "invalid_user_code", o.Reference)
	})
	t.Run("SSO-23 what the bridge tells is shown as one of our codes, and nothing else of it", func(t *testing.T) {
		b := s.Browser(t)
		tell := func(query string) apitest.Answer {
			return b.Call(http.MethodGet, ssComplete+"?"+query, "", "Sec-Fetch-Site", "cross-site")
		}
		for _, code := range ssocode.Known() {
			s.wantCode(t, tell("sso_error="+string(code)+"&attempt=7K2QD-9XM4P"), string(code), "7K2QD-9XM4P")
		}
		for _, code := range []string{"", "unknown", "SSO_FAILED", strings.Repeat("x", 10<<10), "<script>alert(1)</script>", "sso_failed\r\nSet-Cookie: x=y"} {
			s.wantCode(t, tell("sso_error="+url.QueryEscape(code)), "sso_failed", "")
		}
		for _, reference := range []string{"7k2qd-9xm4p", "7K2QD9XM4P", "7K2QD-9XM4PX", "IIIII-OOOOO", "<b>", ""} {
			s.wantCode(t, tell("sso_error=sso_cancelled&attempt="+url.QueryEscape(reference)), "sso_cancelled", "")
		}
		for _, query := range []string{"", "sso_error=sso_failed&sso_assertion=x", "sso_error=sso_failed&sso_error=sso_failed", "sso_assertion=x&sso_assertion=x", "attempt=7K2QD-9XM4P"} {
			s.wantCode(t, tell(query), "sso_invalid_request", "")
		}
	})
	t.Run("SSO-113 access that was ended while the sign-in was under way", func(t *testing.T) {
		b := s.Browser(t)
		for name, target := range ssTargets(another("hedy")) {
			c := s.Code(t, "ended by "+name)
			o := s.begun(t, b, c)
			assertion := s.bridge.Assert(t, o, another("hedy"))
			s.end(t, target)
			s.wantCode(t, b.Complete(assertion), "sso_failed", o.Reference)
			s.Clock.Advance(31 * time.Second)
			s.back(t, b, c, another("hedy")) // what was signed later than the end is good
		}
		const ended = `SELECT count(*) FROM audit_events WHERE event = 'sso.assertion_rejected' AND fields LIKE '%subject_revoked_since%'`
		eventually(t, func() (bool, string) { return sqlInt(t, s.Server, ended) == 3, "not all three have the cause" })
	})
}

// believed brings one assertion from many windows of a browser, to servers in turn.
func (s *ssServer) believed(t testing.TB, flow, assertion string, servers ...string) int {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := http.Client{Timeout: 30 * time.Second, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	calls := make([]func() dvReply, 50)
	for i := range calls {
		calls[i] = func() dvReply {
			req, err := http.NewRequest(http.MethodGet, servers[i%len(servers)]+ssComplete+"?sso_assertion="+assertion, nil)
			if err != nil {
				return dvReply{err: err}
			}
			req.Header.Set("Cookie", ssFlow+"="+flow)
			res, err := client.Do(req)
			if err != nil {
				return dvReply{err: err}
			}
			_ = res.Body.Close()
			return dvReply{status: res.StatusCode, body: res.Header.Get("Location")}
		}
	}
	won := 0
	for _, r := range together(calls...) {
		switch {
		case r.err != nil:
			t.Fatal(r.err)
		case strings.HasSuffix(r.body, "/device?sso_verified=1"):
			won++
		case !strings.Contains(r.body, "sso_error=sso_already_used"):
			t.Errorf("%d to %s", r.status, r.body)
		}
	}
	return won
}

func TestCompanySignInWhereTheReplayStoreIsDown(t *testing.T) {
	var faults storetest.Faults
	s := ssStart(t, unlimited(), apitest.Wrap(func(st *app.Stores) { st.Replay = storetest.FaultyReplay(st.Replay, &faults) }))
	t.Run("SSO-19 JWS-10 nobody is believed, and afterwards the same assertion is", func(t *testing.T) {
		b := s.Browser(t)
		o := s.begun(t, b, s.Code(t, "down"))
		assertion := s.bridge.Assert(t, o, apitest.Grace)
		faults.Plan(storetest.Fault{Method: "Replay.Consume"})
		a := b.Complete(assertion)
		if s.wantCode(t, a, "sso_unavailable", o.Reference); len(setCookies(a, ssGrant)) > 0 {
			t.Error("a grant")
		}
		faults.Clear()
		if a := b.Complete(assertion); a.Header.Get("Location") != s.URL+"/device?sso_verified=1" {
			t.Fatal(a.Header.Get("Location"))
		}
	})
	t.Run("JWS-10 nobody else uses an assertion up", func(t *testing.T) {
		b := s.Browser(t)
		assertion := s.bridge.Assert(t, s.begun(t, b, s.Code(t, "others")), apitest.Grace)
		before := faults.Calls("Replay.Consume")
		for range 3 {
			s.Browser(t).Complete(assertion)
		}
		if faults.Calls("Replay.Consume") != before {
			t.Error("the mark was asked for somebody else")
		}
		if a := b.Complete(assertion); a.Header.Get("Location") != s.URL+"/device?sso_verified=1" {
			t.Fatal(a.Header.Get("Location"))
		}
	})
}

func TestCompanySignInOnTwoReplicas(t *testing.T) {
	pair := apitest.NewPair(t)
	bridge := apitest.NewBridge(t)
	a := &ssServer{apitest.Start(t, apitest.On(pair), bridge.Option(), unlimited()), bridge}
	b := &ssServer{apitest.Start(t, apitest.On(pair), bridge.Option(), unlimited(), apitest.Set("CONSOLE_API_URL", a.URL)), bridge}
	bridge.Serves(a.Server)
	t.Run("SSO-18 JWS-09 on two replicas one is believed, and a third that starts later believes none", func(t *testing.T) {
		browser := a.Browser(t)
		assertion := bridge.Assert(t, a.begun(t, browser, a.Code(t, "replicas")), apitest.Grace)
		flow := browser.DeviceCookie(ssFlow)
		listening := "http://" + strings.TrimPrefix(b.URL, "http://")
		if n := a.believed(t, flow, assertion, a.URL, listening); n != 1 {
			t.Fatalf("%d were", n)
		}
		later := apitest.Start(t, apitest.On(pair), bridge.Option(), unlimited(), apitest.Set("CONSOLE_API_URL", a.URL))
		if n := a.believed(t, flow, assertion, later.URL); n != 0 {
			t.Fatal("a process that has just started believes it")
		}
	})
}
