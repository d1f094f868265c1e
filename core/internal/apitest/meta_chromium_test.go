// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// mtFrontEnd serves an empty page on a port of its own, which is another origin of the
// same site.
func mtFrontEnd(t *testing.T) (origin string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><title>front end</title>`))
	})}
	served := make(chan error, 1)
	go func() { served <- front.Serve(l) }()
	t.Cleanup(func() {
		_ = front.Shutdown(context.Background())
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// mtScript runs a function body in the page and gives the text that it returns, or what
// it throws.
func mtScript(c *chromium, body string) string {
	c.t.Helper()
	get(c, chromedp.Evaluate[bool](`window.answer = null; (async () => {`+body+`})().then(v => { window.answer = String(v) }, e => { window.answer = "thrown: " + e }); true`))
	var answer string
	eventually(c.t, func() (bool, string) {
		answer = get(c, chromedp.Evaluate[string](`window.answer === null ? "" : window.answer`))
		return answer != "", "the script does not end"
	})
	return answer
}

func TestAnotherOriginInChromium(t *testing.T) {
	browserPath(t)
	listed, other := mtFrontEnd(t), mtFrontEnd(t)
	s := apitest.Start(t, unlimited(), apitest.Set("OPENAPI_CORS_ALLOW_ORIGINS", listed))
	c := openChromium(t, s, "embedding", "en", true)
	c.open("/signin")
	c.signIn(apitest.OwnerEmail)
	const decide = `
		const api = %q, code = %q
		const seen = await fetch(api + "/openapi/v1/oauth/device/approval-context?user_code=" + code, {credentials: "include"})
		const context = await seen.json()
		const given = await fetch(api + "/console/api/csrf-token", {credentials: "include"})
		const token = (await given.json()).csrf_token
		const post = headers => fetch(api + "/openapi/v1/oauth/device/approve", {method: "POST", credentials: "include",
			headers: {"Content-Type": "application/json", ...headers}, body: JSON.stringify({user_code: code})})
		const without = await post({})
		const refused = (await without.json()).code
		const done = await post({"X-CSRF-Token": token})
		return [seen.status, context.subject_email, context.device_label, given.status, without.status, refused, done.status, (await done.json()).status,
			!!done.headers.get("X-Request-Id"), done.headers.get("Cache-Control")].join(" ")`
	t.Run("M-29 M-5 a page of a listed origin of the same site approves with the reader's cookie", func(t *testing.T) {
		c.t = t
		codes := s.Code(t, "box")
		c.load(chromedp.Navigate(listed + "/"))
		got := mtScript(c, fmt.Sprintf(decide, s.URL, codes.User))
		if want := "200 " + apitest.OwnerEmail + " box 200 403 csrf_mismatch 200 approved true no-store"; got != want {
			t.Fatalf("the script got %q instead of %q", got, want)
		}
		token := s.Poll(t, codes).Text(t, "access_token")
		got = mtScript(c, fmt.Sprintf(`
			const r = await fetch(%q, {headers: {"Authorization": "Bearer %s"}})
			const dead = await fetch(%[1]q, {headers: {"Authorization": "Bearer x"}})
			return [r.status, (await r.json()).subject_email, dead.status, (dead.headers.get("WWW-Authenticate") || "").includes("resource_metadata")].join(" ")`, s.URL+htAccount, token))
		if want := "200 " + apitest.OwnerEmail + " 401 true"; got != want {
			t.Errorf("with the token %q instead of %q", got, want)
		}
		for _, request := range []string{
			`fetch(%q + "/console/api/sessions", {credentials: "include"})`,
			`fetch(%q + "/console/api/logout", {method: "POST", credentials: "include", headers: {"X-CSRF-Token": "x"}})`,
			`fetch(%q + "/openapi/v1/account", {credentials: "include"})`,
		} {
			if got := mtScript(c, "return (await "+fmt.Sprintf(request, s.URL)+").status"); got != "thrown: TypeError: Failed to fetch" {
				t.Errorf("%s: %q", request, got)
			}
		}
	})
	t.Run("M-29 M-5 a page that is not listed reads nothing and approves nothing", func(t *testing.T) {
		c.t = t
		codes := s.Code(t, "box")
		c.load(chromedp.Navigate(other + "/"))
		if got := mtScript(c, fmt.Sprintf(decide, s.URL, codes.User)); got != "thrown: TypeError: Failed to fetch" {
			t.Errorf("the script got %q", got)
		}
		// What needs no preflight is sent, but its content type is not taken.
		blind := fmt.Sprintf(`await fetch(%q, {method: "POST", mode: "no-cors", credentials: "include", body: JSON.stringify({user_code: %q})}); return "sent"`,
			s.URL+"/openapi/v1/oauth/device/approve", codes.User)
		if got := mtScript(c, blind); got != "sent" {
			t.Errorf("%q", got)
		}
		if a := s.Poll(t, codes); reasonOf(a) != "authorization_pending" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}
