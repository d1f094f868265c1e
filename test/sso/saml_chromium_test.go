// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// signIn fills SimpleSAMLphp's form in.
func (c *chromium) signIn(php *simplesamlphp, person string) {
	c.t.Helper()
	c.sees(php.url, "Username")
	c.do(chromedp.SendKeys(chromedp.CSS("#username"), person), chromedp.SendKeys(chromedp.CSS("#password"), person+"pass"))
	c.press("#submit_button")
}

// Core, bridge and provider are three sites here, as they are where people work.
func TestSAMLInChromium(t *testing.T) {
	t.Parallel()
	in := newInstall(t, plan{})
	php := newSimpleSAMLphp(t)
	php.serves(in, "corp", nil)
	npm := newSamlp(t, in, map[string]settings{"post": {"postOnly": true}})
	in.configure(samlConnection("corp", php.metadata("corp"), nil),
		samlConnection("post", npm.metadata("post"), []string{"subject: { attribute: " + adfsClaims + "nameidentifier }"}, "claims: { email: "+adfsClaims+"emailaddress, name: "+adfsClaims+"name }"))

	c := openChromium(t, in, "en", true)
	t.Run("SSO-65 SSO-64 a post across sites to the consumer service is answered 303, the Lax flow cookie arrives at core, the login ends", func(t *testing.T) {
		c.t = t
		w := in.client("alice's laptop")
		c.enter(w)
		c.press(`.choices a[href*="connection=corp"]`)
		c.signIn(php, "alice")
		c.sees(in.core.url+approvalPage, "Alice Liddell", "alice's laptop", w.auth.UserCode)
		atBridge, answered := c.sent(http.MethodPost, in.consumer("corp"))
		if answered != http.StatusSeeOther {
			t.Errorf("the provider's post was answered %d", answered)
		}
		atCore, _ := c.sent(http.MethodGet, in.core.url+ssoComplete)
		if atBridge != "" || !strings.Contains(atCore, "device_sso_flow=") {
			t.Errorf("cookies: to the bridge %q, to core %q", atBridge, atCore)
		}
		w.pending()
		c.press(allowExternal)
		c.sees(in.core.url+"/device", "Device connected")
		w.external()
	})
	t.Run("SSO-65 SSO-64 the request is posted by a page of ours, whose script goes on by itself", func(t *testing.T) {
		c.t = t
		w := in.client("by a form")
		c.enter(w)
		c.press(`.choices a[href*="connection=post"]`)
		c.sees(in.core.url+approvalPage, "Alice Liddell")
		if _, answered := c.sent(http.MethodPost, npm.url+"/post/sso"); answered != http.StatusOK {
			t.Errorf("the request that was posted was answered %d", answered)
		}
		c.press(allowExternal)
		c.sees(in.core.url+"/device", "Device connected")
		w.external()
	})
	c.quiet()
	t.Run("SSO-65 the same without JavaScript, by a button on every page", func(t *testing.T) {
		c, w := openChromium(t, in, "en", false), in.client("without script")
		c.enter(w)
		c.press(`.choices a[href*="connection=post"]`)
		c.press(`form[action^="` + npm.url + `"] button`)
		c.press(`input[type="submit"]`)
		c.sees(in.core.url+approvalPage, "Alice Liddell")
		w.pending()
		c.press(allowExternal)
		c.sees(in.core.url+"/device", "Device connected")
		w.external()
		c.quiet()
	})
	t.Run("SSO-65 which cookies arrive after a post across sites, by how it is answered", func(t *testing.T) {
		c.t = t
		cookieRules(t, c)
	})
}

// cookieRules asks the browser itself what the design of the callback stands on.
func cookieRules(t *testing.T, c *chromium) {
	var mu sync.Mutex
	seen := map[string][]string{}
	// The site that has cookies. At localhost a Secure one is taken without TLS.
	ours := http.NewServeMux()
	site := httptest.NewServer(ours)
	t.Cleanup(site.Close)
	at := strings.Replace(site.URL, "127.0.0.1", "localhost", 1)
	ours.HandleFunc("GET /set", func(w http.ResponseWriter, _ *http.Request) {
		for _, cookie := range []string{"none=1; SameSite=None; Secure", "lax=1; SameSite=Lax", "strict=1; SameSite=Strict", "plain=1"} {
			w.Header().Add("Set-Cookie", cookie+"; Path=/")
		}
		_, _ = fmt.Fprint(w, "set")
	})
	ours.HandleFunc("/take/{step}", func(w http.ResponseWriter, r *http.Request) {
		names := []string{r.Method}
		for _, cookie := range r.Cookies() {
			names = append(names, cookie.Name)
		}
		slices.Sort(names[1:])
		mu.Lock()
		seen[r.PathValue("step")] = names
		mu.Unlock()
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, "taken "+r.PathValue("step"))
	})
	ours.HandleFunc("POST /page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, `<script>location.href = "/take/page"</script>`)
	})
	// The other site: a provider's page that posts, and answers that redirect.
	theirs := http.NewServeMux()
	other := httptest.NewServer(theirs)
	t.Cleanup(other.Close)
	theirs.HandleFunc("GET /post", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<form method="post" action=%q><input name="SAMLResponse" value="x"></form><script>document.forms[0].submit()</script>`, r.URL.Query().Get("to"))
	})
	theirs.HandleFunc("POST /answers/{status}", func(w http.ResponseWriter, r *http.Request) {
		var status int
		_, _ = fmt.Sscan(r.PathValue("status"), &status)
		http.Redirect(w, r, at+"/take/"+r.PathValue("status"), status)
	})
	// A page begins it: what is typed comes from no site.
	theirs.HandleFunc("GET /go", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, `<script>location.href = "/back"</script>`)
	})
	theirs.HandleFunc("GET /back", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, at+"/take/query", http.StatusFound) })

	c.do(chromedp.Navigate(at + "/set"))
	c.sees(at+"/set", "set")
	for _, tc := range []struct{ step, from, want string }{
		{"post", other.URL + "/post?to=" + at + "/take/post", "POST none plain"},
		{"302", other.URL + "/post?to=" + other.URL + "/answers/302", "GET lax none plain"},
		{"303", other.URL + "/post?to=" + other.URL + "/answers/303", "GET lax none plain"},
		{"307", other.URL + "/post?to=" + other.URL + "/answers/307", "POST none plain"},
		{"page", other.URL + "/post?to=" + at + "/page", "GET lax none plain strict"},
		{"query", other.URL + "/go", "GET lax none plain"},
	} {
		c.do(chromedp.Navigate(tc.from))
		c.sees(at+"/take/"+tc.step, "taken "+tc.step)
		mu.Lock()
		if got := strings.Join(seen[tc.step], " "); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.step, got, tc.want)
		}
		mu.Unlock()
	}
}
