// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/replay"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
)

// Bridge stands in for sso-bridge: it admits core's requests as the real one does and
// signs what it is told. It speaks to no identity provider.
type Bridge struct {
	// URL is its public address and that of its second listener.
	URL string
	// KeysetFile is the file that core reads too.
	KeysetFile string
	Keys       *keyset.Ring

	core   string // origin
	now    func() time.Time
	used   *replay.Memory
	server *httptest.Server

	mu     sync.Mutex
	orders []Order
	calls  []string
	answer func(w http.ResponseWriter, r *http.Request) bool
	list   string
}

// Order is what core asked a login for.
type Order struct {
	Intent         string `json:"intent"`
	UserCodeDigest string `json:"user_code_digest"`
	Nonce          string `json:"nonce"`
	Binding        string `json:"binding"`
	ReturnTo       string `json:"return_to"`
	Connection     string `json:"connection"`
	Email          string `json:"email"`
	Fresh          bool   `json:"force_authn"`
	Locale         string `json:"locale"`
	RequestID      string `json:"request_id"`

	Reference, StartURL string `json:"-"`
}

// The connection of a Bridge, and what it lists.
const (
	Connection     = "corp"
	ConnectionName = "Corp"
	oneConnection  = `{"mode":"single","connections":[{"id":"corp","name":"Corp","button":"Sign in with Corp","protocol":"oidc"}]}`
)

// StartEnterprise runs a server of the Enterprise Edition beside a Bridge.
func StartEnterprise(t testing.TB, options ...Option) (*Server, *Bridge) {
	t.Helper()
	b := NewBridge(t)
	s := Start(t, append([]Option{b.Option()}, options...)...)
	b.Serves(s)
	return s, b
}

// NewBridge runs a Bridge until the test ends.
func NewBridge(t testing.TB) *Bridge {
	t.Helper()
	var raw [32]byte
	_, _ = rand.Read(raw[:])
	b := &Bridge{KeysetFile: filepath.Join(t.TempDir(), "keyset.json"), Keys: keyset.NewRing(keyset.Fixed("k1", map[string][]byte{"k1": raw[:]})), list: oneConnection}
	file := fmt.Sprintf(`{"version":1,"active":"k1","keys":[{"kid":"k1","secret":%q,"created_at":"2026-01-01T00:00:00Z"}]}`, base64.RawURLEncoding.EncodeToString(raw[:]))
	if err := os.WriteFile(b.KeysetFile, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.server = httptest.NewUnstartedServer(http.HandlerFunc(b.serve))
	_ = b.server.Listener.Close()
	b.server.Listener = l
	b.server.Start()
	b.URL = "http://" + l.Addr().String()
	t.Cleanup(b.server.Close)
	return b
}

// Option gives core the settings of the Enterprise Edition.
func (b *Bridge) Option() Option {
	return func(s *Server) {
		for key, value := range map[string]string{
			"ENTERPRISE_ENABLED": "true", "SSO_BRIDGE_URL": b.URL, "SSO_BRIDGE_PUBLIC_URL": b.URL, "KEYSET_FILE": b.KeysetFile, "SSO_BRIDGE_TIMEOUT": "1s",
		} {
			if _, given := s.settings[key]; !given {
				s.settings[key] = value
			}
		}
	}
}

// Serves names the core that asks.
func (b *Bridge) Serves(s *Server) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.core, b.now = s.URL, s.Clock.Now
	b.used = replay.NewMemory(10_000, s.Clock.Now)
}

// Answer puts a handler before the bridge's own; one that returns false has not answered.
// Nil takes it away.
func (b *Bridge) Answer(f func(w http.ResponseWriter, r *http.Request) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = f
}

// Refuse makes the bridge answer every login with a status and a code.
func (b *Bridge) Refuse(status int, code string) {
	b.Answer(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		refuse(w, status, code)
		return true
	})
}

// List is the body of the list of connections.
func (b *Bridge) List(body string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = body
}

// Last is the newest order.
func (b *Bridge) Last(t testing.TB) Order {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.orders) == 0 {
		t.Fatal("core has begun no login")
	}
	return b.orders[len(b.orders)-1]
}

// Orders counts the logins that were begun.
func (b *Bridge) Orders() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.orders)
}

// Calls counts the requests that arrived, answered or not.
func (b *Bridge) Calls() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.calls)
}

// Close makes the bridge answer nobody any more.
func (b *Bridge) Close() { b.server.Close() }

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"code":%q,"message":"no","status":%d}`, code, status)
}

func (b *Bridge) serve(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.calls = append(b.calls, r.Method+" "+r.URL.RequestURI())
	answer, list, used := b.answer, b.list, b.used
	inner, err := envelope.NewInner(envelope.Deps{Keys: b.Keys, Audience: envelope.CoreToBridge, Issuer: b.core, Now: b.now})
	b.mu.Unlock()
	body, readErr := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil || readErr != nil {
		refuse(w, http.StatusInternalServerError, "internal_server_error")
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if answer != nil && answer(w, r) {
		return
	}
	if err := inner.Admit(r.Context(), used, r.Header["Authorization"], r.Method, r.URL.RequestURI(), body); err != nil {
		refuse(w, http.StatusUnauthorized, err.Error())
		return
	}
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/inner/api/sso/login-attempts":
		b.begin(w, body)
	case r.Method == http.MethodGet && r.URL.RequestURI() == "/inner/api/sso/connections?intent=device_flow":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, list)
	default:
		refuse(w, http.StatusNotFound, "not_found")
	}
}

func (b *Bridge) begin(w http.ResponseWriter, body []byte) {
	var o Order
	if err := json.Unmarshal(body, &o); err != nil {
		refuse(w, http.StatusUnprocessableEntity, "invalid_param")
		return
	}
	o.Reference, o.StartURL = ssocode.NewReference(), b.URL+"/sso/start/"+secret.Random()
	b.mu.Lock()
	b.orders = append(b.orders, o)
	b.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"attempt_id": "0190a1b2-0000-7000-8000-000000000001", "reference": o.Reference, "start_url": o.StartURL, "expires_at": "2026-01-01T00:15:00Z",
	})
}

// External is somebody whom the bridge's identity provider knows.
type External struct{ Issuer, ID, Email, Name string }

// Grace is one of them.
var Grace = External{Issuer: "https://login.corp.example", ID: "grace-1", Email: "grace@corp.example", Name: "Grace"}

// Claims are those of an assertion that ends an order.
func (b *Bridge) Claims(o Order, who External) envelope.ExternalSubjectClaims {
	return envelope.ExternalSubjectClaims{
		Connection: Connection, ConnectionName: ConnectionName, Attempt: o.Reference, UserCodeDigest: o.UserCodeDigest, Nonce: o.Nonce, Binding: o.Binding,
		SubjectType: envelope.SubjectExternal, Issuer: who.Issuer, Subject: who.ID, Email: who.Email, EmailVerified: true, Name: who.Name,
	}
}

// Sign makes an assertion of claims.
func (b *Bridge) Sign(t testing.TB, c envelope.ExternalSubjectClaims) string {
	t.Helper()
	codec, err := envelope.New[envelope.ExternalSubjectClaims](envelope.Deps{Keys: b.Keys, Audience: envelope.ExternalSubject, Issuer: b.URL, Now: b.now})
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := codec.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Assert is Sign of Claims.
func (b *Bridge) Assert(t testing.TB, o Order, who External) string {
	t.Helper()
	return b.Sign(t, b.Claims(o, who))
}

// DevicePath is where the cookies of a company sign-in go to.
const DevicePath = "/openapi/v1/oauth/device"

// Initiate follows the link of the page /device to a company sign-in, no further.
func (b *Browser) Initiate(query string) Answer {
	b.t.Helper()
	return send(b.t, b.http, b.s.URL, http.MethodGet, DevicePath+"/sso-initiate?"+query, "", "Accept", "text/html", "Sec-Fetch-Site", "same-origin")
}

// Complete brings an assertion back from the bridge, no further.
func (b *Browser) Complete(assertion string) Answer {
	b.t.Helper()
	return send(b.t, b.http, b.s.URL, http.MethodGet, DevicePath+"/sso-complete?sso_assertion="+url.QueryEscape(assertion), "", "Accept", "text/html", "Sec-Fetch-Site", "cross-site")
}

// DeviceCookie gives the value of a cookie that goes to DevicePath alone.
func (b *Browser) DeviceCookie(name string) string {
	u, _ := url.Parse(b.s.URL + DevicePath)
	for _, c := range b.http.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// SetDeviceCookie plants one.
func (b *Browser) SetDeviceCookie(name, value string) {
	u, _ := url.Parse(b.s.URL + DevicePath)
	b.http.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: DevicePath}})
}

// DecideExternal approves or denies as a script of the approval grant's holder does.
func (b *Browser) DecideExternal(act, userCode, csrf string) Answer {
	b.t.Helper()
	return b.Call(http.MethodPost, DevicePath+"/"+act+"-external", encode(b.t, map[string]string{"user_code": userCode}),
		"Content-Type", "application/json", "Origin", b.s.URL, "X-CSRF-Token", csrf)
}
