// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
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

// Answer is a response that has been read.
type Answer struct {
	Status  int
	Header  http.Header
	Body    string
	Cookies []*http.Cookie
}

// JSON decodes the body into a map.
func (a Answer) JSON(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.Body), &v); err != nil {
		t.Fatalf("status %d, body %q is no JSON object: %v", a.Status, a.Body, err)
	}
	return v
}

// Text gives a member of the body that is a string.
func (a Answer) Text(t testing.TB, name string) string {
	t.Helper()
	s, ok := a.JSON(t)[name].(string)
	if !ok {
		t.Fatalf("status %d: no text %q in %s", a.Status, name, a.Body)
	}
	return s
}

// plain follows no redirect and keeps no cookie.
var plain = &http.Client{
	Timeout:       20 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     Checked(&http.Transport{MaxIdleConnsPerHost: 128, TLSClientConfig: &tls.Config{RootCAs: authority().pool}}),
}

// Call sends a request with headers given as name, value pairs.
func (s *Server) Call(t testing.TB, method, path, body string, headers ...string) Answer {
	t.Helper()
	return send(t, plain, s.URL, method, path, body, headers...)
}

// At gives the same server under another address.
func (s *Server) At(base string) *Server {
	return &Server{URL: base, Log: s.Log, Clock: s.Clock, App: s.App}
}

// Post sends a value as JSON.
func (s *Server) Post(t testing.TB, path string, v any, headers ...string) Answer {
	t.Helper()
	return s.Call(t, http.MethodPost, path, encode(t, v), append([]string{"Content-Type", "application/json"}, headers...)...)
}

// Form sends a form.
func (s *Server) Form(t testing.TB, path string, v url.Values, headers ...string) Answer {
	t.Helper()
	return s.Call(t, http.MethodPost, path, v.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
}

// Bearer sends a request with a token.
func (s *Server) Bearer(t testing.TB, token, method, path string) Answer {
	t.Helper()
	return s.Call(t, method, path, "", "Authorization", "Bearer "+token)
}

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func send(t testing.TB, client *http.Client, base, method, path, body string, headers ...string) Answer {
	t.Helper()
	a, err := try(client, base, method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func try(client *http.Client, base, method, path, body string, headers ...string) (Answer, error) {
	req, err := http.NewRequest(method, base+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return Answer{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	return Answer{Status: res.StatusCode, Header: res.Header, Body: string(content), Cookies: res.Cookies()}, err
}

// Browser keeps cookies, follows redirects by hand and sends what browsers send with
// a form.
type Browser struct {
	t    testing.TB
	s    *Server
	http *http.Client
	Page Answer // the last one
	Path string // its address
	Lang string
}

// Browser opens one.
func (s *Server) Browser(t testing.TB) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := *plain
	client.Jar = jar
	return &Browser{t: t, s: s, http: &client}
}

// SignedIn opens a browser and signs the owner in.
func (s *Server) SignedIn(t testing.TB) *Browser {
	t.Helper()
	b := s.Browser(t)
	b.SignIn(OwnerEmail, OwnerPassword)
	return b
}

// Get loads a page and follows its redirects.
func (b *Browser) Get(path string) Answer {
	b.t.Helper()
	headers := []string{"Accept", "text/html", "Sec-Fetch-Site", "none"}
	if b.Lang != "" {
		headers = append(headers, "Accept-Language", b.Lang)
	}
	return b.follow(path, send(b.t, b.http, b.s.URL, http.MethodGet, path, "", headers...))
}

func (b *Browser) follow(path string, a Answer) Answer {
	b.t.Helper()
	b.Page, b.Path = a, path
	if location := a.Header.Get("Location"); location != "" && a.Status/100 == 3 {
		return b.Get(strings.TrimPrefix(location, b.s.URL))
	}
	return a
}

// Submit posts the form of the last page that leads to action, with its hidden fields.
func (b *Browser) Submit(action string, fields url.Values) Answer {
	b.t.Helper()
	a := b.SubmitOnly(action, fields)
	return b.follow(action, a)
}

// SubmitOnly is Submit without following.
func (b *Browser) SubmitOnly(action string, fields url.Values) Answer {
	b.t.Helper()
	all := b.Hidden(action)
	for name, values := range fields {
		all[name] = values
	}
	headers := []string{"Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html", "Origin", b.s.URL, "Sec-Fetch-Site", "same-origin"}
	if b.Lang != "" {
		headers = append(headers, "Accept-Language", b.Lang)
	}
	return send(b.t, b.http, b.s.URL, http.MethodPost, action, all.Encode(), headers...)
}

var (
	forms  = regexp.MustCompile(`(?s)<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>`)
	inputs = regexp.MustCompile(`<input[^>]*>`)
	attr   = regexp.MustCompile(`(type|name|value)="([^"]*)"`)
)

// Hidden gives the hidden fields of the last page's form for action.
func (b *Browser) Hidden(action string) url.Values {
	b.t.Helper()
	for _, form := range forms.FindAllStringSubmatch(b.Page.Body, -1) {
		if html.UnescapeString(form[1]) != action {
			continue
		}
		fields := url.Values{}
		for _, input := range inputs.FindAllString(form[2], -1) {
			got := map[string]string{}
			for _, m := range attr.FindAllStringSubmatch(input, -1) {
				got[m[1]] = html.UnescapeString(m[2])
			}
			if got["type"] == "hidden" {
				fields.Set(got["name"], got["value"])
			}
		}
		return fields
	}
	b.t.Fatalf("no form for %s on %s (status %d):\n%s", action, b.Path, b.Page.Status, b.Page.Body)
	return nil
}

// SignIn signs in by the page.
func (b *Browser) SignIn(email, password string) {
	b.t.Helper()
	b.Get("/signin")
	b.Submit("/signin", url.Values{"email": {email}, "password": {password}})
	if b.Path != "/account/sessions" || b.Page.Status != http.StatusOK {
		b.t.Fatalf("sign-in led to %s (status %d):\n%s", b.Path, b.Page.Status, b.Page.Body)
	}
}

// CSRF gives the token for scripts.
func (b *Browser) CSRF() string {
	b.t.Helper()
	return b.Call(http.MethodGet, "/console/api/csrf-token", "").Text(b.t, "csrf_token")
}

// Call sends a scripted request with the browser's cookies.
func (b *Browser) Call(method, path, body string, headers ...string) Answer {
	b.t.Helper()
	return send(b.t, b.http, b.s.URL, method, path, body, headers...)
}

// Decide approves or denies a code as a script does.
func (b *Browser) Decide(act, userCode string) Answer {
	b.t.Helper()
	return b.Call(http.MethodPost, "/openapi/v1/oauth/device/"+act, encode(b.t, map[string]string{"user_code": userCode}),
		"Content-Type", "application/json", "Origin", b.s.URL, "X-CSRF-Token", b.CSRF())
}

// Cookie gives the value of one of the browser's cookies.
func (b *Browser) Cookie(name string) string {
	u, _ := url.Parse(b.s.URL)
	for _, c := range b.http.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}
