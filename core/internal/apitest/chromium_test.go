// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// chromium is one tab of a real browser that watches what pages do.
type chromium struct {
	t      *testing.T
	ctx    context.Context
	server *apitest.Server
	script bool
	name   string
	shot   int
	loads  int

	mu       sync.Mutex
	origins  []string // Origin header of every form that was posted
	requests []string // address of everything that was asked for
	troubles []string // what the console complained of
}

// browserPath finds Chromium, or says how to get it. In CI a browser suite that is
// left out is a failure.
func browserPath(t *testing.T) string {
	t.Helper()
	if name, _, _ := strings.Cut(t.Name(), "/"); !strings.HasSuffix(name, "InChromium") {
		t.Fatalf("%s opens a browser: its name must end in InChromium, by which make test runs these apart", name)
	}
	if testing.Short() {
		t.Skip("the browser suite is not part of test-fast")
	}
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no Chromium: make deps installs it")
	}
	t.Skip("no Chromium: make deps installs it")
	return ""
}

// openChromium starts a browser with an empty profile in a language.
func openChromium(t *testing.T, s *apitest.Server, name, lang string, script bool, more ...chromedp.Action[chromedp.Void]) *chromium {
	t.Helper()
	allocated, endProcess := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(browserPath(t)), chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("lang", lang), chromedp.Flag("accept-lang", lang), chromedp.WindowSize(1000, 900))
	ctx, endTab := chromedp.NewContext(allocated)
	t.Cleanup(func() { endTab(); endProcess() })
	c := &chromium{t: t, ctx: ctx, server: s, script: script, name: name}
	// The first action starts the browser and must not have a deadline.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("browser: %v", err)
	}
	if err := chromedp.Listen(ctx, c.watch); err != nil {
		t.Fatalf("browser: %v", err)
	}
	c.do(command(network.Enable, network.EnableParams{}), command(cdplog.Enable, cdp.Empty{}),
		command(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": lang}}),
		command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !script}))
	c.do(more...)
	return c
}

// command is a protocol command as a step.
func command[P, R any](cmd cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, cmd, params)
		return err
	})
}

// patience is what one step in a browser may take on a busy machine.
const patience = 30 * time.Second

func (c *chromium) watch(event any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		c.requests = append(c.requests, e.Request.URL)
	case *network.EventRequestWillBeSentExtraInfo:
		if method, _ := e.Headers[":method"].(string); method == "POST" || e.Headers["Origin"] != nil {
			origin, _ := e.Headers["Origin"].(string)
			c.origins = append(c.origins, origin)
		}
	case *cdplog.EventEntryAdded:
		// An answer of 4xx is logged as an error, too; some views have one.
		if e.Entry.Level == cdplog.EntryLevelError && e.Entry.Source != cdplog.EntrySourceNetwork {
			c.troubles = append(c.troubles, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		c.troubles = append(c.troubles, e.ExceptionDetails.Text)
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

// get is do for a step that gives a value.
func get[T any](c *chromium, step chromedp.Action[T]) T {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, step)
	if err != nil {
		c.t.Fatalf("browser: %v", err)
	}
	return v
}

// open loads a page of the server.
func (c *chromium) open(path string) {
	c.t.Helper()
	c.load(chromedp.Navigate(c.server.URL + path))
}

// load runs an action that leads to another page and waits for that page. A script
// that changes the address of the page it leaves is not taken for it.
func (c *chromium) load(steps ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	c.loads++
	get(c, chromedp.Evaluate[int](fmt.Sprintf("window.leaving = %d", c.loads)))
	c.do(steps...)
	there := chromedp.Evaluate[bool](fmt.Sprintf(`window.leaving !== %d && document.readyState === "complete"`, c.loads))
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		// Between two pages there is nothing to ask.
		if done, err := chromedp.Run(ctx, there); err == nil && done {
			return
		}
	}
	c.t.Fatalf("browser: no other page after %s", patience)
}

// fill types into a field by its id.
func (c *chromium) fill(id, text string) {
	c.t.Helper()
	c.do(chromedp.SendKeys(chromedp.CSS("#"+id), text))
}

// press clicks and waits for the page it leads to.
func (c *chromium) press(selector string) {
	c.t.Helper()
	c.load(chromedp.Click(chromedp.CSS(selector)))
}

// arrives waits for a page to which a script of the page before it leads by itself.
func (c *chromium) arrives(path string) {
	c.t.Helper()
	eventually(c.t, func() (bool, string) {
		ctx, cancel := context.WithTimeout(c.ctx, patience)
		defer cancel()
		// Between two pages there is nothing to ask.
		address, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.readyState === "complete" ? location.href : ""`))
		return err == nil && address == c.server.URL+path, fmt.Sprintf("at %q: %v", address, err)
	})
}

// at fails unless the address begins with path.
func (c *chromium) at(path string) {
	c.t.Helper()
	address := get(c, chromedp.Location())
	if !strings.HasPrefix(address, c.server.URL+path) {
		c.t.Fatalf("at %s, want %s", address, path)
	}
}

// text gives what the page shows.
func (c *chromium) text() string {
	c.t.Helper()
	return get(c, chromedp.Text(chromedp.CSS("body")))
}

// sees fails unless the page shows every text.
func (c *chromium) sees(texts ...string) {
	c.t.Helper()
	page := c.text()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			c.t.Fatalf("the page does not show %q:\n%s", text, page)
		}
	}
}

// keep saves a picture where SCREENSHOTS asks for it.
func (c *chromium) keep(view string) {
	c.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	c.shot++
	picture := get(c, chromedp.FullScreenshot(100))
	name := filepath.Join(dir, c.name+"-"+string(rune('a'+c.shot-1))+"-"+view+".png")
	if err := os.WriteFile(name, picture, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// quiet checks what was watched over the whole run.
func (c *chromium) quiet() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, address := range c.requests {
		if u, err := url.Parse(address); err != nil || u.Scheme != "data" && "http://"+u.Host != c.server.URL {
			c.t.Errorf("asked for %s", address)
		}
	}
	if len(c.origins) == 0 || slices.ContainsFunc(c.origins, func(o string) bool { return o != c.server.URL }) {
		c.t.Errorf("forms were posted with the origins %q, want %s each time", c.origins, c.server.URL)
	}
	if len(c.troubles) > 0 {
		c.t.Errorf("the console says %q", c.troubles)
	}
}
