// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/doctor"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// authority makes certificates that it alone vouches for.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T, end time.Time) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key}
	a.cert = a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotAfter: end, Subject: pkix.Name{CommonName: "authority"}}, &key.PublicKey)
	return a
}

func (a *authority) sign(c *x509.Certificate, key *ecdsa.PublicKey) *x509.Certificate {
	a.t.Helper()
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-100 * 24 * time.Hour)
	}
	parent := a.cert
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return made
}

func (a *authority) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// serving serves TLS with a certificate for a host until an end.
func (a *authority) serving(host string, end time.Time, h http.Handler) *url.URL {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{NotAfter: end, DNSNames: []string{host}}
	if ip := net.ParseIP(host); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	leaf := a.sign(template, &key.PublicKey)
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	s.Config.ErrorLog = quiet
	s.StartTLS()
	a.t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		a.t.Fatal(err)
	}
	return u
}

const probe = "/openapi/v1/_version"

// ours is a service as it should be: its own path, and nothing of the second listener.
var ours = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != probe {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write([]byte("ours"))
})

func look(t *testing.T, u *url.URL, roots *x509.CertPool, change func(p *doctor.Public)) []doctor.Finding {
	t.Helper()
	p := doctor.Public{Setting: "CONSOLE_API_URL", URL: u, Path: probe, Roots: roots, Now: time.Now, Ours: func(status int, body []byte) (bool, string) {
		switch string(body) {
		case "ours":
			return false, ""
		case "older":
			return true, "It is of another version."
		}
		return false, "It is somebody else."
	}}
	if change != nil {
		change(&p)
	}
	found := p.Look(t.Context())
	sentences(t, found)
	return found
}

func TestPublicAddress(t *testing.T) {
	a := newAuthority(t, time.Now().Add(1000*24*time.Hour))
	later := func(d int) time.Time { return time.Now().Add(time.Duration(d)*24*time.Hour + time.Hour) }
	t.Run("as it should be", func(t *testing.T) {
		found := look(t, a.serving("127.0.0.1", later(90), ours), a.roots(), nil)
		says(t, found, doctor.AddressName, doctor.OK, "resolves")
		says(t, found, doctor.AddressTLS, doctor.OK, "good for 90 days")
		says(t, found, doctor.AddressOurs, doctor.OK, "this service")
		says(t, found, doctor.AddressInner, doctor.OK, "not reached")
	})
	t.Run("a certificate that ends soon", func(t *testing.T) {
		says(t, look(t, a.serving("127.0.0.1", later(13), ours), a.roots(), nil), doctor.AddressTLS, doctor.Warn, "ends in 13 days")
	})
	t.Run("a certificate that has ended", func(t *testing.T) {
		says(t, look(t, a.serving("127.0.0.1", later(-2), ours), a.roots(), nil), doctor.AddressTLS, doctor.Fail, "not good at this time")
	})
	t.Run("a certificate for another host", func(t *testing.T) {
		says(t, look(t, a.serving("other.example", later(90), ours), a.roots(), nil), doctor.AddressTLS, doctor.Fail, "another host")
	})
	t.Run("a certificate of somebody's own authority", func(t *testing.T) {
		says(t, look(t, a.serving("127.0.0.1", later(90), ours), nil, nil), doctor.AddressTLS, doctor.Fail, "does not trust")
	})
	t.Run("no TLS where there should be", func(t *testing.T) {
		s := httptest.NewServer(ours)
		t.Cleanup(s.Close)
		u, _ := url.Parse("https" + strings.TrimPrefix(s.URL, "http"))
		says(t, look(t, u, nil, nil), doctor.AddressTLS, doctor.Fail, "TLS at CONSOLE_API_URL fails")
	})
	plain := func(h http.HandlerFunc) *url.URL {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		u, _ := url.Parse(s.URL)
		return u
	}
	t.Run("somebody else", func(t *testing.T) {
		u := plain(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("kanarie")) })
		found := look(t, u, nil, nil)
		says(t, found, doctor.AddressOurs, doctor.Fail, "somebody else")
		says(t, found, doctor.AddressInner, doctor.Fail, "/metrics")
		if strings.Contains(fmt.Sprint(found), "kanarie") {
			t.Errorf("an answer is repeated: %v", found)
		}
	})
	t.Run("another version", func(t *testing.T) {
		u := plain(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != probe {
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write([]byte("older"))
		})
		says(t, look(t, u, nil, nil), doctor.AddressOurs, doctor.Warn, "another version")
	})
	t.Run("the second listener is behind the proxy too", func(t *testing.T) {
		u := plain(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/inner/api/subjects/revoke" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			ours(w, r)
		})
		says(t, look(t, u, nil, nil), doctor.AddressInner, doctor.Fail, "/inner/api/subjects/revoke is not 404")
	})
	t.Run("a proxy that breaks off", func(t *testing.T) {
		u := plain(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != probe {
				panic(http.ErrAbortHandler)
			}
			ours(w, r)
		})
		says(t, look(t, u, nil, nil), doctor.AddressInner, doctor.Warn, "could not be asked")
	})
	t.Run("a name that nobody knows", func(t *testing.T) {
		found := look(t, &url.URL{Scheme: "https", Host: "sso.example.com"}, nil, func(p *doctor.Public) {
			p.Resolve = func(context.Context, string) ([]string, error) { return nil, errors.New("none") }
		})
		says(t, found, doctor.AddressName, doctor.Fail, "does not resolve")
	})
	t.Run("nobody listens", func(t *testing.T) {
		port, err := testserver.FreePort("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		says(t, look(t, &url.URL{Scheme: "http", Host: "127.0.0.1:" + port}, nil, nil), doctor.AddressOurs, doctor.Fail, "the connection is refused")
	})
}

func TestCertificatesOfFiles(t *testing.T) {
	now := time.Now()
	file := func(name string, end time.Time) string {
		path := filepath.Join(t.TempDir(), name)
		content := []byte("none")
		if !end.IsZero() {
			content = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: newAuthority(t, end).cert.Raw})
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one := func(path string) []doctor.Finding {
		return doctor.JudgeRoots(map[string]string{"REDIS_CA_FILE": path, "OTHER_CA_FILE": ""}, now)
	}
	says(t, one(file("good", now.Add(365*24*time.Hour+time.Hour))), doctor.CertificateRoots, doctor.OK, "365 days")
	says(t, one(file("soon", now.Add(25*time.Hour))), doctor.CertificateRoots, doctor.Warn, "ends in 1 days")
	says(t, one(file("over", now.Add(-time.Hour))), doctor.CertificateRoots, doctor.Fail, "ended on")
	says(t, one(file("none", time.Time{})), doctor.CertificateRoots, doctor.Fail, "no certificate")
	says(t, one(filepath.Join(t.TempDir(), "gone")), doctor.CertificateRoots, doctor.Fail, "cannot be read")
	says(t, one(""), doctor.CertificateRoots, doctor.Skipped, "No setting")

	says(t, doctor.JudgeOwn(nil, nil, now), doctor.CertificateOwn, doctor.Skipped, "not set")
	says(t, doctor.JudgeOwn(nil, errors.New("it is no pair"), now), doctor.CertificateOwn, doctor.Fail, "it is no pair")
	says(t, doctor.JudgeOwn(newAuthority(t, now.Add(3*24*time.Hour+time.Hour)).cert, nil, now), doctor.CertificateOwn, doctor.Warn, "ends in 3 days")
	says(t, doctor.JudgeOwn(newAuthority(t, now.Add(300*24*time.Hour)).cert, nil, now.Add(-1000*24*time.Hour)), doctor.CertificateOwn, doctor.Fail, "begins on")
}

func TestTheMachine(t *testing.T) {
	https, loopback := &url.URL{Scheme: "https", Host: "sso.example.com"}, &url.URL{Scheme: "http", Host: "127.0.0.1:5001"}
	says(t, doctor.JudgeProxies(https, "CONSOLE_API_URL", 0, false), doctor.Proxies, doctor.Warn, "share the address of the proxy")
	says(t, doctor.JudgeProxies(https, "CONSOLE_API_URL", 1, false), doctor.Proxies, doctor.OK, "counts")
	says(t, doctor.JudgeProxies(https, "CONSOLE_API_URL", 0, true), doctor.Proxies, doctor.OK, "No proxy")
	says(t, doctor.JudgeProxies(loopback, "CONSOLE_API_URL", 0, false), doctor.Proxies, doctor.OK, "No proxy")

	room := func(n uint64) func(string) (uint64, bool) { return func(string) (uint64, bool) { return n, true } }
	dir := t.TempDir()
	mode := func(m os.FileMode) []doctor.Finding {
		if err := os.Chmod(dir, m); err != nil {
			t.Fatal(err)
		}
		return doctor.JudgeDataDir(dir, room(1<<40))
	}
	says(t, mode(0o777), doctor.DataDirectory, doctor.Fail, "mode 0777")
	says(t, mode(0o755), doctor.DataDirectory, doctor.Warn, "mode 0755")
	says(t, mode(0o770), doctor.DataDirectory, doctor.Warn, "group may write")
	says(t, mode(0o700), doctor.DataDirectory, doctor.OK, "belongs to its user")
	says(t, mode(0o700), doctor.DataSpace, doctor.OK, "MiB")
	says(t, doctor.JudgeDataDir(dir, room(1<<29)), doctor.DataSpace, doctor.Warn, "512 MiB")
	says(t, doctor.JudgeDataDir(dir, room(1<<20)), doctor.DataSpace, doctor.Fail, "1 MiB")
	says(t, doctor.JudgeDataDir(dir, func(string) (uint64, bool) { return 0, false }), doctor.DataSpace, doctor.Skipped, "does not tell")
	says(t, doctor.JudgeDataDir("", nil), doctor.DataDirectory, doctor.Skipped, "DATABASE_URL")
	says(t, doctor.JudgeDataDir(filepath.Join(dir, "gone"), nil), doctor.DataDirectory, doctor.Warn, "does not exist")
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	says(t, doctor.JudgeDataDir(file, nil), doctor.DataDirectory, doctor.Fail, "no directory")
	if free, ok := doctor.FreeSpace(dir); !ok || free == 0 {
		t.Skip("this system tells nothing of its file systems")
	}

	says(t, doctor.JudgeModes(map[string]string{"KEYSET_FILE": file}), doctor.FilesModes, doctor.OK, "KEYSET_FILE")
	says(t, doctor.JudgeModes(nil), doctor.FilesModes, doctor.Skipped, "No setting")
	says(t, doctor.JudgeModes(map[string]string{"KEYSET_FILE": file + "x"}), doctor.FilesModes, doctor.Fail, "cannot be looked at")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := struct {
		Key secret.Text `env:"SECRET_KEY"`
		Dir string      `env:"DATA_DIR"`
	}{}
	files := doctor.SecretFiles(&cfg, []string{"SECRET_KEY_FILE=" + file, "DATA_DIR_FILE=x", "OTHER=1"}, map[string]string{"TLS_KEY_FILE": "", "KEYSET_FILE": file})
	if len(files) != 2 || files["SECRET_KEY_FILE"] != file {
		t.Errorf("%v", files)
	}
	says(t, doctor.JudgeModes(map[string]string{"SECRET_KEY_FILE": file}), doctor.FilesModes, doctor.Fail, "mode 0644")

	limit := func(n uint64) func() (uint64, bool) { return func() (uint64, bool) { return n, true } }
	says(t, doctor.JudgeLimit(limit(1024), 10_000, 16), doctor.FilesLimit, doctor.Warn, "1024 files")
	says(t, doctor.JudgeLimit(limit(20_000), 10_000, 16), doctor.FilesLimit, doctor.OK, "20000 files")
	says(t, doctor.JudgeLimit(func() (uint64, bool) { return 0, false }, 1, 1), doctor.FilesLimit, doctor.Skipped, "does not tell")

	says(t, doctor.JudgeSettings(nil), doctor.Settings, doctor.OK, "hold")
	says(t, doctor.JudgeSettings([]string{"PPROF_ENABLED=true: memory"}), doctor.Settings, doctor.Warn, "PPROF_ENABLED")
	says(t, doctor.SettingProblems(config.Problems{{Key: "LISTEN", Text: "must be host:port"}}), doctor.Settings, doctor.Fail, "LISTEN: must be host:port")
	says(t, doctor.SettingProblems(errors.New("configuration file: gone")), doctor.Settings, doctor.Fail, "gone")
}

func TestReplicasAndThePeer(t *testing.T) {
	answer := func(r server.Readiness, date time.Time, err error) doctor.Asked {
		return func(context.Context, string) (server.Readiness, time.Time, error) { return r, date, err }
	}
	ready := server.Readiness{Checks: map[string]string{"sql": server.CheckOK}, Keyset: "abc"}
	not := server.Readiness{Checks: map[string]string{"sql": "unavailable"}, Keyset: "xyz"}
	now := time.Now()
	replica := func(a doctor.Asked, named bool) []doctor.Finding {
		return doctor.Replica(t.Context(), a, "x", "abc", named)
	}
	says(t, replica(answer(ready, now, nil), true), doctor.ReplicaReady, doctor.OK, "ready")
	says(t, replica(answer(ready, now, nil), true), doctor.ReplicaKeyset, doctor.OK, "KEYSET_FILE")
	says(t, replica(answer(ready, now.Add(time.Minute), nil), true), doctor.Clock, doctor.Fail, "ahead")
	says(t, replica(answer(not, now, nil), true), doctor.ReplicaReady, doctor.Fail, "sql: unavailable")
	says(t, replica(answer(not, now, nil), true), doctor.ReplicaKeyset, doctor.Fail, "another key set")
	says(t, replica(answer(server.Readiness{}, now, errors.New("gone")), true), doctor.ReplicaReady, doctor.Fail, "gone")
	says(t, replica(answer(server.Readiness{}, now, errors.New("gone")), false), doctor.ReplicaReady, doctor.Warn, "gone")

	peer := func(a doctor.Asked) []doctor.Finding {
		return doctor.Peer(t.Context(), a, "x", "core", "CORE_INNER_URL", "abc")
	}
	says(t, peer(answer(ready, now, nil)), doctor.KeysetPeer, doctor.OK, "same")
	says(t, peer(answer(ready, now.Add(-time.Minute), nil)), doctor.Clock, doctor.Fail, "behind")
	says(t, peer(answer(not, now, nil)), doctor.KeysetPeer, doctor.Fail, "another key set")
	says(t, peer(answer(server.Readiness{Checks: ready.Checks}, now, nil)), doctor.KeysetPeer, doctor.Fail, "no key set")
	says(t, peer(answer(ready, now, errors.New("gone"))), doctor.KeysetPeer, doctor.Fail, "gone")

	for status, want := range map[int]struct {
		doctor.Status
		words string
	}{200: {doctor.OK, "takes"}, 422: {doctor.OK, "takes"}, 401: {doctor.Fail, "refuses"}, 403: {doctor.Fail, "refuses"}, 404: {doctor.Fail, "does not know"}, 503: {doctor.Fail, "503"}} {
		says(t, doctor.Signed("core", "CORE_INNER_URL", status, "Bearer kanarie", nil), doctor.KeysetSigned, want.Status, want.words)
	}
	if found := doctor.Signed("core", "CORE_INNER_URL", 401, "Bearer kanarie", nil); strings.Contains(fmt.Sprint(found), "kanarie") {
		t.Errorf("%v", found)
	}
	says(t, doctor.Signed("core", "CORE_INNER_URL", 401, "inner_bad_token", nil), doctor.KeysetSigned, doctor.Fail, "(inner_bad_token)")
	says(t, doctor.Signed("core", "CORE_INNER_URL", 0, "", context.DeadlineExceeded), doctor.KeysetSigned, doctor.Fail, "in time")

	t.Run("a name that stands for several", func(t *testing.T) {
		resolve := func(context.Context, string) ([]string, error) {
			return []string{"10.0.0.2", "10.0.0.1", "fd00::1", "10.0.0.1"}, nil
		}
		got, err := doctor.Replicas(t.Context(), "core-headless:5002", true, resolve)
		if err != nil || strings.Join(got, " ") != "https://10.0.0.1:5002/readyz https://10.0.0.2:5002/readyz https://[fd00::1]:5002/readyz" {
			t.Errorf("%v, %v", got, err)
		}
		got, err = doctor.Replicas(t.Context(), "http://one:5002/", true, func(context.Context, string) ([]string, error) { return nil, errors.New("none") })
		if err != nil || strings.Join(got, " ") != "http://one:5002/readyz" {
			t.Errorf("%v, %v", got, err)
		}
		for _, wrong := range []string{"", "http://", "ftp://x", "http://u:p@x", "x/y", "http://x?y"} {
			if got, err := doctor.Replicas(t.Context(), wrong, false, resolve); err == nil {
				t.Errorf("%q is taken: %v", wrong, got)
			}
		}
	})
}
