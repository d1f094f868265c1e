// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// pgWatch is what a tab sends and what becomes of it, by request.
type pgWatch struct {
	mu       sync.Mutex
	posts    map[network.RequestID]string
	origins  map[network.RequestID]string
	referers []string
	blocked  []string
}

func pgWatching(c *chromium) *pgWatch {
	c.t.Helper()
	w := &pgWatch{posts: map[network.RequestID]string{}, origins: map[network.RequestID]string{}}
	err := chromedp.Listen(c.ctx, func(event any) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if e.Request.Method == http.MethodPost {
				w.posts[e.RequestID] = e.Request.URL
			}
		case *network.EventRequestWillBeSentExtraInfo:
			if origin, sent := e.Headers["Origin"].(string); sent {
				w.origins[e.RequestID] = origin
			}
			if referer, sent := e.Headers["Referer"].(string); sent {
				w.referers = append(w.referers, referer)
			}
		case *network.EventLoadingFailed:
			w.blocked = append(w.blocked, e.ErrorText)
		}
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return w
}

// tab opens another tab of the same browser.
func (c *chromium) tab(t *testing.T) *chromium {
	t.Helper()
	ctx, end := chromedp.NewContext(c.ctx)
	t.Cleanup(end)
	other := &chromium{t: t, ctx: ctx, server: c.server, script: true, name: c.name}
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	return other
}

func (c *chromium) signIn(email string) {
	c.t.Helper()
	c.fill("email", email)
	c.fill("password", apitest.OwnerPassword)
	c.press(`form[action="/signin"] button`)
}

// enter types a code and goes on.
func (c *chromium) enter(code string) {
	c.t.Helper()
	c.open("/device")
	c.fill("user_code", code)
	c.press(`form[action="/device"] button`)
}

const (
	pgAllow   = `button[value="allow"]`
	pgSignOut = `footer form[action="/signout"] button`
)

func TestAnotherTabInChromium(t *testing.T) {
	browserPath(t)
	s := apitest.Start(t, unlimited())
	addAccount(t, s, "bob@example.com")
	c := openChromium(t, s, "tabs", "en", true)
	c.open("/signin")
	c.signIn(apitest.OwnerEmail)
	t.Run("W-20 DEV-14 the account is switched in another tab, then Allow is refused", func(t *testing.T) {
		c.t = t
		code := s.Code(t, "x")
		c.enter(code.User)
		c.sees("Signing in as ada@example.com")
		other := c.tab(t)
		other.open("/account/sessions")
		other.press(pgSignOut)
		other.signIn("bob@example.com")
		other.at("/account/sessions")
		c.press(pgAllow)
		c.at("/device/authorize")
		c.sees("This page was out of date", "Nothing was changed.", "Reference:", "Signed in as bob@example.com")
		pgStands(t, s, code)
		c.enter(code.User)
		c.sees("Signing in as bob@example.com")
	})
	t.Run("PPL-06 after sign-out neither the back button nor an open tab shows or does anything", func(t *testing.T) {
		c.t = t
		b := signedInAs(t, s, "bob@example.com")
		s.SignInDevice(t, b, "bob's own laptop")
		code := s.Code(t, "x")
		open, asking := c.tab(t), c.tab(t)
		open.open("/account/sessions")
		open.sees("bob's own laptop")
		asking.enter(code.User)
		c.open("/account/sessions")
		c.sees("bob's own laptop")
		c.press(pgSignOut)
		c.at("/signin")
		c.load(chromedp.NavigateBack())
		if text := c.text(); strings.Contains(text, "bob") || !strings.Contains(text, "Sign in") {
			t.Errorf("the back button shows:\n%s", text)
		}
		open.press(`a[href^="/account/sessions/end?kind=device"]`)
		open.at("/signin")
		asking.press(pgAllow)
		asking.at("/signin")
		pgStands(t, s, code)
	})
}

func TestSignOutEndsTheSessionInChromium(t *testing.T) {
	s := apitest.Start(t)
	b := s.Browser(t)
	b.Get("/signin")
	t.Run("DEV-14 a sign-in that another site sends is refused", func(t *testing.T) {
		for _, headers := range [][]string{{"Origin", "https://elsewhere.example"}, {"Sec-Fetch-Site", "cross-site"}, {}} {
			a := s.Form(t, "/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}}, headers...)
			if a.Status != http.StatusForbidden || len(a.Cookies) > 0 {
				t.Errorf("%q: %d, cookies %v", headers, a.Status, a.Cookies)
			}
		}
	})
	b.Submit("/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}})
	first, page := b.Cookie("console_session"), b.Page
	t.Run("DEV-14 the session is another after a sign-in, and the former one's token is refused", func(t *testing.T) {
		b.Submit("/signout", nil)
		b.Submit("/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}})
		if now := b.Cookie("console_session"); now == "" || now == first {
			t.Fatalf("%q, then %q", first, now)
		}
		b.Page = page
		if a := b.SubmitOnly("/signout", nil); a.Status != http.StatusForbidden {
			t.Fatalf("%d", a.Status)
		}
	})
	t.Run("PPL-06 a cookie that somebody kept is worth nothing", func(t *testing.T) {
		a := s.Call(t, http.MethodGet, "/console/api/account/profile", "", "Cookie", "console_session="+first)
		wantAnswer(t, a, http.StatusUnauthorized, "unauthorized")
	})
}

func TestEnterAllowsNothingInChromium(t *testing.T) {
	browserPath(t)
	s := apitest.Start(t)
	c := openChromium(t, s, "enter", "en", true)
	c.open("/signin")
	c.signIn(apitest.OwnerEmail)
	code := s.Code(t, "x")
	c.open("/device")
	c.fill("user_code", code.User)
	c.load(chromedp.KeyEvent("\r")) // Next
	c.at("/device?user_code=")
	t.Run("PPL-02 DEV-17 Enter on the page that asks does nothing, and the first decision by keyboard is the refusal", func(t *testing.T) {
		c.t = t
		if focused := get(c, chromedp.Evaluate[string](`document.activeElement.tagName`)); focused != "BODY" {
			t.Errorf("%s has the focus", focused)
		}
		for range 3 {
			c.do(chromedp.KeyEvent("\r"))
		}
		for tabs := 0; get(c, chromedp.Evaluate[string](`document.activeElement.name || ""`)) != "decision"; tabs++ {
			if tabs > 20 {
				t.Fatal("no decision is reached by Tab")
			}
			c.do(chromedp.KeyEvent("\t"))
		}
		c.load(chromedp.KeyEvent("\r"))
		c.at("/device?outcome=denied") // after an Enter that allowed it would be a conflict
		wantAnswer(t, s.Poll(t, code), http.StatusBadRequest, "access_denied")
	})
}

func TestTheTimeThatIsLeftInChromium(t *testing.T) {
	browserPath(t)
	for _, script := range []bool{true, false} {
		t.Run(fmt.Sprintf("script %v", script), func(t *testing.T) {
			s := apitest.Start(t)
			c := openChromium(t, s, "left", "en", script)
			c.open("/signin")
			c.signIn(apitest.OwnerEmail)
			code := s.Code(t, "x")
			c.enter(code.User)
			left := func() string { return get(c, chromedp.Text(chromedp.CSS("[data-left]"))) }
			if !script {
				if got := left(); !strings.HasPrefix(got, "Time left: until ") || !strings.HasSuffix(got, " UTC") {
					t.Errorf("%q", got)
				}
				return
			}
			first := left()
			if !strings.HasPrefix(first, "14:") {
				t.Errorf("%q", first)
			}
			eventually(t, func() (bool, string) {
				now := left()
				return now != first && strings.HasPrefix(now, "14:"), "it does not count down"
			})
		})
	}
}

func TestWhatIsKeptOfAFlowInChromium(t *testing.T) {
	browserPath(t)
	for _, script := range []bool{true, false} {
		s := apitest.Start(t)
		c := openChromium(t, s, "traces", "en", script)
		w := pgWatching(c)
		code := s.Code(t, "x")
		c.enter(code.User)
		c.at("/signin")
		c.signIn(apitest.OwnerEmail)
		c.press(pgAllow)
		c.at("/device?outcome=approved")
		token := s.Poll(t, code).Text(t, "token")
		c.open("/account/sessions")
		secrets := []string{code.User, strings.ReplaceAll(code.User, "-", ""), code.Device, token, apitest.OwnerEmail, url.QueryEscape(apitest.OwnerEmail)}
		entries := pgHistory(c)
		if script {
			t.Run("W-24 DEV-24 history holds no code, token or e-mail", func(t *testing.T) {
				for _, address := range entries {
					for _, secret := range secrets {
						if strings.Contains(address, secret) {
							t.Errorf("%s", address)
						}
					}
				}
			})
		} else {
			t.Run("DEV-24 without script the code that history holds is spent", func(t *testing.T) {
				c.t = t
				for _, address := range entries {
					u, err := url.Parse(address)
					if err != nil || strings.Contains(address, token) || strings.Contains(address, "@") {
						t.Fatal(address)
					}
					if u.Path == "/device" && u.Query().Get("user_code") != "" {
						c.open(u.RequestURI())
						c.sees("Connect a device")
					}
				}
			})
		}
		t.Run(fmt.Sprintf("W-24 DEV-24 no Referer and no log tells them, script %v", script), func(t *testing.T) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, referer := range w.referers {
				if referer != s.URL+"/" {
					t.Errorf("Referer %s", referer)
				}
			}
			if len(w.referers) == 0 {
				t.Error("no Referer was seen at all")
			}
			pgUntold(t, s, append(slices.Clone(secrets[:4]), apitest.OwnerPassword)...)
		})
	}
}

// pgHistory lists the addresses that a tab can go back to.
func pgHistory(c *chromium) (addresses []string) {
	c.t.Helper()
	c.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		history, err := cdp.Call(ctx, t, page.GetNavigationHistory, cdp.Empty{})
		if err != nil {
			return err
		}
		for _, e := range history.Entries {
			addresses = append(addresses, e.URL, e.UserTypedURL, e.Title)
		}
		return nil
	}))
	return addresses
}

// pgOneApp is the part of an address that names an app.
var pgOneApp = regexp.MustCompile(`/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

func TestEveryFormInChromium(t *testing.T) {
	browserPath(t)
	wanted := map[string]bool{}
	for _, v := range pgViews(t, "en") {
		for _, form := range pgActions.FindAllStringSubmatch(v.html, -1) {
			if form[1] == "post" {
				wanted[pgOneApp.ReplaceAllString(form[2], "/:id")] = true
			}
		}
	}
	for _, script := range []bool{true, false} {
		t.Run(fmt.Sprintf("W-25 every form is posted with our origin and accepted, script %v", script), func(t *testing.T) {
			s, _ := apitest.StartCompany(t, apitest.Fresh(), unlimited())
			c := openChromium(t, s, "forms", "en", script)
			w := pgWatching(c)
			setUpInBrowser(t, c, english)
			for _, decision := range []string{"allow", "deny"} {
				code := s.Code(t, "ada's laptop")
				c.enter(code.User)
				c.press(`button[value="` + decision + `"]`)
				c.at("/device?outcome=")
				s.Poll(t, code)
			}
			c.enter(s.Code(t, "x").User)
			c.press(`main form[action="/signout"] button`) // Not you?
			c.at("/signin?return_to=")
			c.signIn(apitest.OwnerEmail)
			c.at("/device?user_code=")
			s.SignedIn(t)
			for _, kind := range []string{"device", "browser", "others"} {
				c.open("/account/sessions")
				c.press(`a[href^="/account/sessions/end?kind=` + kind + `"]`)
				c.press(`form[action="/account/sessions/end"] button`)
				c.at("/account/sessions?outcome=ended")
				if kind != "others" {
					c.sees("Ended. It no longer works.")
				}
				s.SignedIn(t)
			}
			c.press(`.places a[href="/account/security"]`)
			for _, id := range []string{"password", "new_password", "password_again"} {
				c.fill(id, apitest.OwnerPassword)
			}
			c.press(`form[action="/account/security"] button`)
			c.at("/account/security?outcome=changed")
			c.press(`a[href="/account/security/end"]`)
			c.press(`form[action="/account/security/end"] button`)
			c.at("/account/security?outcome=ended")
			pgMembersInChromium(t, c)
			pgAppInChromium(t, c, pgJoined(t, s, "chosen@example.com"), pgAppSays["en"])
			c.press(pgSignOut)
			c.at("/signin")
			c.enter(s.Code(t, "x").User)
			c.press(`a[href^="` + pgInitiate + `"]`)
			c.at(pgApproval)
			c.press(`main form button:not([formaction])`)
			c.at("/device?outcome=denied")
			w.mu.Lock()
			defer w.mu.Unlock()
			posted := map[string]bool{}
			for id, address := range w.posts {
				u, err := url.Parse(address)
				if err != nil {
					t.Fatal(err)
				}
				posted[pgOneApp.ReplaceAllString(u.Path, "/:id")] = true
				if w.origins[id] != s.URL {
					t.Errorf("%s was posted with Origin %q", u.Path, w.origins[id])
				}
			}
			for action := range wanted {
				if !posted[action] {
					t.Errorf("no form for %s was posted", action)
				}
			}
		})
	}
}

func TestNobodyFramesAPageInChromium(t *testing.T) {
	browserPath(t)
	s := apitest.Start(t)
	framing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/own" {
			return
		}
		_, _ = fmt.Fprintf(w, `<!doctype html><iframe src="/own"></iframe><iframe src="%s%s"></iframe>`, s.URL, r.URL.Path)
	}))
	t.Cleanup(framing.Close)
	c := openChromium(t, s, "frames", "en", true)
	w := pgWatching(c)
	for i, path := range []string{"/device", "/signin", "/no/such/page"} {
		t.Run("W-9 DEV-17 a framed page is refused: "+path, func(t *testing.T) {
			c.t = t
			c.load(chromedp.Navigate(framing.URL + path))
			eventually(t, func() (bool, string) {
				w.mu.Lock()
				defer w.mu.Unlock()
				return len(w.blocked) == i+1 && w.blocked[i] == "net::ERR_BLOCKED_BY_RESPONSE", fmt.Sprintf("blocked: %q", w.blocked)
			})
		})
	}
}
