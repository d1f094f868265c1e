// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/cli"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/servertest"
)

// says runs a login that fails, and looks whether it says one sentence in both forms.
func says(t *testing.T, host, dir string, transport http.RoundTripper, exit int, code, sentence string) {
	t.Helper()
	run := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		got := cli.Run(append([]string{"login", "--host", host}, args...), cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
			Environ: []string{"DIFYAUTH_CONFIG_DIR=" + dir}, Transport: transport, Hostname: os.Hostname})
		if got != exit {
			t.Errorf("exit %d, want %d: %s", got, exit, errs.String())
		}
		if strings.ContainsAny(errs.String(), "\x1b\r") {
			t.Errorf("%q", errs.String())
		}
		return errs.String()
	}
	text := run()
	if !strings.Contains(text, sentence) || strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "difyauth: ") || !strings.Contains(text, ": ") {
		t.Errorf("says %s\nwant %s", text, sentence)
	}
	var line struct {
		Error struct{ Code, Message string }
	}
	if got := run("-o", "json"); json.Unmarshal([]byte(got), &line) != nil || strings.Count(got, "\n") != 1 || line.Error.Code != code || !strings.Contains(line.Error.Message, sentence) {
		t.Errorf("says %s\nwant %s, %s", got, code, sentence)
	}
}

// certified serves https with a certificate of its own, and gives a transport that trusts
// it if trusted.
func certified(t *testing.T, name string, from, to time.Time, trusted bool) (string, http.RoundTripper) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(servertest.New())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	if trusted {
		pool.AddCert(cert)
	}
	return s.URL, &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
}

// Whatever keeps a connection from coming about is told in one sentence with the next
// step. On real sockets: the errors are those of net, crypto/tls and net/http.
func TestEveryFailedConnectionSaysWhatToDo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "difyauth")
	now, hour := time.Now(), time.Hour
	t.Run("a certificate of an unknown authority", func(t *testing.T) {
		at, tr := certified(t, "127.0.0.1", now.Add(-hour), now.Add(hour), false)
		says(t, at, dir, tr, 1, "certificate", "is signed by an authority that this machine does not know: check the address, or install")
	})
	t.Run("a certificate that ended", func(t *testing.T) {
		at, tr := certified(t, "127.0.0.1", now.Add(-2*hour), now.Add(-hour), true)
		says(t, at, dir, tr, 1, "certificate", ": set the clock right, or ask who runs the server to renew it")
	})
	t.Run("a clock that is behind", func(t *testing.T) {
		at, tr := certified(t, "127.0.0.1", now.Add(hour), now.Add(2*hour), true)
		says(t, at, dir, tr, 1, "certificate", "begins only at ")
	})
	t.Run("a certificate for another name", func(t *testing.T) {
		at, tr := certified(t, "other.example.com", now.Add(-hour), now.Add(hour), true)
		says(t, at, dir, tr, 1, "certificate", "is for other.example.com: check the address")
	})
	t.Run("http to an https port", func(t *testing.T) {
		at, tr := certified(t, "127.0.0.1", now.Add(-hour), now.Add(hour), true)
		says(t, strings.Replace(at, "https:", "http:", 1), dir, tr, 1, "bad_answer", "refuses a request without encryption: write https:// in place of http://")
	})
	t.Run("https to an http port", func(t *testing.T) {
		s := httptest.NewServer(servertest.New())
		defer s.Close()
		says(t, strings.Replace(s.URL, "http:", "https:", 1), dir, nil, 1, "unreachable", "does not speak https: check the port")
	})
	t.Run("refused", func(t *testing.T) {
		says(t, "https://127.0.0.1:1", dir, nil, 1, "unreachable", "nothing answers at https://127.0.0.1:1 (connection refused): check the address and port")
	})
	proxy := func(at string) http.RoundTripper {
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		tr, ok := cli.Network().(*http.Transport)
		if !ok {
			t.Fatal("no transport")
		}
		tr.Proxy = http.ProxyURL(u)
		return tr
	}
	t.Run("a proxy that is not there", func(t *testing.T) {
		says(t, "https://sso.example.com", dir, proxy("http://127.0.0.1:1"), 1, "proxy", "cannot be reached (")
	})
	for status, sentence := range map[int]string{407: "wants a name and a password: put them into HTTPS_PROXY, or sso.example.com into NO_PROXY", 403: "refuses (403 Forbidden): check HTTPS_PROXY, or put sso.example.com into NO_PROXY"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		defer s.Close()
		t.Run("a proxy that answers "+http.StatusText(status), func(t *testing.T) {
			says(t, "https://sso.example.com", dir, proxy(s.URL), 1, "proxy", sentence)
		})
	}
}

// fails is a transport that never gets through.
type fails struct{ err error }

func (f fails) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

type answers struct {
	status int
	header http.Header
	body   string
}

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.WriteString(a.body)
	res := w.Result()
	res.Request = r
	return res, nil
}

func TestEveryFailureSaysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		name           string
		transport      http.RoundTripper
		exit           int
		code, sentence string
	}{
		{"a name that does not exist", fails{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "sso.example.com", IsNotFound: true}}}, 1, "unreachable", "no server is known by the name sso.example.com: check the address for a slip, and your network or VPN"},
		{"a name server that is silent", fails{&net.DNSError{Err: "server misbehaving", Name: "sso.example.com", IsTemporary: true}}, 1, "unreachable", "the name sso.example.com could not be looked up (server misbehaving): check your network"},
		{"too slow", fails{os.ErrDeadlineExceeded}, 1, "unreachable", "does not answer in time: check"},
		{"cut", fails{io.ErrUnexpectedEOF}, 1, "unreachable", "does not answer (unexpected EOF): check"},
		{"old TLS", fails{tls.AlertError(70)}, 1, "tls", "refuses the encrypted connection (tls: protocol version not supported): ask who runs it"},
		{"no API", answers{status: 404, body: `{"code":"not_found","message":"Not found","status":404}`}, 1, "no_api", "there is no sign-in API at https://sso.example.com: check the address, or ask who runs it whether OPENAPI_ENABLED is true"},
		{"switched off", answers{status: 503, body: `{"code":"bearer_auth_disabled","message":"x","status":503}`}, 1, "bearer_auth_disabled", "ask who runs it to set ENABLE_OAUTH_BEARER=true"},
		{"its store is down", answers{status: 503, header: http.Header{"Retry-After": {"2"}}, body: `{"code":"service_unavailable","status":503}`}, 1, "unavailable", "try again in 2 seconds"},
		{"too many", answers{status: 429, header: http.Header{"Retry-After": {"60"}}, body: `{"code":"too_many_requests","status":429}`}, 7, "rate_limited", "has had too many requests: try again in 60 seconds"},
		{"a plain proxy that wants a password", answers{status: 407}, 1, "proxy", "wants a name and a password"},
		{"another site", answers{status: 200, body: "<html>"}, 1, "bad_answer", "does not answer as a dify-sso server does"},
		{"an unknown client", answers{status: 400, body: `{"error":"unsupported_client"}`}, 1, "unsupported_client", "add difyauth to OPENAPI_KNOWN_CLIENT_IDS"},
		{"denied", answers{status: 400, body: `{"error":"access_denied"}`}, 4, "access_denied", "was refused in the browser: run difyauth login again if that was a mistake"},
		{"expired", answers{status: 400, body: `{"error":"expired_token"}`}, 4, "expired_token", "run difyauth login again for a new one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			says(t, servertest.Origin, filepath.Join(t.TempDir(), "difyauth"), c.transport, c.exit, c.code, c.sentence)
		})
	}
}

// Real full disks and read-only file systems need more rights than a test has.
func TestEveryFailureOfTheDiskSaysWhatToDo(t *testing.T) {
	for errno, sentence := range map[error]string{
		syscall.ENOSPC: "the disk that /c is on is full: make room, or set DIFYAUTH_CONFIG_DIR",
		syscall.EROFS:  "/c is on a disk that cannot be written to: set DIFYAUTH_CONFIG_DIR",
		syscall.EACCES: "/c may not be used by you: make it yours (chown), or set DIFYAUTH_CONFIG_DIR",
		syscall.EIO:    "/c cannot be used (open /c: input/output error): set DIFYAUTH_CONFIG_DIR",
	} {
		code, said := cli.Explain(&os.PathError{Op: "open", Path: "/c", Err: errno})
		if code != "not_stored" || !strings.Contains(said, sentence) {
			t.Errorf("%v: %s, %s", errno, code, said)
		}
	}
	if code, said := cli.Explain(errors.New("a\x1b[31m")); code != "failed" || strings.Contains(said, "\x1b") {
		t.Error(code, said)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// Before anybody is troubled: the transport would fail otherwise.
	says(t, servertest.Origin, filepath.Join(file, "difyauth"), fails{errors.New("asked")}, 1, "not_stored", "set DIFYAUTH_CONFIG_DIR to")
}
