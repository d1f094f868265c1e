// SPDX-License-Identifier: Apache-2.0

package followed

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// vocabulary makes the commands that documents are written in: the three words, which ask
// this test, and both programs with the settings of their servers.
func (w *World) vocabulary() {
	t := w.t
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked := word{name: strings.Trim(r.URL.Path, "/"), value: r.URL.Query().Get("of"), done: make(chan error, 1)}
		select {
		case w.asked <- asked:
		case <-r.Context().Done():
			return
		}
		if err := <-asked.done; err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
		}
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })

	bin := filepath.Join(w.dir, "bin")
	w.folder(bin)
	put := func(name, script string) {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"restart", "reload", "hand_out", "stop", "start"} {
		put(name, `exec curl -sS --fail-with-body -G -o /dev/stderr --data-urlencode "of=$1" http://`+l.Addr().String()+"/"+name)
	}
	for _, s := range w.services {
		put(s.program, `set -a; . "$SETTINGS/`+s.settings+`"; set +a
eval "${OVERRIDE-}"
exec "`+process.Program(t, s.program)+`" "$@"`)
	}
	w.Environ = append(w.Environ, "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+w.dir, "SECRETS="+w.Secrets, "SETTINGS="+w.Settings, "CORES=", "BRIDGES=",
		"BACKUP="+w.Backup, "VAULT="+w.Vault, "CORE_DATA="+w.Data("core"), "BRIDGE_DATA="+w.Data("bridge"))
	if w.postgres != nil {
		w.Environ = append(w.Environ, "ADMIN_URL="+w.postgres.URL(), "REDIS_ADMIN="+w.redis.URL())
	}
}

// Follow executes one block and does meanwhile what its words ask for. A command that
// fails ends the test.
func (w *World) Follow(t testing.TB, script string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepLimit)
	defer cancel()
	if out, err := w.follow(ctx, script); err != nil {
		t.Fatalf("%v of\n%s\nwhich said\n%s", err, script, out)
	}
}

// follow keeps the words on the goroutine of the test, which alone may end it.
func (w *World) follow(ctx context.Context, script string, settings ...string) (out string, err error) {
	environ := slices.Concat(w.Environ, []string{"OVERRIDE=export FOLLOWED=1 " + strings.Join(settings, " ")})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		out, err = execute(ctx, environ, script)
	}()
	for {
		select {
		case <-ended:
			return out, err
		case asked := <-w.asked:
			asked.done <- w.do(asked)
		}
	}
}

func (w *World) do(asked word) error {
	if asked.name == "hand_out" {
		for _, c := range w.callers {
			if strings.HasPrefix(asked.value, c.file) { // a further id has a file beside it
				c.key.Store(c.credential(asked.value, w.Read(asked.value)))
				return nil
			}
		}
		return fmt.Errorf("nobody calls with %s", asked.value)
	}
	s := w.services[asked.value]
	if s == nil {
		return fmt.Errorf("%s of no service: %q", asked.name, asked.value)
	}
	switch asked.name {
	case "reload":
		s.signal(syscall.SIGHUP)
	case "restart":
		for i := range s.processes {
			w.halt(s, i)
			if err := w.start(s, i); err != nil {
				return err
			}
		}
	case "stop":
		for i := range s.processes {
			w.halt(s, i)
		}
	case "start":
		for i := range s.processes {
			if err := w.start(s, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// halt takes a process from its fronts and ends it, as an orchestrator does.
func (w *World) halt(s *service, i int) {
	s.public.leave(i)
	s.inner.leave(i)
	s.processes[i].Stop(readyLimit)
}

// call adds the services that call core with keys of their own.
func (w *World) call(search string) {
	inner := func(method, path, body string) func(ctx context.Context, key string) (*http.Request, error) {
		return func(ctx context.Context, key string) (*http.Request, error) {
			r, err := http.NewRequestWithContext(ctx, method, w.innerCore.address+path, strings.NewReader(body))
			if err != nil {
				return nil, err
			}
			r.Header.Set("X-Inner-Api-Key", key)
			if body != "" {
				r.Header.Set("Content-Type", "application/json")
				return r, nil
			}
			r.Header.Set("Authorization", "Bearer "+w.Token)
			return r, nil
		}
	}
	introspect := func(ctx context.Context, key string) (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.core.address+"/openapi/v1/oauth/introspect", strings.NewReader(url.Values{"token": {w.Token}}.Encode()))
		if err != nil {
			return nil, err
		}
		id, secret, _ := strings.Cut(key, ":")
		r.SetBasicAuth(id, secret)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r, nil
	}
	const nobody = `{"issuer":"https://nobody.example","subject_id":"nobody","reason":"load","actor":"cli:load"}`
	w.callers = []*Caller{
		{name: "proxy", file: w.secret("core/forward-auth-key"), ask: inner(http.MethodGet, "/inner/api/auth/verify", "")},
		{name: "operator", file: w.secret("core/operator-api-key"), ask: inner(http.MethodPost, "/inner/api/subjects/revoke", nobody)},
		{name: "introspection", file: w.secret("core/search"), ask: introspect},
	}
	for _, c := range w.callers {
		c.client = &http.Client{Transport: clients, Timeout: 30 * time.Second}
	}
	w.callers[0].key.Store(w.Read(w.callers[0].file))
	w.callers[1].key.Store(w.Read(w.callers[1].file))
	w.callers[2].key.Store("search:" + search)
}

// credential is what a service sends of a file: of introspection the name is the id.
func (c *Caller) credential(file, content string) string {
	if c.name == "introspection" {
		return filepath.Base(file) + ":" + content
	}
	return content
}

// Caller gives one by its name: proxy, operator or introspection.
func (w *World) Caller(name string) *Caller {
	w.t.Helper()
	for _, c := range w.callers {
		if c.name == name {
			return c
		}
	}
	w.t.Fatalf("no caller %q", name)
	return nil
}

// Key is what it calls with now.
func (c *Caller) Key() string { return c.key.Load().(string) }

// certificate gives core a pair, and the settings that name it.
func (w *World) certificate() []string {
	w.NewPair("tls")
	return []string{"TLS_CERT_FILE=" + w.secret("core/tls.crt"), "TLS_KEY_FILE=" + w.secret("core/tls.key")}
}

// NewPair puts NAME.crt and NAME.key beside core's secrets and gives the serial number.
func (w *World) NewPair(name string) string {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	number, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: "core"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.t.Fatal(err)
	}
	for suffix, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		w.Write(w.secret("core/"+name+suffix), string(pem.EncodeToMemory(block)))
	}
	return number.String()
}

// serial is that of the certificate which a listener shows.
func serial(t testing.TB, address string) string {
	t.Helper()
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Ready is what both services say of their key set, process by process.
func (w *World) Ready() (fingerprints []string) {
	w.t.Helper()
	for _, s := range w.services {
		for _, h := range s.inner.hosts {
			answer, err := (&http.Client{Transport: s.inner.through, Timeout: 30 * time.Second}).Get(h.url.JoinPath("/readyz").String())
			if err != nil {
				w.t.Fatal(err)
			}
			var text bytes.Buffer
			_, err = text.ReadFrom(answer.Body)
			_ = answer.Body.Close()
			if err != nil {
				w.t.Fatal(err)
			}
			_, after, _ := strings.Cut(text.String(), `"keyset_fingerprint":"`)
			mark, _, _ := strings.Cut(after, `"`)
			fingerprints = append(fingerprints, mark)
		}
	}
	return fingerprints
}
