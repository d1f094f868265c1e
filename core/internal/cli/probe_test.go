// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/cli"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// front is what stands before a core: it passes on what answer leaves alone.
type front struct {
	url    string
	core   *apitest.Server
	answer atomic.Pointer[func(w http.ResponseWriter, r *http.Request) (done bool)]
}

// newFront starts a core whose public address is that of the proxy before it.
func newFront(t *testing.T, options ...apitest.Option) *front {
	t.Helper()
	f := &front{}
	var proxy *httputil.ReverseProxy
	outer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := f.answer.Load(); answer != nil && (*answer)(w, r) {
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(outer.Close)
	f.url = outer.URL
	f.core = apitest.Start(t, append(options, apitest.Embedded(), apitest.Set("CONSOLE_API_URL", f.url))...)
	to, err := url.Parse(f.core.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy = httputil.NewSingleHostReverseProxy(to)
	return f
}

// only changes what one path is answered with.
func (f *front) only(path string, answer http.HandlerFunc) {
	f.answer.Store(new(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path {
			return false
		}
		answer(w, r)
		return true
	}))
}

// runProbe runs the command. It has no settings: the environment is empty.
func runProbe(t *testing.T, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := cli.Run(append([]string{"probe"}, args...), cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Version: "1.2.3"})
	return result{code: code, out: out.String(), err: errs.String()}
}

func passwordFile(t *testing.T, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func asOwner(t *testing.T) []string {
	return []string{"--email", apitest.OwnerEmail, "--password-file", passwordFile(t, apitest.OwnerPassword)}
}

const strangers = "health ready version metadata closed code"

func TestProbe(t *testing.T) {
	f := newFront(t)
	for _, tc := range []struct {
		name, steps string
		account     bool
		args        []string
	}{
		{"a stranger goes as far as a code", strangers + " pending", false, []string{f.url}},
		{"an account signs in and out", strangers + " sign-in approve token account logout dead sign-out", true, append([]string{f.url}, asOwner(t)...)},
		{"past the proxy, under the public address", strangers + " sign-in approve token account logout dead sign-out", true, append([]string{f.url, "--via", f.core.URL}, asOwner(t)...)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := runProbe(t, append(tc.args, "-o", "json")...)
			var answer struct {
				OK       bool
				Address  string
				SignedIn bool `json:"signed_in"`
				Steps    []struct {
					Step string
					OK   bool
				}
			}
			if err := json.Unmarshal([]byte(got.out), &answer); err != nil || got.code != 0 || !answer.OK || answer.SignedIn != tc.account || answer.Address != f.url {
				t.Fatalf("exit %d: %s%s%v", got.code, got.out, got.err, err)
			}
			var names []string
			for _, s := range answer.Steps {
				names = append(names, s.Step)
			}
			if strings.Join(names, " ") != tc.steps {
				t.Errorf("steps %v", names)
			}
		})
	}
	t.Run("the account stands in two files", func(t *testing.T) {
		got := runProbe(t, f.url, "--email-file", passwordFile(t, apitest.OwnerEmail), "--password-file", passwordFile(t, apitest.OwnerPassword))
		if got.code != 0 || !strings.Contains(got.out, "Signed in and out") {
			t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
		}
	})
	t.Run("a person reads lines with times", func(t *testing.T) {
		got := runProbe(t, f.url)
		if got.code != 0 || !regexp.MustCompile(`(?m)^ok   health  +\d+ ms$`).MatchString(got.out) || !strings.Contains(got.out, "With --email and --password-file the probe signs in.") {
			t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
		}
	})
	t.Run("nothing stays behind", func(t *testing.T) {
		b := f.core.At(f.url).SignedIn(t)
		if list, _ := b.Call(http.MethodGet, "/console/api/sessions", "").JSON(t)["sessions"].([]any); len(list) != 1 {
			t.Errorf("browser sessions beside that of this test: %v", list)
		}
	})
}

func TestProbeMeetsHTTPS(t *testing.T) {
	pair := apitest.NewCertificate(t, 7, time.Hour)
	s := apitest.Start(t, apitest.Embedded(), apitest.OverTLS(pair))
	t.Run("a root that is named is trusted", func(t *testing.T) {
		if got := runProbe(t, append([]string{s.URL, "--ca-file", apitest.AuthorityFile(t)}, asOwner(t)...)...); got.code != 0 {
			t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
		}
	})
	t.Run("a certificate that nobody here trusts", func(t *testing.T) {
		if got := runProbe(t, s.URL); got.code != 1 || !strings.Contains(got.out, "FAIL health") || !strings.Contains(got.out, "--ca-file") {
			t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
		}
	})
	t.Run("names in a certificate that would steer a terminal", func(t *testing.T) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		of := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"a\x1b]0;owned\x07"}}
		der, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		hostile := httptest.NewUnstartedServer(http.NotFoundHandler())
		hostile.Config.ErrorLog = log.New(io.Discard, "", 0)
		hostile.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
		hostile.StartTLS()
		defer hostile.Close()
		got := runProbe(t, strings.Replace(hostile.URL, "127.0.0.1", "localhost", 1))
		if got.code != 1 || strings.ContainsAny(got.out+got.err, "\x1b\x07") || !strings.Contains(got.out, "owned") {
			t.Errorf("exit %d: %q", got.code, got.out+got.err)
		}
	})
	t.Run("http at a port that speaks https", func(t *testing.T) {
		if got := runProbe(t, strings.Replace(s.URL, "https://", "http://", 1)); got.code != 1 || !strings.Contains(got.out, "scheme of the address") {
			t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
		}
	})
}

func TestProbeSaysWhatToLookAt(t *testing.T) {
	f := newFront(t)
	says := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	refusing := func(status int, code string) http.HandlerFunc {
		return says(status, "application/json", fmt.Sprintf(`{"code":%q,"message":"No.","status":%d}`, code, status))
	}
	const v1 = "/openapi/v1"
	for _, tc := range []struct {
		name, path string
		answer     http.HandlerFunc
		step, look string
	}{
		{"a page of something else", v1 + "/_health", says(200, "text/html", "<html>"), "health", "Something else answers"},
		{"an empty object", v1 + "/_health", says(200, "application/json", "{}"), "health", "Something else answers"},
		{"no such route", v1 + "/_version", says(404, "text/html", "no"), "version", "routes of the proxy"},
		{"a proxy without a server", v1 + "/_health", says(502, "text/html", "bad gateway"), "health", "no core to pass on to"},
		{"a store is down", v1 + "/_ready", refusing(503, "service_unavailable"), "ready", "/readyz on INNER_LISTEN"},
		{"another public address", "/.well-known/oauth-authorization-server", says(200, "application/json", `{"issuer":"https://other.example"}`), "metadata", "CONSOLE_API_URL"},
		{"another resource", "/.well-known/oauth-protected-resource" + v1, says(200, "application/json", `{"resource":"x"}`), "metadata", "CONSOLE_API_URL"},
		{"INN-07 an inner route at the public address", "/inner/api/subjects/revoke", refusing(401, "unauthorized"), "closed", "INNER_LISTEN"},
		{"INN-07 metrics at the public address", "/metrics", says(200, "text/plain", "up 1"), "closed", "INNER_LISTEN"},
		{"INN-07 health at the public address", "/healthz", says(200, "application/json", `{"ok":true}`), "closed", "INNER_LISTEN"},
		{"INN-07 readiness at the public address", "/readyz", says(503, "application/json", `{}`), "closed", "INNER_LISTEN"},
		{"INN-07 profiles at the public address", "/debug/pprof/goroutine", says(200, "application/octet-stream", "x"), "closed", "INNER_LISTEN"},
		{"a refusal that repeats what was sent", "/console/api/login", says(400, "application/json", `{"code":"x","message":"no `+apitest.OwnerPassword+`, no `+base64.StdEncoding.EncodeToString([]byte(apitest.OwnerPassword))+`"}`), "sign-in", "redacted"},
		{"too often", v1 + "/oauth/device/code", refusing(429, "too_many_requests"), "code", "Probe less often"},
		{"bearers are off", v1 + "/oauth/device/code", refusing(503, "bearer_auth_disabled"), "code", "ENABLE_OAUTH_BEARER"},
		{"a link to another place", v1 + "/oauth/device/code", says(200, "application/json", `{"device_code":"d","user_code":"u","verification_uri":"https://other.example/device","expires_in":60}`), "code", "CONSOLE_API_URL"},
		{"a wrong password", "/console/api/login", refusing(401, "invalid_credentials"), "sign-in", "set-password"},
		{"no cookie comes through", "/console/api/login", says(200, "application/json", "{}"), "sign-in", "Something else"},
		{"another origin", v1 + "/oauth/device/approve", refusing(403, "origin_not_allowed"), "approve", "changes the header Origin"},
		{"a code that is lost", v1 + "/oauth/device/token", says(400, "application/json", `{"error":"expired_token"}`), "token", "REDIS_URL"},
		{"a refusal", v1 + "/oauth/device/token", says(400, "application/json", `{"error":"access_denied"}`), "token", "is the account active"},
		{"a token that is not taken", v1 + "/account", refusing(401, "unauthorized"), "account", "do all replicas share"},
		{"somebody else's token", v1 + "/account", says(200, "application/json", `{"subject_email":"eve@example.com"}`), "account", "Nothing answers|log"},
		{"a token that lives on", v1 + "/account/sessions/self", says(200, "application/json", `{"status":"revoked"}`), "dead", "each other's revocations"},
		{"a session that lives on", "/console/api/logout", says(200, "application/json", `{"result":"success"}`), "sign-out", "browser session"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f.only(tc.path, tc.answer)
			defer f.answer.Store(nil)
			got := runProbe(t, append([]string{f.url}, asOwner(t)...)...)
			if got.code != 1 || !regexp.MustCompile(`(?m)^FAIL `+tc.step+` `).MatchString(got.out) || !regexp.MustCompile(tc.look).MatchString(got.out) || !strings.Contains(got.err, "at step "+tc.step) {
				t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
			}
			if all := got.out + got.err; strings.Contains(all, apitest.OwnerPassword) || strings.Contains(all, base64.StdEncoding.EncodeToString([]byte(apitest.OwnerPassword))) {
				t.Error("the password is in the output")
			}
			// Each run decides a code, and the limit is ten in an hour.
			f.core.Clock.Advance(time.Hour)
		})
	}
	t.Run("what others answer in place of our own is no leak", func(t *testing.T) {
		for _, answer := range []http.HandlerFunc{says(200, "text/html; charset=utf-8", "a front end"), says(403, "text/plain", "no"), http.RedirectHandler("/signin", http.StatusFound).ServeHTTP} {
			f.only("/metrics", answer)
			if got := runProbe(t, f.url); got.code != 0 {
				t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
			}
		}
		f.answer.Store(nil)
	})
}

func TestProbeOfRealRefusals(t *testing.T) {
	f := newFront(t)
	fails := func(t *testing.T, step, look string, args ...string) {
		t.Helper()
		if got := runProbe(t, append([]string{f.url}, args...)...); got.code != 1 || !strings.Contains(got.out, "FAIL "+step) || !strings.Contains(got.out, look) {
			t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
		}
	}
	t.Run("a wrong password", func(t *testing.T) {
		fails(t, "sign-in", "core admin set-password", "--email", apitest.OwnerEmail, "--password-file", passwordFile(t, "another one"))
	})
	t.Run("a client that is not known", func(t *testing.T) { fails(t, "code", "OPENAPI_KNOWN_CLIENT_IDS", "--client-id", "nobody") })
	t.Run("time is over", func(t *testing.T) {
		f.only("/openapi/v1/_version", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		defer f.answer.Store(nil)
		fails(t, "version", "times of the steps", "--timeout", "2s")
	})
	t.Run("a token is ended although the time is over", func(t *testing.T) {
		f.only("/openapi/v1/account", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		defer f.answer.Store(nil)
		fails(t, "account", "times of the steps", append(asOwner(t), "--timeout", "3s")...)
		if got := run(t, f.core.Dir, "", "admin", "tokens", "list", "--email", apitest.OwnerEmail, "-o", "json"); got.code != 0 || !strings.Contains(got.out, `"data":[]`) {
			t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
		}
	})
	t.Run("an account that is banned", func(t *testing.T) {
		const email, password = "probe@example.com", "probably a probe"
		admin := func(args ...string) {
			t.Helper()
			if got := run(t, f.core.Dir, password+"\n", append([]string{"admin"}, args...)...); got.code != 0 {
				t.Fatal(got.err)
			}
		}
		admin("create-account", "--email", email, "--name", "Probe", "--password-file", "-")
		if got := runProbe(t, f.url, "--email", email, "--password-file", passwordFile(t, password)); got.code != 0 {
			t.Errorf("an account of no workspace is enough: exit %d: %s%s", got.code, got.out, got.err)
		}
		admin("set-status", email, "banned")
		fails(t, "sign-in", "not active", "--email", email, "--password-file", passwordFile(t, password))
	})
	t.Run("nobody listens", func(t *testing.T) {
		port, err := testserver.FreePort("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if got := runProbe(t, "http://127.0.0.1:"+port); got.code != 1 || !strings.Contains(got.out, "Nothing answers") {
			t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
		}
	})
}

func TestProbeIsAskedWrongly(t *testing.T) {
	empty := passwordFile(t, "")
	for name, tc := range map[string]struct {
		says string
		args []string
	}{
		"no address":             {"arguments given", nil},
		"an address with a path": {"must be an origin", []string{"https://sso.example.com/console"}},
		"no password":            {"together", []string{"https://sso.example.com", "--email", "a@example.com"}},
		"no e-mail":              {"together", []string{"https://sso.example.com", "--password-file", empty}},
		"an empty password":      {"first line is empty", []string{"https://sso.example.com", "--email", "a@example.com", "--password-file", empty}},
		"a password in clear":    {"without encryption", append([]string{"http://sso.example.com"}, asOwner(t)...)},
		"no e-mail in its file":  {"--email-file: the first line is empty", []string{"https://sso.example.com", "--email-file", empty, "--password-file", empty}},
		"no time":                {"--timeout", []string{"https://sso.example.com", "--timeout", "0s"}},
		"no roots":               {"--ca-file", []string{"https://sso.example.com", "--ca-file", empty}},
		"a detour to nowhere":    {"--via", []string{"https://sso.example.com", "--via", "core"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := runProbe(t, tc.args...); got.code != 2 || !strings.Contains(got.err, tc.says) {
				t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
			}
		})
	}
}
