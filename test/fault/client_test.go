// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// client speaks to one process as a command line, a browser's script and an operator
// do.
type client struct {
	t    testing.TB
	base string
}

// answer is what came back; Status 0 means that nothing did.
type answer struct {
	Status int
	Header http.Header
	Body   []byte
	Err    error
}

// text gives a member of the body.
func (a answer) text(name string) string {
	var m map[string]any
	_ = json.Unmarshal(a.Body, &m)
	s, _ := m[name].(string)
	return s
}

// refusal gives the OAuth error, else the code of the body.
func (a answer) refusal() string {
	if s := a.text("error"); s != "" {
		return s
	}
	return a.text("code")
}

// wire keeps connections open, many at once, and follows no redirect.
var wire = &http.Client{
	Timeout:       time.Minute, // beyond what core gives a request
	Transport:     &http.Transport{MaxIdleConnsPerHost: 200},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// call sends one request; headers come in pairs. It never fails the test: under a
// fault no answer is an answer.
func (c client) call(method, address, contentType, body string, headers ...string) answer {
	if !strings.HasPrefix(address, "http") {
		address = c.base + address
	}
	r, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := wire.Do(r)
	if err != nil {
		return answer{Err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return answer{Status: resp.StatusCode, Header: resp.Header, Body: bytes.TrimSpace(b), Err: err}
}

func (c client) json(method, path string, body any, headers ...string) answer {
	c.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.call(method, path, "application/json", string(b), headers...)
}

// person is a signed-in browser.
type person struct{ cookie, csrf string }

func (p person) headers() []string {
	return []string{"Cookie", p.cookie, "X-CSRF-Token", p.csrf, "Origin", publicURL}
}

// signIn begins a browser session.
func (c client) signIn(email, password string) (person, answer) {
	a := c.json(http.MethodPost, "/console/api/login", map[string]any{"email": email, "password": base64.StdEncoding.EncodeToString([]byte(password))})
	var p person
	for _, cookie := range (&http.Response{Header: a.Header}).Cookies() {
		p.cookie += cookie.Name + "=" + cookie.Value + "; "
		if strings.HasSuffix(cookie.Name, "csrf_token") {
			p.csrf = cookie.Value
		}
	}
	return p, a
}

// owner signs the first account in, or ends the test.
func (c client) owner() person {
	c.t.Helper()
	p, a := c.signIn(ownerEmail, ownerPassword)
	if a.Status != http.StatusOK {
		c.t.Fatalf("sign-in: %d %s %v", a.Status, a.Body, a.Err)
	}
	return p
}

// codes are what a client holds while it waits.
type codes struct{ device, user string }

func (c client) code(label string) (codes, answer) {
	a := c.json(http.MethodPost, "/openapi/v1/oauth/device/code", map[string]string{"client_id": "difyctl", "device_label": label})
	return codes{a.text("device_code"), a.text("user_code")}, a
}

func (c client) mustCode(label string) codes {
	c.t.Helper()
	got, a := c.code(label)
	if a.Status != http.StatusOK {
		c.t.Fatalf("code: %d %s %v", a.Status, a.Body, a.Err)
	}
	return got
}

func (c client) poll(g codes) answer {
	return c.json(http.MethodPost, "/openapi/v1/oauth/device/token", map[string]string{"device_code": g.device, "client_id": "difyctl"})
}

// decide is "approve" or "deny".
func (c client) decide(p person, what string, g codes) answer {
	return c.json(http.MethodPost, "/openapi/v1/oauth/device/"+what, map[string]string{"user_code": g.user}, p.headers()...)
}

// login is a whole sign-in of a device, or the end of the test.
func (c client) login(p person, label string) (token, id string) {
	c.t.Helper()
	g := c.mustCode(label)
	if a := c.decide(p, "approve", g); a.Status != http.StatusOK {
		c.t.Fatalf("approve: %d %s %v", a.Status, a.Body, a.Err)
	}
	a := c.poll(g)
	if a.Status != http.StatusOK {
		c.t.Fatalf("poll: %d %s %v", a.Status, a.Body, a.Err)
	}
	return a.text("token"), a.text("token_id")
}

// bearer calls a route with a token.
func (c client) bearer(method, path, token string) answer {
	return c.call(method, path, "", "", "Authorization", "Bearer "+token)
}

// identity asks whom a token stands for.
func (c client) identity(token string) answer {
	return c.bearer(http.MethodGet, "/openapi/v1/account", token)
}

// logout ends the presented token.
func (c client) logout(token string) answer {
	return c.bearer(http.MethodDelete, "/openapi/v1/account/sessions/self", token)
}

// revokeSubject is the operator's kill.
func (p *process) revokeSubject(target map[string]string) answer {
	body := map[string]string{"reason": "test"}
	for k, v := range target {
		body[k] = v
	}
	return p.json(http.MethodPost, p.inner+"/inner/api/subjects/revoke", body, "X-Inner-Api-Key", operatorKey)
}
