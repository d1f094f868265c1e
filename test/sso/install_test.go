// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// The first owner of every installation.
const (
	ownerEmail    = "ada@example.com"
	ownerPassword = "correct horse battery"
)

// install is an installation of the Enterprise Edition: one or more replicas of each
// service behind a front of each, which is what browsers and clients reach.
type install struct {
	t             testing.TB
	dir           string
	keys          string // the key-set file
	core, bridge  *front
	cores         []*service
	bridges       []*service
	coreEnviron   []string
	bridgeEnviron []string
	connections   string // the connections file
	innerBridge   string // where core looks for the bridge
}

// service is one replica.
type service struct {
	*process
	public, inner string // addresses
}

// front is a proxy whose backend a test may choose; replicas take turns otherwise.
type front struct {
	url   string
	hosts []*url.URL
	next  atomic.Int64
	// pin is the replica to use plus one; 0 takes turns.
	pin atomic.Int64
}

// newFront listens at a name of its own, so that core and bridge are two sites.
func newFront(t testing.TB, host string) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	f := &front{url: "http://" + net.JoinHostPort(host, port)}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		i := f.pin.Load() - 1
		if i < 0 {
			i = f.next.Add(1) % int64(len(f.hosts))
		}
		r.SetURL(f.hosts[i])
		r.Out.Host = r.In.Host
	}}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Else net/http closes the request's body when the answer begins, and a transport that
		// has not yet read that body's end closes its connection in mid-answer.
		_ = http.NewResponseController(w).EnableFullDuplex()
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return f
}

// plan says how an installation differs from one replica of each on embedded stores.
type plan struct {
	fleet         bool // Postgres and Redis
	stores        *ownServers
	replicas      int // of each service; 0 is 1
	core, bridge  []string
	connections   string // YAML below "connections:"; empty waits for configure
	withoutBridge bool
}

const bridgeSecret = "the secret key of the bridge in a test"

// newInstall prepares the stores, the key set and the owner, and serves.
func newInstall(t testing.TB, p plan) *install {
	t.Helper()
	in := &install{t: t, dir: t.TempDir(), core: newFront(t, "127.0.0.1"), bridge: newFront(t, "localhost")}
	in.keys = in.file("keyset.json", keySet())
	in.connections = in.file("connections.yaml", connectionsFile(p.connections))
	n := max(1, p.replicas)
	shared := []string{"KEYSET_FILE=" + in.keys, "CONSOLE_API_URL=" + in.core.url, "SSO_BRIDGE_PUBLIC_URL=" + in.bridge.url}
	innerCore, innerBridge := freePort(t, "127.0.0.1"), freePort(t, "127.0.0.1")
	in.coreEnviron = append([]string{"ENTERPRISE_ENABLED=true", "SSO_BRIDGE_URL=http://" + innerBridge}, shared...)
	in.bridgeEnviron = append([]string{"CORE_INNER_URL=http://" + innerCore, "CONNECTIONS_FILE=" + in.connections, "EGRESS_ALLOW=127.0.0.1,localhost"}, shared...)
	in.innerBridge = innerBridge
	switch {
	case p.stores != nil:
		in.on(p.stores)
	case p.fleet:
		in.onServers()
	default:
		in.coreEnviron = append(in.coreEnviron, "DATA_DIR="+filepath.Join(in.dir, "core"))
		in.bridgeEnviron = append(in.bridgeEnviron, "DATA_DIR="+filepath.Join(in.dir, "bridge"))
	}
	in.coreEnviron = append(in.coreEnviron, p.core...)
	in.bridgeEnviron = append(in.bridgeEnviron, p.bridge...)
	command(t, in.coreEnviron, ownerPassword+"\n", program(t, "core"),
		"admin", "create-owner", "--email", ownerEmail, "--name", "Ada", "--workspace", "Engines", "--password-file", "-")
	for i := range n {
		inner := innerCore
		if i > 0 {
			inner = freePort(t, "127.0.0.1")
		}
		in.cores = append(in.cores, in.serve("core", in.coreEnviron, inner))
	}
	in.core.hosts = backends(t, in.cores)
	if !p.withoutBridge {
		in.serveBridges(n)
	}
	return in
}

func (in *install) serveBridges(n int) {
	in.t.Helper()
	for i := range n {
		inner := in.innerBridge
		if i > 0 {
			inner = freePort(in.t, "127.0.0.1")
		}
		in.bridges = append(in.bridges, in.serve("sso-bridge", in.bridgeEnviron, inner))
	}
	in.bridge.hosts = backends(in.t, in.bridges)
}

// onServers gives each service a database and a key prefix of its own.
func (in *install) onServers() {
	t := in.t
	for name, environ := range map[string]*[]string{"core": &in.coreEnviron, "sso-bridge": &in.bridgeEnviron} {
		address, prefix := testserver.Redis(t)
		secret := "the secret key of core in a test, long enough"
		if name != "core" {
			secret = bridgeSecret
		}
		in.use(name, environ, secret, testserver.Postgres(t), address, prefix)
	}
}

// use has a service keep its data on servers, and makes its tables.
func (in *install) use(name string, environ *[]string, key, sql, redis, prefix string) {
	in.t.Helper()
	*environ = append(*environ, "DATABASE_URL="+sql, "DATABASE_MAX_CONNS=8", "REDIS_URL="+redis, "REDIS_KEY_PREFIX="+prefix,
		"SECRET_KEY="+key, "SEALING_KEY_FILE="+in.file(name+"-sealing.key", "k1:"+base64.StdEncoding.EncodeToString(random(32))+"\n"))
	command(in.t, *environ, "", program(in.t, name), "migrate", "up")
}

// serve starts one replica and waits until it is ready.
func (in *install) serve(name string, environ []string, inner string) *service {
	in.t.Helper()
	return in.serveAt(name, environ, freePort(in.t, "127.0.0.1"), inner)
}

func (in *install) serveAt(name string, environ []string, public, inner string) *service {
	in.t.Helper()
	s := &service{public: public, inner: inner}
	s.process = start(in.t, append(environ[:len(environ):len(environ)], "LISTEN="+public, "INNER_LISTEN="+inner), program(in.t, name), "serve")
	s.until("http://" + inner + "/readyz")
	return s
}

func backends(t testing.TB, list []*service) (hosts []*url.URL) {
	t.Helper()
	for _, s := range list {
		u, err := url.Parse("http://" + s.public)
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, u)
	}
	return hosts
}

func (in *install) file(name, content string) string {
	in.t.Helper()
	path := filepath.Join(in.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		in.t.Fatal(err)
	}
	return path
}

// logs is what every process has said.
func (in *install) logs() string {
	var all strings.Builder
	for _, s := range append(append([]*service{}, in.cores...), in.bridges...) {
		all.WriteString(s.said.String())
	}
	return all.String()
}

// operate runs a command of the bridge on the installation's stores.
func (in *install) operate(args ...string) string {
	in.t.Helper()
	return command(in.t, in.bridgeEnviron, "", program(in.t, "sso-bridge"), args...)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// keySet is the content of a fresh key-set file.
func keySet() string {
	content, err := json.Marshal(map[string]any{"version": 1, "active": "k1", "keys": []map[string]string{
		{"kid": "k1", "secret": base64.RawURLEncoding.EncodeToString(random(32)), "created_at": "2026-11-01T00:00:00Z"},
	}})
	if err != nil {
		panic(err)
	}
	return string(content)
}

// provider is npm oidc-provider as a process.
type provider struct {
	*process
	issuer, secret string
}

// newProvider starts one whose client may return to a bridge's addresses; more are
// variables of provider.mjs.
func newProvider(t testing.TB, redirects []string, more ...string) *provider {
	t.Helper()
	modules, err := filepath.Abs(filepath.Join("..", "..", ".cache", "oidc-provider"))
	if err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("OIDC_PROVIDER"); dir != "" {
		modules = dir
	}
	if _, err := os.Stat(filepath.Join(modules, "node_modules", "oidc-provider")); err != nil {
		testserver.Missing(t, "npm oidc-provider", err)
	}
	script, err := filepath.Abs(filepath.Join("provider", "provider.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	address := freePort(t, "127.0.0.1")
	p := &provider{issuer: "http://" + address, secret: "a client secret of a test, 0123456789"}
	environ := append([]string{"MODULES=" + modules, "LISTEN=" + address, "ISSUER=" + p.issuer, "SECRET=" + p.secret, "REDIRECTS=" + strings.Join(redirects, " ")}, more...)
	p.process = start(t, environ, "node", script)
	p.until(p.issuer + "/.well-known/openid-configuration")
	return p
}

// connection is the YAML of a connection to the provider, enabled at once; more are
// lines of YAML of the connection, oidc of its oidc block.
func (p *provider) connection(in *install, id string, oidc []string, more ...string) string {
	secret := in.file("secret-"+id, p.secret)
	lines := []string{
		"  - id: " + id, "    name: " + strings.ToUpper(id[:1]) + id[1:], "    preset: generic-oidc", "    enable: force", "    reason: a connection of a test",
		"    intents: [device_flow]", "    oidc:", "      issuer: " + p.issuer, "      client_id: bridge", "      scopes: [openid, email, profile, groups]",
	}
	if !strings.Contains(strings.Join(oidc, " "), "private_key") {
		lines = append(lines, "      client_secret_file: "+secret)
	}
	for _, line := range oidc {
		lines = append(lines, "      "+line)
	}
	for _, line := range more {
		lines = append(lines, "    "+line)
	}
	return strings.Join(lines, "\n") + "\n"
}

// callback is where a provider sends the browser back to.
func (in *install) callback(id string) string { return in.bridge.url + "/sso/oidc/callback/" + id }

func connectionsFile(list string) string {
	if list == "" {
		return "version: 1\nconnections: []\n"
	}
	return "version: 1\nconnections:\n" + list
}

// configure writes the connections file and has every bridge read it.
func (in *install) configure(connections ...string) {
	in.t.Helper()
	in.file("connections.yaml", connectionsFile(strings.Join(connections, "")))
	for _, b := range in.bridges {
		before := strings.Count(b.said.String(), reconciled)
		b.signal(hangUp)
		deadline := time.Now().Add(20 * time.Second)
		for strings.Count(b.said.String(), reconciled) == before {
			if time.Now().After(deadline) {
				in.t.Fatalf("the bridge does not read its connections:\n%s", b.said)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// describe is for failures.
func (in *install) describe() string { return fmt.Sprintf("%s\n", in.logs()) }
