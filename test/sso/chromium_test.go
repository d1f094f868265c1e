// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// chromium is one tab of a real browser.
type chromium struct {
	t   *testing.T
	in  *install
	ctx context.Context

	mu       sync.Mutex
	visits   map[network.RequestID]*visit
	order    []*visit // by their first request
	troubles []string // what the console complained of
}

// visit is a request with its redirects. The protocol tells the headers of each request in
// an event of its own, which comes before that of the request or after it, even after that
// of the next redirect; both kinds come in the order of the requests.
type visit struct {
	hops    []hop
	cookies []string
}

// hop is one request of a visit and what it was answered, 0 as long as nothing was.
type hop struct {
	method, address string
	status          int64
	silent          bool // no headers are told of it
}

// patience is what one step may take on a busy machine.
const patience = 30 * time.Second

// openChromium starts a browser with an empty profile in a language.
func openChromium(t *testing.T, in *install, lang string, script bool, more ...chromedp.Action[chromedp.Void]) *chromium {
	t.Helper()
	path, err := exec.LookPath("chromium")
	for _, name := range []string{"chromium-browser", "google-chrome", os.Getenv("CHROMIUM")} {
		if found, e := exec.LookPath(name); name != "" && e == nil {
			path, err = found, nil
		}
	}
	if err != nil {
		testserver.Missing(t, "Chromium", err)
	}
	allocated, endProcess := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("lang", lang), chromedp.Flag("accept-lang", lang))
	ctx, endTab := chromedp.NewContext(allocated)
	t.Cleanup(func() { endTab(); endProcess() })
	c := &chromium{t: t, in: in, ctx: ctx, visits: map[network.RequestID]*visit{}}
	// The first action starts the browser and must not have a deadline.
	if err := errors.Join(chromedp.Do(ctx, chromedp.Navigate("about:blank")), chromedp.Listen(ctx, c.watch)); err != nil {
		t.Fatalf("browser: %v", err)
	}
	c.do(protocol(network.Enable, network.EnableParams{}), protocol(cdplog.Enable, cdp.Empty{}),
		protocol(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": lang}}),
		protocol(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !script}))
	c.do(more...)
	return c
}

// protocol is a command of the protocol as a step.
func protocol[P, R any](cmd cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, cmd, params)
		return err
	})
}

func (c *chromium) watch(event any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	visitOf := func(id network.RequestID) *visit {
		if c.visits[id] == nil {
			c.visits[id] = &visit{}
			c.order = append(c.order, c.visits[id])
		}
		return c.visits[id]
	}
	answered := func(id network.RequestID, r *network.Response, told bool) {
		if v := visitOf(id); r != nil && len(v.hops) > 0 {
			last := &v.hops[len(v.hops)-1]
			last.status, last.silent = r.Status, !told
		}
	}
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		answered(e.RequestID, e.RedirectResponse, e.RedirectHasExtraInfo)
		v := visitOf(e.RequestID)
		v.hops = append(v.hops, hop{method: e.Request.Method, address: e.Request.URL})
	case *network.EventResponseReceived:
		answered(e.RequestID, e.Response, e.HasExtraInfo)
	case *network.EventRequestWillBeSentExtraInfo:
		cookie, _ := e.Headers["Cookie"].(string)
		v := visitOf(e.RequestID)
		v.cookies = append(v.cookies, cookie)
	case *cdplog.EventEntryAdded:
		// An answer of 4xx is logged as an error, too; some views have one.
		if e.Entry.Level == cdplog.EntryLevelError && e.Entry.Source != cdplog.EntrySourceNetwork {
			c.troubles = append(c.troubles, e.Entry.Text)
		}
	}
}

// sent waits until all is told of the last request to an address, without its query, and
// gives its Cookie header and what it was answered.
func (c *chromium) sent(method, address string) (cookie string, answered int64) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if cookie, answered, told := c.told(method, address); told {
			return cookie, answered
		}
	}
	c.t.Fatalf("the browser does not tell of %s %s", method, address)
	return "", 0
}

func (c *chromium) told(method, address string) (cookie string, answered int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range slices.Backward(c.order) {
		for i, h := range slices.Backward(v.hops) {
			at, _, _ := strings.Cut(h.address, "?")
			if h.method != method || at != address {
				continue
			}
			nth := 0
			for _, before := range v.hops[:i] {
				if !before.silent {
					nth++
				}
			}
			if h.status == 0 || h.silent || nth >= len(v.cookies) {
				return "", 0, false
			}
			return v.cookies[nth], h.status, true
		}
	}
	return "", 0, false
}

// The protocol promises the order of each kind of event for a request, and none between
// the kinds.
func TestWhatChromiumTellsLate(t *testing.T) {
	const bridge, core = "http://localhost/acs", "http://127.0.0.1/complete"
	events := []any{
		&network.EventRequestWillBeSent{RequestID: "1", Request: &network.Request{Method: http.MethodPost, URL: bridge}},
		&network.EventRequestWillBeSentExtraInfo{RequestID: "1"},
		&network.EventRequestWillBeSent{
			RequestID: "1", Request: &network.Request{Method: http.MethodGet, URL: core + "?a=b"},
			RedirectResponse: &network.Response{Status: http.StatusSeeOther}, RedirectHasExtraInfo: true,
		},
		&network.EventRequestWillBeSentExtraInfo{RequestID: "1", Headers: network.Headers{"Cookie": "flow"}},
		&network.EventResponseReceived{RequestID: "1", Response: &network.Response{Status: http.StatusOK}, HasExtraInfo: true},
	}
	for _, order := range [][]int{{0, 1, 2, 3, 4}, {1, 0, 3, 2, 4}, {0, 2, 1, 3, 4}, {0, 2, 1, 4, 3}, {0, 2, 4, 1, 3}} {
		c := &chromium{t: t, visits: map[network.RequestID]*visit{}}
		for i, n := range order {
			c.watch(events[n])
			if _, _, told := c.told(http.MethodGet, core); told != (i == len(order)-1) {
				t.Errorf("%v: told after %d events: %t", order, i+1, told)
			}
		}
		atBridge, answered := c.sent(http.MethodPost, bridge)
		atCore, shown := c.sent(http.MethodGet, core)
		if atBridge != "" || answered != http.StatusSeeOther || atCore != "flow" || shown != http.StatusOK {
			t.Errorf("%v: %q %d, %q %d", order, atBridge, answered, atCore, shown)
		}
	}
}

func (c *chromium) do(steps ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		c.t.Fatalf("browser: %v", err)
	}
}

func (c *chromium) press(selector string) {
	c.t.Helper()
	c.do(chromedp.Click(chromedp.CSS(selector)))
}

// sees waits until the page at an address shows every text, and gives what it shows.
func (c *chromium) sees(address string, texts ...string) (body string) {
	c.t.Helper()
	var at string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(c.ctx, time.Second)
		// Between two pages there is nothing to ask.
		at, _ = chromedp.Run(ctx, chromedp.Location())
		body, _ = chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
		cancel()
		missing := false
		for _, text := range texts {
			missing = missing || !strings.Contains(body, text)
		}
		if strings.HasPrefix(at, address) && !missing {
			return body
		}
	}
	c.t.Fatalf("%s does not show %q at %s:\n%s\n%s", at, texts, address, body, c.in.describe())
	return ""
}

// enter types a client's code and arrives at the choice of ways to sign in.
func (c *chromium) enter(w *waiting) {
	c.t.Helper()
	c.do(chromedp.Navigate(c.in.core.url+"/device"), chromedp.SendKeys(chromedp.CSS("#user_code"), w.auth.UserCode))
	c.press(`form[action="/device"] button`)
	c.press(`a[href*="sso-initiate"]`)
}

// typed follows the e-mail form to the link that leaves for the bridge.
func (c *chromium) typed(email string) {
	c.t.Helper()
	c.do(chromedp.SendKeys(chromedp.CSS("#email"), email))
	c.press("form.stack button")
}

const (
	ssoComplete   = "/openapi/v1/oauth/device/sso-complete"
	approvalPage  = "/openapi/v1/oauth/device/approval"
	allowExternal = `button[formaction$="/approve-external"]:not([aria-disabled="true"])`
)

// Core and bridge are two sites here, and the providers are further origins: what a cookie
// rule, a form rule of a page or a redirect breaks, this breaks.
func TestCompanySignInInChromium(t *testing.T) {
	t.Parallel()
	in := newInstall(t, plan{})
	corp := newProvider(t, []string{in.callback("corp")})
	form := newProvider(t, []string{in.callback("form")})
	in.configure(corp.connection(in, "corp", nil, "domains: [corp.test]"),
		form.connection(in, "form", []string{"response_mode: form_post"}, "domains: [form.test]", "listed: false"))

	c := openChromium(t, in, "en", true)
	t.Run("SSO-96 English with JavaScript, from the typed code to the token", func(t *testing.T) {
		c.t = t
		w := in.client("alice's laptop")
		c.enter(w)
		c.press(`.choices a[href*="connection=corp"]`)
		c.sees(in.core.url+approvalPage, "Alice Liddell", "alice's laptop", w.auth.UserCode, corp.issuer)
		w.pending()
		c.press(allowExternal) // alive after two seconds
		c.sees(in.core.url+"/device", "Device connected")
		w.external()
	})
	t.Run("SSO-96 by a typed e-mail to a callback that is a cross-site post, answered 303: the Lax cookie arrives at core", func(t *testing.T) {
		c.t = t
		w := in.client("by a form")
		c.enter(w)
		c.typed("carol@form.test") // and script follows the link
		c.sees(in.core.url+approvalPage, "Carol Reed", form.issuer)
		atBridge, answered := c.sent(http.MethodPost, in.callback("form"))
		atCore, _ := c.sent(http.MethodGet, in.core.url+ssoComplete)
		if answered != http.StatusSeeOther {
			t.Errorf("the provider's post was answered %d", answered)
		}
		if atBridge != "" || !strings.Contains(atCore, "device_sso_flow=") {
			t.Errorf("cookies: to the bridge %q, to core %q", atBridge, atCore)
		}
		c.press(allowExternal)
		c.sees(in.core.url+"/device", "Device connected")
		w.external()
	})
	t.Run("SSO-96 SSO-90 a refusal is explained, with its reference", func(t *testing.T) {
		c.t = t
		w := in.client("refused")
		c.enter(w)
		c.typed("nomail@corp.test")
		shown := referenceText.FindString(c.sees(in.core.url+"/device", "did not send an e-mail address we can accept", "Reference "))
		if told := in.operate("attempts", "show", shown); !strings.Contains(told, "email_missing") {
			t.Errorf("the reference leads to %s", told)
		}
		w.pending()
	})
	c.quiet()
	t.Run("SSO-96 Chinese without JavaScript, by the e-mail form, on a phone", func(t *testing.T) {
		c, w := openChromium(t, in, "zh-CN", false, chromedp.EmulateViewport(360, 780, chromedp.EmulateScale(2))), in.client("手机")
		c.enter(w)
		c.sees(in.core.url, "选择企业登录方式")
		c.typed("alice@corp.test")
		c.sees(in.core.url, "即将前往公司登录页面")
		c.press(`a[href^="` + in.bridge.url + `/sso/start/"]`)
		c.sees(in.core.url+approvalPage, "登录身份：Alice Liddell", "手机", w.auth.UserCode)
		w.pending()
		c.press(allowExternal)
		c.sees(in.core.url+"/device", "设备已连接")
		w.external()
		c.quiet()
	})
}

// external ends the test unless the client gets the token of an external subject.
func (w *waiting) external() {
	w.in.t.Helper()
	if tok := w.token(); !strings.HasPrefix(tok.AccessToken, "dfoe_") {
		w.in.t.Error("no external token")
	}
}

// quiet fails when the console complained.
func (c *chromium) quiet() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.troubles) > 0 {
		c.t.Errorf("the console says %q", c.troubles)
	}
}
