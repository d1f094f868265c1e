// SPDX-License-Identifier: Apache-2.0

package oncluster

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

// browser keeps cookies, follows redirects and shows pages.
type browser struct {
	t      testing.TB
	client *http.Client
	hops   []*url.URL
}

// page is what it shows.
type page struct {
	b      *browser
	at     *url.URL
	status int
	body   string
}

func (in *installation) browser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t}
	transport := in.transport(in.roots)
	t.Cleanup(transport.CloseIdleConnections)
	b.client = &http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		b.hops = append(b.hops, r.URL)
		r.Header.Del("Origin") // of a form alone; a redirect of it is a GET
		return nil
	}}
	return b
}

func (b *browser) ask(from *url.URL, method, address string, form url.Values) *page {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, address, body)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Language", "en")
	r.Header.Set("Sec-Fetch-Site", "none")
	if from != nil {
		r.Header.Set("Sec-Fetch-Site", map[bool]string{true: "same-origin", false: "cross-site"}[from.Host == r.URL.Host])
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", from.Scheme+"://"+from.Host)
	}
	b.hops = append(b.hops, r.URL)
	answer, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return &page{b: b, at: answer.Request.URL, status: answer.StatusCode, body: string(text)}
}

func (b *browser) open(address string) *page {
	b.t.Helper()
	return b.ask(nil, http.MethodGet, address, nil)
}

// must ends the test unless the page is well and has a text.
func (p *page) must(text string) *page {
	p.b.t.Helper()
	if p.status != http.StatusOK || !strings.Contains(p.body, text) {
		p.b.t.Fatalf("%s shows no %q: %d\n%s", p.at.Redacted(), text, p.status, p.body)
	}
	return p
}

var (
	anchors = regexp.MustCompile(`<a\b[^>]*\bhref="([^"]*)"`)
	forms   = regexp.MustCompile(`(?s)<form\b([^>]*)>(.*?)</form>`)
	inputs  = regexp.MustCompile(`<input\b[^>]*>`)
	buttons = regexp.MustCompile(`<button\b[^>]*>`)
	attrs   = regexp.MustCompile(`([a-z-]+)="([^"]*)"`)
)

func attributes(tag string) map[string]string {
	m := map[string]string{}
	for _, a := range attrs.FindAllStringSubmatch(tag, -1) {
		m[a[1]] = html.UnescapeString(a[2])
	}
	return m
}

// click follows the first link that has a text in its address.
func (p *page) click(contains string) *page {
	p.b.t.Helper()
	for _, a := range anchors.FindAllStringSubmatch(p.body, -1) {
		if to := html.UnescapeString(a[1]); strings.Contains(to, contains) {
			at, err := p.at.Parse(to)
			if err != nil {
				p.b.t.Fatal(err)
			}
			return p.b.ask(p.at, http.MethodGet, at.String(), nil)
		}
	}
	p.b.t.Fatalf("%s has no link with %q:\n%s", p.at.Redacted(), contains, p.body)
	return nil
}

// submit sends the form that has an address with a text, or a button that does.
func (p *page) submit(contains string, pairs ...string) *page {
	p.b.t.Helper()
	for _, f := range forms.FindAllStringSubmatch(p.body, -1) {
		a := attributes(f[1])
		action, found, values := a["action"], strings.Contains(a["action"], contains), url.Values{}
		for _, tag := range inputs.FindAllString(f[2], -1) {
			if i := attributes(tag); i["name"] != "" && i["type"] != "checkbox" {
				values.Set(i["name"], i["value"])
			}
		}
		for _, tag := range buttons.FindAllString(f[2], -1) {
			if to := attributes(tag)["formaction"]; to != "" && strings.Contains(to, contains) {
				action, found = to, true
			}
		}
		if !found {
			continue
		}
		for i := 0; i < len(pairs); i += 2 {
			values.Set(pairs[i], pairs[i+1])
		}
		at, err := p.at.Parse(action)
		if err != nil {
			p.b.t.Fatal(err)
		}
		if strings.EqualFold(a["method"], http.MethodPost) {
			return p.b.ask(p.at, http.MethodPost, at.String(), values)
		}
		at.RawQuery = values.Encode()
		return p.b.open(at.String())
	}
	p.b.t.Fatalf("%s has no form with %q:\n%s", p.at.Redacted(), contains, p.body)
	return nil
}

// choose is a click on a person of devidp's page.
func (p *page) choose(person string) *page {
	p.b.t.Helper()
	if p.at.Host != idpHost {
		p.b.t.Fatalf("the browser is not at the provider, but went by %v: %d\n%s", p.b.hops, p.status, p.body)
	}
	return p.b.ask(p.at, http.MethodPost, p.at.String(), url.Values{"person": {person}})
}
