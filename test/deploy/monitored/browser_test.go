// SPDX-License-Identifier: Apache-2.0

package monitored

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

// browser keeps cookies, follows redirects, and clicks and sends what a page has.
type browser struct {
	client *http.Client
	at     *url.URL
	body   string
}

func newBrowser() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{client: &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if r.URL.Host != via[0].URL.Host {
			r.Header.Set("Sec-Fetch-Site", "same-site")
		}
		return nil
	}}}
}

func (b *browser) ask(ctx context.Context, method, address string, form url.Values) error {
	to, err := url.Parse(address)
	if err != nil {
		return err
	}
	site := "none"
	if b.at != nil {
		if to = b.at.ResolveReference(to); to.Host == b.at.Host {
			site = "same-origin"
		} else {
			site = "same-site"
		}
	}
	if method == http.MethodGet && form != nil {
		to.RawQuery = form.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, to.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Language", "en")
	r.Header.Set("Sec-Fetch-Site", site)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", b.at.Scheme+"://"+b.at.Host)
	}
	answer, err := b.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	b.at, b.body = answer.Request.URL, string(text)
	return err
}

var (
	anchor    = regexp.MustCompile(`(?s)<a\b([^>]*)>`)
	formTag   = regexp.MustCompile(`(?s)<form\b([^>]*)>(.*?)</form>`)
	inputTag  = regexp.MustCompile(`(?s)<(?:input|button)\b([^>]*)>`)
	attribute = regexp.MustCompile(`([a-z-]+)="([^"]*)"`)
)

func attributes(tag string) map[string]string {
	m := map[string]string{}
	for _, a := range attribute.FindAllStringSubmatch(tag, -1) {
		m[a[1]] = html.UnescapeString(a[2])
	}
	return m
}

// click follows the first link whose address contains a text.
func (b *browser) click(ctx context.Context, contains string) error {
	for _, a := range anchor.FindAllStringSubmatch(b.body, -1) {
		if href := attributes(a[1])["href"]; strings.Contains(href, contains) {
			return b.ask(ctx, http.MethodGet, href, nil)
		}
	}
	return fmt.Errorf("%s has no link with %q:\n%s", b.at.Redacted(), contains, b.body)
}

// submit sends the first form that holds a text, with its hidden values and one more.
func (b *browser) submit(ctx context.Context, contains, name, value string) error {
	for _, f := range formTag.FindAllStringSubmatch(b.body, -1) {
		if !strings.Contains(f[0], contains) {
			continue
		}
		a, values := attributes(f[1]), url.Values{}
		action := a["action"]
		for _, i := range inputTag.FindAllStringSubmatch(f[2], -1) {
			in := attributes(i[1])
			if in["type"] == "hidden" {
				values.Set(in["name"], in["value"])
			}
			if to := in["formaction"]; strings.Contains(to, contains) {
				action = to
			}
		}
		if name != "" {
			values.Set(name, value)
		}
		if action == "" {
			action = b.at.String()
		}
		return b.ask(ctx, strings.ToUpper(a["method"]), action, values)
	}
	return fmt.Errorf("%s has no form with %q:\n%s", b.at.Redacted(), contains, b.body)
}
