// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

const (
	pxSamples = "../../../docs/operating/proxies/"
	pxCore    = "sso.example.com" // core itself
	pxAPI     = "api.example.com" // the API that core guards
)

// pxKinds are the proxies whose samples run here.
var pxKinds = []string{"nginx", "caddy"}

// pxTargets are what a proxy stands in front of.
type pxTargets struct{ core, inner, api, key string }

// pxProxy is a running proxy.
type pxProxy struct {
	kind    string
	address string
	tls     *tls.Config // nil: it speaks plain http
	log     *apitest.Buffer
	http    *http.Client
}

// pxBinary finds a proxy, or says how to get it. In CI a suite that is left out is a
// failure.
func pxBinary(t testing.TB, name string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("no %s: make deps installs it", name)
	}
	t.Skipf("no %s: make deps installs it", name)
	return ""
}

// pxStart runs a proxy with its documented sample, in which nothing but addresses,
// ports and paths is changed, until the test ends.
func pxStart(t testing.TB, kind string, to pxTargets) *pxProxy {
	t.Helper()
	if testing.Short() {
		t.Skip("proxies are not part of test-fast")
	}
	binary, dir := pxBinary(t, kind), t.TempDir()
	for attempt := 1; ; attempt++ {
		p := &pxProxy{kind: kind, address: pxFree(t), log: &apitest.Buffer{}}
		var cmd *exec.Cmd
		if kind == "nginx" {
			cmd = pxNginx(t, p, binary, dir, to)
		} else {
			cmd = pxCaddy(t, p, binary, dir, to)
		}
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, p.log, p.log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { defer close(ended); _ = cmd.Wait() }()
		if pxUp(p.address, ended) {
			t.Cleanup(func() { pxStop(t, p, cmd.Process, ended) })
			p.http = p.client(t)
			return p
		}
		if attempt == 3 { // otherwise somebody took the port first
			t.Fatalf("%s does not start:\n%s", kind, p.log.String())
		}
	}
}

func pxStop(t testing.TB, p *pxProxy, process *os.Process, ended chan struct{}) {
	_ = process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(htPatience):
		_ = process.Kill()
		<-ended
		t.Errorf("%s had to be killed", p.kind)
	}
	if t.Failed() {
		t.Logf("%s says:\n%s", p.kind, p.log.String())
	}
}

func pxFree(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// pxUp waits until the port answers or the process has ended.
func pxUp(address string, ended chan struct{}) bool {
	for end := time.Now().Add(htPatience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			return false
		default:
		}
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return true
		}
	}
	return false
}

// pxSample reads a sample and replaces what belongs to the machine. Each text must be
// there: a sample that says something else would run untested.
func pxSample(t testing.TB, name string, pairs ...string) string {
	t.Helper()
	content, err := os.ReadFile(pxSamples + name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for i := 0; i+1 < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%s does not hold %q", name, pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

func pxHost(url string) string { return strings.TrimPrefix(url, "http://") }

func pxWrite(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pxNginx puts the sample into an http block, as a distribution does, whose temporary
// files any user may write.
func pxNginx(t testing.TB, p *pxProxy, binary, dir string, to pxTargets) *exec.Cmd {
	certificate, key := pxCertificate(t, p, dir)
	sample := pxWrite(t, filepath.Join(dir, "dify-sso.conf"), pxSample(t, "nginx.conf",
		"listen 443 ssl", "listen "+p.address+" ssl", "server 127.0.0.1:5001", "server "+pxHost(to.core), "server 127.0.0.1:5002", "server "+pxHost(to.inner),
		"server 127.0.0.1:8080", "server "+pxHost(to.api), "/etc/nginx/dify-sso-key.conf", filepath.Join(dir, "key.conf"),
		"/etc/ssl/sso.example.com/fullchain.pem", certificate, "/etc/ssl/sso.example.com/privkey.pem", key,
		"/etc/ssl/api.example.com/fullchain.pem", certificate, "/etc/ssl/api.example.com/privkey.pem", key))
	pxWrite(t, filepath.Join(dir, "key.conf"), `proxy_set_header X-Inner-Api-Key "`+to.key+`";`+"\n")
	var around strings.Builder
	if os.Getuid() == 0 {
		around.WriteString("user root;\n") // its workers would not get into the directory of a test
	}
	around.WriteString("daemon off;\npid nginx.pid;\nerror_log stderr notice;\nworker_processes 1;\nevents { worker_connections 512; }\nhttp {\naccess_log off;\n")
	built, _ := exec.Command(binary, "-V").CombinedOutput()
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		if !bytes.Contains(built, []byte("--without-http_"+kind+"_module")) {
			fmt.Fprintf(&around, "%s_temp_path %s;\n", kind, filepath.Join(dir, kind))
		}
	}
	around.WriteString("include " + sample + ";\n}\n")
	return exec.Command(binary, "-p", dir, "-c", pxWrite(t, filepath.Join(dir, "nginx.conf"), around.String()))
}

// pxCaddy keeps what Caddy stores in the directory of the test.
func pxCaddy(t testing.TB, p *pxProxy, binary, dir string, to pxTargets) *exec.Cmd {
	// Without its admin endpoint, whose port may be that of another Caddy of this machine.
	sample := pxWrite(t, filepath.Join(dir, "Caddyfile"), "{\n\tadmin off\n}\n"+pxSample(t, "Caddyfile",
		"\n"+pxCore+" {", "\nhttp://"+pxCore+":"+pxPort(p.address)+" {\n\tbind 127.0.0.1", "\n"+pxAPI+" {", "\nhttp://"+pxAPI+":"+pxPort(p.address)+" {\n\tbind 127.0.0.1",
		"127.0.0.1:5001", pxHost(to.core), "127.0.0.1:5002", pxHost(to.inner), "127.0.0.1:8080", pxHost(to.api)))
	cmd := exec.Command(binary, "run", "--adapter", "caddyfile", "--config", sample)
	cmd.Env = []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "FORWARD_AUTH_KEY=" + to.key}
	return cmd
}

func pxPort(address string) string { _, port, _ := net.SplitHostPort(address); return port }

// pxCertificate makes a certificate for both names and has the test's clients trust it.
func pxCertificate(t testing.TB, p *pxProxy, dir string) (certificate, key string) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{pxCore, pxAPI}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	must(err)
	encoded, err := x509.MarshalECPrivateKey(private)
	must(err)
	parsed, err := x509.ParseCertificate(der)
	must(err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	p.tls = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return pxWrite(t, filepath.Join(dir, "cert.pem"), block("CERTIFICATE", der)), pxWrite(t, filepath.Join(dir, "cert.key"), block("EC PRIVATE KEY", encoded))
}

// dial opens a connection to one of the proxy's names.
func (p *pxProxy) dial(ctx context.Context, host string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.address)
	if err != nil || p.tls == nil {
		return conn, err
	}
	cfg := p.tls.Clone()
	cfg.ServerName = host
	return tls.Client(conn, cfg), nil
}

// open is dial for a test that writes bytes.
func (p *pxProxy) open(t testing.TB, host string) *htConn {
	t.Helper()
	conn, err := p.dial(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(htPatience)); err != nil {
		t.Fatal(err)
	}
	return &htConn{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// client resolves both names to the proxy.
func (p *pxProxy) client(t testing.TB) *http.Client {
	dial := func(ctx context.Context, _, address string) (net.Conn, error) {
		host, _, _ := net.SplitHostPort(address)
		return p.dial(ctx, host)
	}
	transport := &http.Transport{DialContext: dial, DialTLSContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Timeout: htPatience, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// do sends a request.
func (p *pxProxy) do(t testing.TB, req *http.Request) *http.Response {
	t.Helper()
	res, err := p.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// request makes one with headers given as name, value pairs.
func (p *pxProxy) request(t testing.TB, host, method, path, body string, headers ...string) *http.Request {
	t.Helper()
	scheme := "http://"
	if p.tls != nil {
		scheme = "https://"
	}
	req, err := http.NewRequestWithContext(t.Context(), method, scheme+host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header[headers[i]] = append(req.Header[headers[i]], headers[i+1]) // as it is written: some names are misspelt on purpose
	}
	return req
}

func (p *pxProxy) ask(t testing.TB, host, method, path, body string, headers ...string) apitest.Answer {
	t.Helper()
	res := p.do(t, p.request(t, host, method, path, body, headers...))
	return apitest.Answer{Status: res.StatusCode, Header: res.Header, Body: string(tkReadAll(t, res))}
}

// pxUpstream is the API behind a proxy. It answers with what it was asked.
type pxUpstream struct {
	*httptest.Server
	release chan struct{} // lets /stream go on

	mu   sync.Mutex
	seen []pxSeen
}

type pxSeen struct {
	method, path, body string
	header             http.Header
}

func pxServe(t testing.TB) *pxUpstream {
	t.Helper()
	u := &pxUpstream{release: make(chan struct{})}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			_, _ = io.WriteString(w, "first\n")
			w.(http.Flusher).Flush()
			select {
			case <-u.release:
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, "second\n")
			return
		}
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.seen = append(u.seen, pxSeen{r.Method, r.RequestURI, string(body), r.Header.Clone()})
		u.mu.Unlock()
		if r.URL.Path == "/fails" {
			http.Error(w, "the API's own failure", http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, "the API")
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *pxUpstream) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.seen)
}

func (u *pxUpstream) last(t testing.TB) pxSeen {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.seen) == 0 {
		t.Fatal("nothing has reached the API")
	}
	return u.seen[len(u.seen)-1]
}
