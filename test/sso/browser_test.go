// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// browser keeps cookies and says where a request comes from, as a browser does.
type browser struct {
	t      testing.TB
	client *http.Client
	jar    *cookiejar.Jar
	// visited are the addresses of every hop since the last act.
	visited []*url.URL
}

func newBrowser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, jar: jar, client: &http.Client{
		Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// page is what the browser shows.
type page struct {
	b      *browser
	url    *url.URL
	status int
	header http.Header
	body   string
}

// open is a typed address.
func (b *browser) open(address string) *page {
	b.t.Helper()
	return b.travel(nil, http.MethodGet, address, nil, 20)
}

// hop is one request without following where it leads.
func (b *browser) hop(from *page, method, address string, form url.Values) *page {
	b.t.Helper()
	return b.travel(from, method, address, form, 0)
}

// travel asks and follows up to most redirects.
func (b *browser) travel(from *page, method, address string, form url.Values, most int) *page {
	b.t.Helper()
	b.visited = nil
	at, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	site := "none"
	if from != nil {
		at = from.url.ResolveReference(at)
		site = siteOf(from.url, at)
	}
	for hops := 0; ; hops++ {
		p := b.ask(from, site, method, at, form)
		b.visited = append(b.visited, at)
		where := p.header.Get("Location")
		if p.status < 300 || p.status > 399 || where == "" || hops == most {
			return p
		}
		next, err := at.Parse(where)
		if err != nil {
			b.t.Fatalf("Location %q: %v", where, err)
		}
		if p.status != http.StatusTemporaryRedirect && p.status != http.StatusPermanentRedirect {
			method, form = http.MethodGet, nil
		}
		if site != "none" && siteOf(at, next) != "same-origin" { // a chain that has left an origin stays so
			site = "cross-site"
		}
		at = next
	}
}

func siteOf(a, b *url.URL) string {
	switch {
	case a.Scheme == b.Scheme && a.Host == b.Host:
		return "same-origin"
	case a.Scheme == b.Scheme && a.Hostname() == b.Hostname():
		return "same-site"
	}
	return "cross-site"
}

func (b *browser) ask(from *page, site, method string, at *url.URL, form url.Values) *page {
	b.t.Helper()
	body := io.Reader(nil)
	if method == http.MethodPost {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, at.String(), body)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Language", "en")
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36")
	r.Header.Set("Sec-Fetch-Site", site)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if from != nil {
			r.Header.Set("Origin", from.url.Scheme+"://"+from.url.Host)
		}
	}
	resp, err := b.client.Do(r)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, at.Redacted(), err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return &page{b: b, url: at, status: resp.StatusCode, header: resp.Header, body: string(text)}
}

var (
	anchors = regexp.MustCompile(`(?s)<a\b([^>]*)>(.*?)</a>`)
	forms   = regexp.MustCompile(`(?s)<form\b([^>]*)>(.*?)</form>`)
	inputs  = regexp.MustCompile(`(?s)<input\b([^>]*)>`)
	buttons = regexp.MustCompile(`(?s)<button\b([^>]*)>`)
	attrs   = regexp.MustCompile(`([a-z-]+)="([^"]*)"`)
)

func attributes(tag string) map[string]string {
	m := map[string]string{}
	for _, a := range attrs.FindAllStringSubmatch(tag, -1) {
		m[a[1]] = html.UnescapeString(a[2])
	}
	return m
}

// link gives the address of the first link that contains a text.
func (p *page) link(contains string) string {
	p.b.t.Helper()
	for _, a := range anchors.FindAllStringSubmatch(p.body, -1) {
		if href := attributes(a[1])["href"]; strings.Contains(href, contains) {
			return href
		}
	}
	p.b.t.Fatalf("%s has no link with %q:\n%s", p.url.Redacted(), contains, p.body)
	return ""
}

// click follows the first link that contains a text to its end.
func (p *page) click(contains string) *page {
	p.b.t.Helper()
	return p.b.travel(p, http.MethodGet, p.link(contains), nil, 20)
}

// form gives the address, method and hidden values of the form that has a button or
// action which contains a text.
func (p *page) form(contains string) (action, method string, values url.Values) {
	p.b.t.Helper()
	for _, f := range forms.FindAllStringSubmatch(p.body, -1) {
		a := attributes(f[1])
		action, method, found := a["action"], strings.ToUpper(a["method"]), strings.Contains(a["action"], contains)
		values = url.Values{}
		for _, i := range inputs.FindAllStringSubmatch(f[2], -1) {
			if in := attributes(i[1]); in["name"] != "" && in["type"] != "checkbox" && in["type"] != "radio" {
				values.Set(in["name"], in["value"])
			}
		}
		for _, b := range buttons.FindAllStringSubmatch(f[2], -1) {
			at := attributes(b[1])
			if to := at["formaction"]; to != "" && strings.Contains(to, contains) {
				action, found = to, true
			}
			if v := at["value"]; v != "" && v == contains {
				values.Set(at["name"], v)
				found = true
			}
		}
		if found {
			return action, method, values
		}
	}
	p.b.t.Fatalf("%s has no form with %q:\n%s", p.url.Redacted(), contains, p.body)
	return "", "", nil
}

// submit fills the form in (pairs of name and value), sends it and follows.
func (p *page) submit(contains string, pairs ...string) *page {
	p.b.t.Helper()
	action, method, values := p.form(contains)
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	if action == "" {
		action = p.url.String()
	}
	if method == http.MethodPost {
		return p.b.travel(p, http.MethodPost, action, values, 20)
	}
	to, err := url.Parse(action)
	if err != nil {
		p.b.t.Fatal(err)
	}
	to.RawQuery = values.Encode()
	return p.b.travel(p, http.MethodGet, to.String(), nil, 20)
}

// must ends the test unless the page has a status and a text.
func (p *page) must(status int, text string) *page {
	p.b.t.Helper()
	if p.status != status || !strings.Contains(p.body, text) {
		p.b.t.Fatalf("%s: status %d, want %d and %q:\n%s", p.url.Redacted(), p.status, status, text, p.body)
	}
	return p
}
