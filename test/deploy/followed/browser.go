// SPDX-License-Identifier: Apache-2.0

package followed

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
)

// browser keeps cookies and says where a request comes from, as a browser does.
type browser struct {
	client *http.Client
	at     *url.URL
	body   string
}

func newBrowser() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{client: &http.Client{
		Transport: clients, Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// go follows where a request leads, to a page of status 200.
func (b *browser) travel(ctx context.Context, method, address string, form url.Values) error {
	from, site := b.at, "none"
	to, err := url.Parse(address)
	if err != nil {
		return err
	}
	if from != nil {
		to = from.ResolveReference(to)
		site = relation(from, to)
	}
	for range 20 {
		var content io.Reader
		if method == http.MethodPost {
			content = strings.NewReader(form.Encode())
		}
		r, err := http.NewRequestWithContext(ctx, method, to.String(), content)
		if err != nil {
			return err
		}
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Accept-Language", "en")
		r.Header.Set("Sec-Fetch-Site", site)
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", from.Scheme+"://"+from.Host)
		}
		answer, err := b.client.Do(r)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil {
			return err
		}
		where := answer.Header.Get("Location")
		if answer.StatusCode/100 != 3 || where == "" {
			b.at, b.body = to, string(text)
			if answer.StatusCode != http.StatusOK {
				return fmt.Errorf("%s %s: %d %s", method, to.Redacted(), answer.StatusCode, words(b.body))
			}
			return nil
		}
		next, err := to.Parse(where)
		if err != nil {
			return err
		}
		method = http.MethodGet
		if site != "none" && relation(to, next) != "same-origin" { // a chain that has left an origin stays so
			site = "cross-site"
		}
		to = next
	}
	return fmt.Errorf("%s leads round in circles", to.Redacted())
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

// click follows the first link whose address contains a text.
func (b *browser) click(ctx context.Context, contains string) error {
	for _, l := range links.FindAllStringSubmatch(b.body, -1) {
		if to := html.UnescapeString(l[1]); strings.Contains(to, contains) {
			return b.travel(ctx, http.MethodGet, to, nil)
		}
	}
	return fmt.Errorf("%s has no link with %q: %s", b.at.Redacted(), contains, words(b.body))
}

// submit sends the form whose action, or that of a button in it, contains a text; an empty
// one is the first form.
func (b *browser) submit(ctx context.Context, contains string, values url.Values) error {
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
			return b.travel(ctx, http.MethodPost, action, sent)
		}
		return b.travel(ctx, http.MethodGet, action+"?"+sent.Encode(), nil)
	}
	return fmt.Errorf("%s has no form with %q: %s", b.at.Redacted(), contains, words(b.body))
}
