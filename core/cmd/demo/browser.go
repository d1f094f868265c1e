// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
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

// browser is a person's browser as far as forms go: it keeps cookies, follows
// redirects, and sends a form's hidden fields and its origin.
type browser struct {
	ctx  context.Context
	base string
	http *http.Client
	path string // of the page in view
	page string
}

func newBrowser(ctx context.Context, base string) (*browser, error) {
	jar, err := cookiejar.New(nil)
	return &browser{ctx: ctx, base: base, http: &http.Client{Jar: jar, Timeout: 10 * time.Second}}, err
}

func (b *browser) get(path string) error { return b.do(http.MethodGet, path, nil) }

func (b *browser) do(method, path string, form url.Values) error {
	req, err := http.NewRequestWithContext(b.ctx, method, b.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/html")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", b.base)
	}
	res, err := b.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	b.path, b.page = res.Request.URL.RequestURI(), string(body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s answers %s", method, path, res.Status)
	}
	return err
}

var (
	forms  = regexp.MustCompile(`(?s)<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>`)
	hidden = regexp.MustCompile(`<input[^>]*type="hidden"[^>]*>`)
	attr   = regexp.MustCompile(`(name|value)="([^"]*)"`)
)

// submit fills the form of this page that leads to action.
func (b *browser) submit(action string, fields url.Values) error {
	for _, form := range forms.FindAllStringSubmatch(b.page, -1) {
		if html.UnescapeString(form[1]) != action {
			continue
		}
		all := url.Values{}
		for _, input := range hidden.FindAllString(form[2], -1) {
			got := map[string]string{}
			for _, m := range attr.FindAllStringSubmatch(input, -1) {
				got[m[1]] = html.UnescapeString(m[2])
			}
			all.Set(got["name"], got["value"])
		}
		for name, values := range fields {
			all[name] = values
		}
		return b.do(http.MethodPost, action, all)
	}
	return fmt.Errorf("%s has no form for %s", b.path, action)
}

// link gives the first address of this page that fits a pattern.
func (b *browser) link(pattern string) string {
	return html.UnescapeString(regexp.MustCompile(pattern).FindString(html.UnescapeString(b.page)))
}

// expect fails unless this page is the one that a step leads to.
func (b *browser) expect(path string) error {
	if b.path != path {
		return errors.New("the browser is at " + b.path + ", not at " + path)
	}
	return nil
}
