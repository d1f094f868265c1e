// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// pgEnter types a code on the device page.
func pgEnter(b *apitest.Browser, code string) apitest.Answer {
	b.Get("/device")
	return b.Submit("/device", url.Values{"user_code": {code}})
}

// pgAsks fails unless the page asks whether to allow the code.
func pgAsks(t *testing.T, b *apitest.Browser, code string) {
	t.Helper()
	if b.Path != "/device?user_code="+code || b.Page.Status != http.StatusOK || !strings.Contains(b.Page.Body, `value="allow"`) {
		t.Fatalf("%d at %s:\n%s", b.Page.Status, b.Path, b.Page.Body)
	}
}

// pgStands fails unless nobody has decided about the codes.
func pgStands(t *testing.T, s *apitest.Server, c apitest.Codes) {
	t.Helper()
	if a := lookUp(t, s, c.User); a.JSON(t)["valid"] != true {
		t.Fatalf("the request is no longer pending: %s", a.Body)
	}
}

// pgEmptyEntry fails unless the page asks for a code and holds none.
func pgEmptyEntry(t *testing.T, a apitest.Answer, code string) {
	t.Helper()
	field := regexp.MustCompile(`<input id="user_code"[^>]*>`).FindString(a.Body)
	if field == "" || strings.Contains(field, " value=") || strings.Contains(a.Body, `value="allow"`) || strings.Contains(pgWithoutSwitch(a.Body), code) {
		t.Fatalf("%d:\n%s", a.Status, a.Body)
	}
}

// pgWithoutSwitch drops the link that repeats a page's own address in the other language.
func pgWithoutSwitch(page string) string {
	return regexp.MustCompile(`<a class="aside-link"[^>]*>`).ReplaceAllString(page, "")
}

func TestCodesFromLinks(t *testing.T) {
	s := apitest.Start(t, unlimited())
	b, c, other := s.SignedIn(t), s.Code(t, "x"), s.Code(t, "y")
	link := "/device?user_code=" + c.User
	t.Run("W-4 DEV-11 a link is no typing", func(t *testing.T) {
		pgEmptyEntry(t, b.Get(link), c.User)
		pgEmptyEntry(t, s.Browser(t).Get(link), c.User)
		pgStands(t, s, c)
	})
	t.Run("DEV-11 no link is given out", func(t *testing.T) {
		a := s.Post(t, "/openapi/v1/oauth/device/code", map[string]string{"client_id": "difyctl", "device_label": "x"})
		if _, there := a.JSON(t)["verification_uri_complete"]; there || strings.Contains(a.Text(t, "verification_uri"), "?") {
			t.Fatal(a.Body)
		}
	})
	t.Run("DEV-11 having typed one code is no proof for another", func(t *testing.T) {
		pgEnter(b, other.User)
		pgAsks(t, b, other.User)
		pgEmptyEntry(t, b.Get(link), c.User)
	})
	t.Run("DEV-11 a form that somebody prepared decides nothing", func(t *testing.T) {
		pgEnter(b, other.User)
		if a := b.Submit("/device/authorize", url.Values{"user_code": {c.User}, "decision": {"allow"}}); a.Status != http.StatusBadRequest {
			t.Fatalf("%d:\n%s", a.Status, a.Body)
		}
		pgStands(t, s, c)
		pgStands(t, s, other)
	})
	t.Run("W-4 a typed code has no tick, and Allow alone decides", func(t *testing.T) {
		pgEnter(b, c.User)
		pgAsks(t, b, c.User)
		if strings.Contains(b.Page.Body, `type="checkbox"`) {
			t.Fatal(b.Page.Body)
		}
		b.Submit("/device/authorize", url.Values{"decision": {"allow"}})
		if b.Path != "/device?outcome=approved" {
			t.Fatalf("at %s", b.Path)
		}
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
	})
	t.Run("DEV-11 what was typed is forgotten after the code's life", func(t *testing.T) {
		late := s.Code(t, "late")
		pgEnter(b, late.User)
		s.Clock.Advance(15 * time.Minute)
		pgEmptyEntry(t, b.Get("/device?user_code="+late.User), late.User)
	})
}

func TestRefusingOnThePage(t *testing.T) {
	s := apitest.Start(t)
	b, c := s.SignedIn(t), s.Code(t, "x")
	t.Run("W-6 Don't allow leads to the denied view, and the client reads access_denied", func(t *testing.T) {
		pgEnter(b, c.User)
		a := b.Submit("/device/authorize", url.Values{"decision": {"deny"}})
		if b.Path != "/device?outcome=denied" || !strings.Contains(a.Body, "Access was refused.") || !strings.Contains(a.Body, `href="/account/sessions"`) {
			t.Fatalf("at %s:\n%s", b.Path, a.Body)
		}
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "access_denied")
	})
}

func TestOnlyThePostedDecisionApproves(t *testing.T) {
	s := apitest.Start(t, unlimited())
	b, c := s.Browser(t), s.Code(t, "x")
	pgEnter(b, c.User)
	b.Submit("/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}})
	pgAsks(t, b, c.User)
	page := b.Page
	t.Run("DEV-12 coming back from sign-in approves nothing", func(t *testing.T) { pgStands(t, s, c) })
	for _, path := range []string{"/device?user_code=" + c.User, "/device?user_code=" + c.User + "&decision=allow", "/device?outcome=approved&user_code=" + c.User,
		"/device/authorize?user_code=" + c.User + "&decision=allow", "/signin?return_to=" + url.QueryEscape("/device?user_code="+c.User)} {
		t.Run("DEV-12 no address approves: "+path, func(t *testing.T) {
			b.Get(path)
			pgStands(t, s, c)
		})
	}
	for _, tc := range []struct {
		name   string
		fields url.Values
		status int
	}{
		{name: "DEV-12 a decision without its token", fields: url.Values{"decision": {"allow"}, "csrf_token": {""}}, status: http.StatusForbidden},
		{name: "DEV-12 a decision with another page's token", fields: url.Values{"decision": {"allow"}, "csrf_token": {strings.Repeat("A", 43)}}, status: http.StatusForbidden},
		{name: "DEV-12 a form without a decision", fields: url.Values{}, status: http.StatusBadRequest},
		{name: "DEV-12 a decision of another word", fields: url.Values{"decision": {"yes"}}, status: http.StatusBadRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.Page = page
			if a := b.SubmitOnly("/device/authorize", tc.fields); a.Status != tc.status {
				t.Fatalf("%d:\n%s", a.Status, a.Body)
			}
			pgStands(t, s, c)
		})
	}
	t.Run("DEV-12 the posted decision does", func(t *testing.T) {
		b.Page = page
		b.Submit("/device/authorize", url.Values{"decision": {"allow"}})
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
	})
}

func TestNotYou(t *testing.T) {
	s := apitest.Start(t, unlimited())
	addAccount(t, s, "bob@example.com")
	b, c := s.SignedIn(t), s.Code(t, "x")
	pgEnter(b, c.User)
	pgAsks(t, b, c.User)
	b.Submit("/signout", nil) // the first such form of the page is "Not you?"
	if !strings.HasPrefix(b.Path, "/signin?return_to=") || !strings.Contains(b.Page.Body, c.User) {
		t.Fatalf("at %s:\n%s", b.Path, b.Page.Body)
	}
	b.Submit("/signin", url.Values{"email": {"bob@example.com"}, "password": {apitest.OwnerPassword}})
	pgAsks(t, b, c.User)
	if !strings.Contains(b.Page.Body, "Signing in as <bdi>bob@example.com</bdi>") || strings.Contains(b.Page.Body, apitest.OwnerEmail) {
		t.Fatal(b.Page.Body)
	}
}

func TestRequestsThatRepeat(t *testing.T) {
	s := apitest.Start(t)
	b, stranger := s.SignedIn(t), s.Code(t, "again and again")
	t.Run("PPL-02 nothing is pushed to a person", func(t *testing.T) {
		for _, path := range []string{"/", "/device", "/account/sessions"} {
			if a := b.Get(path); strings.Contains(a.Body, "again and again") || strings.Contains(a.Body, stranger.User) {
				t.Fatalf("%s shows a request that nobody asked for:\n%s", path, a.Body)
			}
		}
	})
	t.Run("PPL-02 one request a page, and nothing is allowed for ever", func(t *testing.T) {
		other := s.Code(t, "the second")
		pgEnter(b, stranger.User)
		page := b.Page.Body
		if strings.Count(page, `action="/device/authorize"`) != 1 || strings.Contains(page, other.User) || strings.Contains(page, "the second") {
			t.Fatal(page)
		}
		decisions := regexp.MustCompile(`name="decision" value="(\w+)"`).FindAllStringSubmatch(page, -1)
		if len(decisions) != 2 || decisions[0][1] != "deny" || decisions[1][1] != "allow" || strings.Contains(page, "checkbox") {
			t.Fatalf("decisions %q:\n%s", decisions, page)
		}
	})
	t.Run("PPL-02 ten decisions an hour", func(t *testing.T) {
		statuses := []int{}
		for range 11 {
			c := s.Code(t, "x")
			pgEnter(b, c.User)
			statuses = append(statuses, b.Submit("/device/authorize", url.Values{"decision": {"deny"}}).Status)
		}
		if slices.Index(statuses, http.StatusTooManyRequests) != 10 {
			t.Fatalf("%d", statuses)
		}
	})
}

func TestACodeLeavesNoTrace(t *testing.T) {
	s := apitest.Start(t)
	b, c := s.Browser(t), s.Code(t, "x")
	answers := []apitest.Answer{pgEnter(b, c.User)}
	signIn := b.Page
	answers = append(answers, b.Submit("/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}}), b.SubmitOnly("/device/authorize", url.Values{"decision": {"allow"}}))
	decided := answers[2]
	wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
	t.Run("PPL-13 the code leaves the address", func(t *testing.T) {
		if signIn.Status != http.StatusOK || decided.Header.Get("Location") != "/device?outcome=approved" {
			t.Fatal(decided.Header)
		}
		pgEmptyEntry(t, b.Get("/device?user_code="+c.User), c.User)
	})
	t.Run("DEV-24 pages with a code are not stored, and no Referer tells it", func(t *testing.T) {
		for _, a := range answers {
			if a.Header.Get("Cache-Control") != "no-store" || !slices.Contains([]string{"strict-origin", "no-referrer"}, a.Header.Get("Referrer-Policy")) {
				t.Errorf("%d: %v", a.Status, a.Header)
			}
		}
	})
	t.Run("DEV-24 no log tells it", func(t *testing.T) {
		s.Call(t, http.MethodGet, "/device?user_code="+c.User, "")
		lookUp(t, s, c.User)
		pgUntold(t, s, c.User, strings.ReplaceAll(c.User, "-", ""), c.Device)
	})
}

// pgUntold fails where a log tells one of the secrets, or an access log an e-mail.
// Events of the audit stream name accounts by intent.
func pgUntold(t *testing.T, s *apitest.Server, secrets ...string) {
	t.Helper()
	access := 0
	for line := range strings.Lines(s.Log.String()) {
		untold := secrets
		if strings.Contains(line, `"msg":"request"`) {
			access++
			untold = append(slices.Clone(secrets), apitest.OwnerEmail)
		}
		for _, secret := range untold {
			if strings.Contains(line, secret) {
				t.Errorf("the log holds %q: %s", secret, line)
			}
		}
	}
	if access == 0 {
		t.Error("there is no access log")
	}
}
