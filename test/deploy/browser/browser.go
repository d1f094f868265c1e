// SPDX-License-Identifier: Apache-2.0

// Package browser is a browser without scripts: it keeps cookies, says where a request comes from,
// follows redirects, links and forms, and reloads what did not come. It is safe for use by one
// goroutine.
package browser

import (
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

// Browser is somebody's, with the page that they look at.
type Browser struct {
	client *http.Client
	at     *url.URL
	body   string
	lost   *step // what was asked for last, where it was a GET and did not come
}

// step is one request of a chain.
type step struct {
	to   *url.URL
	site string // Sec-Fetch-Site
}

// New gives a browser with no cookies.
func New(transport http.RoundTripper) *Browser {
	jar, _ := cookiejar.New(nil)
	return &Browser{client: &http.Client{
		Transport: transport, Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Open goes to an address that somebody has typed.
func (b *Browser) Open(ctx context.Context, address string) error {
	to, err := url.Parse(address)
	if err != nil {
		return err
	}
	return b.travel(ctx, http.MethodGet, step{to, "none"}, nil)
}

// Lost reports whether a GET has failed that Reload would repeat. The page before it is still
// shown.
func (b *Browser) Lost() bool { return b.lost != nil }

// Reload repeats what has failed, and goes on from there.
func (b *Browser) Reload(ctx context.Context) error {
	return b.travel(ctx, http.MethodGet, *b.lost, nil)
}

// follow goes to an address of the page that is shown.
func (b *Browser) follow(ctx context.Context, method, address string, form url.Values) error {
	to, err := b.at.Parse(address)
	if err != nil {
		return err
	}
	return b.travel(ctx, method, step{to, relation(b.at, to)}, form)
}

// travel follows where a request leads, to a page of status 200. It returns a *visitor.Refusal
// for another one.
func (b *Browser) travel(ctx context.Context, method string, s step, form url.Values) error {
	for range 20 {
		if b.lost = nil; method == http.MethodGet {
			b.lost = &s
		}
		answer, text, err := b.ask(ctx, method, s, form)
		if err != nil {
			return err
		}
		where := answer.Header.Get("Location")
		if answer.StatusCode/100 != 3 || where == "" {
			if answer.StatusCode != http.StatusOK {
				return &visitor.Refusal{Step: method + " " + s.to.Path, Status: answer.StatusCode, RetryAfter: answer.Header.Get("Retry-After"), Body: words(text)}
			}
			b.at, b.body, b.lost = s.to, text, nil
			return nil
		}
		next, err := s.to.Parse(where)
		if err != nil {
			return err
		}
		method, form = http.MethodGet, nil
		site := s.site
		if site != "none" && relation(s.to, next) != "same-origin" { // a chain that has left an origin stays so
			site = "cross-site"
		}
		s = step{next, site}
	}
	return fmt.Errorf("%s leads round in circles", s.to.Redacted())
}

func (b *Browser) ask(ctx context.Context, method string, s step, form url.Values) (answer *http.Response, text string, err error) {
	var content io.Reader
	if form != nil {
		content = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, s.to.String(), content)
	if err != nil {
		return nil, "", err
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Language", "en")
	r.Header.Set("Sec-Fetch-Site", s.site)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", b.at.Scheme+"://"+b.at.Host)
	}
	if answer, err = b.client.Do(r); err != nil {
		return nil, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	return answer, string(body), err
}

func relation(a, b *url.URL) string {
	switch {
	case a.Scheme == b.Scheme && a.Host == b.Host:
		return "same-origin"
	case a.Scheme == b.Scheme && a.Hostname() == b.Hostname():
		return "same-site"
	}
	return "cross-site"
}

var (
	tags   = regexp.MustCompile(`(?s)<style.*?</style>|<script.*?</script>|<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
	forms  = regexp.MustCompile(`(?s)<form\b([^>]*)>(.*?)</form>`)
	inputs = regexp.MustCompile(`(?s)<(?:input|button)\b([^>]*)>`)
	attrs  = regexp.MustCompile(`([a-z-]+)="([^"]*)"`)
	links  = regexp.MustCompile(`<a\b[^>]*href="([^"]*)"`)
)

// words is what a page says, for a failure.
func words(page string) string {
	return spaces.ReplaceAllString(tags.ReplaceAllString(page, " "), " ")
}

func attributes(tag string) map[string]string {
	m := map[string]string{}
	for _, a := range attrs.FindAllStringSubmatch(tag, -1) {
		m[a[1]] = html.UnescapeString(a[2])
	}
	return m
}

// Click follows the first link whose address contains a text.
func (b *Browser) Click(ctx context.Context, contains string) error {
	for _, l := range links.FindAllStringSubmatch(b.body, -1) {
		if to := html.UnescapeString(l[1]); strings.Contains(to, contains) {
			return b.follow(ctx, http.MethodGet, to, nil)
		}
	}
	return fmt.Errorf("%s has no link with %q: %s", b.at.Redacted(), contains, words(b.body))
}

// Submit sends the form whose action, or that of a button in it, contains a text; an empty
// one is the first form.
func (b *Browser) Submit(ctx context.Context, contains string, values url.Values) error {
	for _, f := range forms.FindAllStringSubmatch(b.body, -1) {
		a := attributes(f[1])
		action, found := a["action"], strings.Contains(a["action"], contains)
		sent := url.Values{}
		for _, i := range inputs.FindAllStringSubmatch(f[2], -1) {
			in := attributes(i[1])
			if to := in["formaction"]; to != "" && strings.Contains(to, contains) {
				action, found = to, true
			}
			if in["type"] == "hidden" {
				sent.Set(in["name"], in["value"])
			}
		}
		if !found {
			continue
		}
		for name := range values {
			sent.Set(name, values.Get(name))
		}
		if action == "" {
			action = b.at.String()
		}
		if strings.EqualFold(a["method"], http.MethodPost) {
			return b.follow(ctx, http.MethodPost, action, sent)
		}
		return b.follow(ctx, http.MethodGet, action+"?"+sent.Encode(), nil)
	}
	return fmt.Errorf("%s has no form with %q: %s", b.at.Redacted(), contains, words(b.body))
}
