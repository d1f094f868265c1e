// SPDX-License-Identifier: Apache-2.0

package followed

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// The first owner of every installation.
const (
	Email    = "ada@example.com"
	Password = "correct horse battery"
)

// World is an installation of the Enterprise Edition with its provider, and the three
// words that its operator's commands are made of: restart, reload and hand_out.
type World struct {
	// Secrets and Settings are the directories that the documents call so.
	Secrets, Settings string
	// Backup and Vault are where copies of databases and of keys lie.
	Backup, Vault string
	// Token was fetched before anything is done.
	Token string
	// Environ is what commands run with.
	Environ []string

	t            testing.TB
	dir          string
	postgres     *testserver.PostgresServer
	redis        *testserver.RedisServer
	core, bridge *front
	innerCore    *front
	innerBridge  *front
	services     map[string]*service
	callers      []*Caller
	asked        chan word
	devices      atomic.Int64
}

// service is the processes of one program.
type service struct {
	program, settings string // the latter is its file in Settings
	scheme            string
	public, inner     *front
	processes         []*process.Process
}

// word is a call of one of the three.
type word struct {
	name, value string
	done        chan error
}

// Plan says which installation it is.
type Plan struct {
	Embedded bool // one process each, on SQLite; else two on Postgres and Redis
	TLS      bool // core serves https itself
}

// New installs both services, lets the owner and a connection in, and serves.
func New(t testing.TB, p Plan) *World {
	t.Helper()
	w := &World{t: t, dir: t.TempDir(), asked: make(chan word), core: newFront(t, "127.0.0.1"), bridge: newFront(t, "localhost")}
	w.innerCore, w.innerBridge = newFront(t, "127.0.0.1"), newFront(t, "127.0.0.1")
	w.Secrets, w.Settings = filepath.Join(w.dir, "secrets"), filepath.Join(w.dir, "settings")
	w.Backup, w.Vault = filepath.Join(w.dir, "backup"), filepath.Join(w.dir, "vault")
	for _, path := range []string{w.Settings, w.Backup, w.Vault} {
		w.folder(path)
	}
	scheme := "http"
	process.Do(t, nil, "", process.Program(t, "core"), "secrets", "init", "--directory", w.Secrets, "--enterprise")
	var core []string
	if p.TLS {
		scheme, core = "https", w.certificate()
		w.NewPair("front")
		w.core.open(w.secret("core/front.crt"), w.secret("core/front.key"))
	} else {
		w.core.open("", "")
	}
	for _, f := range []*front{w.bridge, w.innerCore, w.innerBridge} {
		f.open("", "")
	}
	w.services = map[string]*service{
		"core":       {program: "core", settings: "core.env", scheme: scheme, public: w.core, inner: w.innerCore},
		"sso-bridge": {program: "sso-bridge", settings: "bridge.env", scheme: "http", public: w.bridge, inner: w.innerBridge},
	}
	shared := []string{"KEYSET_FILE=" + w.secret("keyset.json"), "CONSOLE_API_URL=" + w.core.address, "SSO_BRIDGE_PUBLIC_URL=" + w.bridge.address, "OTEL_EXPORTER_OTLP_ENDPOINT="}
	core = append(core, append([]string{"ENTERPRISE_ENABLED=true", "SSO_BRIDGE_URL=" + w.innerBridge.address, "RATE_LIMITS=" + off(
		"device.code.addr", "device.lookup.addr", "device.poll.addr", "device.decide.account", "bearer.token", "account.read", "console.login.addr", "console.login.pair",
		"console.login.email", "oauth.introspect.client", "sso.initiate.addr", "sso.initiate.browser", "sso.complete.addr", "sso.context.addr", "sso.decide.subject")}, shared...)...)
	core = append(core, w.keys("core", "forward-auth-key", "operator-api-key")...)
	search := drawn()
	core = append(core, "INTROSPECTION_CLIENTS=search:"+digest(search))
	bridge := append([]string{"CORE_INNER_URL=" + w.innerCore.address, "EGRESS_ALLOW=127.0.0.1", "RATE_LIMITS=" + off("bridge.start.addr", "bridge.callback.addr", "bridge.error.addr")}, shared...)
	replicas := 2
	if p.Embedded {
		replicas = 1
		core, bridge = append(core, "DATA_DIR="+w.Data("core")), append(bridge, "DATA_DIR="+w.Data("bridge"))
	} else {
		w.stores()
		core, bridge = append(core, w.given("core")...), append(bridge, w.given("bridge")...)
	}
	w.Write(filepath.Join(w.Settings, "core.env"), lines(core))
	w.Write(filepath.Join(w.Settings, "bridge.env"), lines(bridge))
	w.vocabulary()
	w.call(search)
	if !p.Embedded {
		w.Follow(w.t, "core migrate up\nsso-bridge migrate up")
	}
	w.owner()
	w.connection()
	for _, s := range w.services {
		for range replicas {
			w.add(s)
		}
	}
	w.Environ = append(w.Environ, "CORES="+w.replicas("core"), "BRIDGES="+w.replicas("sso-bridge"))
	w.Token = w.Login()
	return w
}

// Login signs the owner in on a device of theirs and gives its token.
func (w *World) Login() string {
	w.t.Helper()
	token, err := w.Person(w.t.Context()).Login(w.t.Context(), "a laptop")
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func off(limits ...string) string { return strings.Join(limits, "=0,") + "=0" }

func lines(list []string) string { return strings.Join(list, "\n") + "\n" }

func drawn() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func (w *World) secret(name string) string { return filepath.Join(w.Secrets, name) }

// Data is the directory of an embedded service.
func (w *World) Data(name string) string { return filepath.Join(w.dir, "data-"+name) }

func (w *World) folder(path string) {
	w.t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		w.t.Fatal(err)
	}
}

// Write puts a file of the operator in place.
func (w *World) Write(path, content string) {
	w.t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// Read gives the content of one.
func (w *World) Read(path string) string {
	w.t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

// keys draws keys of the second listener and names their files, and those of former ones.
func (w *World) keys(service string, names ...string) (settings []string) {
	for _, name := range names {
		w.Write(w.secret(service+"/"+name), drawn()+"\n")
		w.Write(w.secret(service+"/"+name+"-previous"), "")
		key := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		settings = append(settings, key+"_FILE="+w.secret(service+"/"+name), key+"_PREVIOUS_FILE="+w.secret(service+"/"+name+"-previous"))
	}
	return settings
}

// given are the settings of a service on servers: its files as "core secrets init" has
// made them.
func (w *World) given(name string) []string {
	w.Write(w.secret(folder(name)+"/secret-key-previous"), "")
	return []string{
		"SECRET_KEY_FILE=" + w.secret(folder(name)+"/secret-key"), "SECRET_KEY_PREVIOUS_FILE=" + w.secret(folder(name)+"/secret-key-previous"), "SEALING_KEY_FILE=" + w.secret(folder(name)+"/sealing-key"),
		"DATABASE_URL_FILE=" + w.secret(folder(name)+"/database-url"), "REDIS_URL_FILE=" + w.secret(folder(name)+"/redis-url"), "REDIS_KEY_PREFIX=" + name + ":", "DATABASE_MAX_CONNS=8",
	}
}

// folder is where "core secrets init" puts the secrets of a service.
func folder(name string) string {
	if name == "bridge" {
		return "sso-bridge"
	}
	return name
}

// stores starts both servers, with a role and a user for each service and passwords that
// are looked at.
func (w *World) stores() {
	t := w.t
	w.postgres, w.redis = testserver.StartPostgres(t), testserver.StartRedis(t)
	for _, tool := range []string{"psql", "pg_dump", "pg_restore", "createdb", "redis-cli", "jq", "curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			testserver.Missing(t, tool, err)
		}
	}
	hba := strings.TrimSpace(w.SQL("SHOW hba_file"))
	w.Write(hba, "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
	w.SQL("SELECT pg_reload_conf()")
	for _, name := range []string{"core", "bridge"} {
		role, password, secret := "dify_sso_"+name, drawn(), drawn()
		w.SQL("CREATE ROLE " + role + " LOGIN PASSWORD '" + password + "'")
		w.SQL("CREATE DATABASE " + role + " OWNER " + role)
		w.Write(w.secret(folder(name)+"/database-url"), w.address(role, password, role)+"\n")
		w.Write(w.secret(folder(name)+"/redis-url"), "redis://"+name+":"+secret+"@"+w.redis.Addr+"\n")
		cmd := exec.Command("redis-cli", "-u", w.redis.URL())
		cmd.Stdin = strings.NewReader("ACL SETUSER " + name + " on >" + secret + " resetchannels resetkeys ~" + name + ":* -@all +@read +@write +@scripting +@connection +time -@dangerous +info\n")
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "OK" {
			t.Fatalf("a user of Redis: %v %s", err, out)
		}
	}
}

func (w *World) address(role, password, database string) string {
	u, err := url.Parse(w.postgres.URL())
	if err != nil {
		w.t.Fatal(err)
	}
	u.User, u.Path = url.UserPassword(role, password), "/"+database
	return u.String()
}

// SQL asks the server as its superuser.
func (w *World) SQL(statement string) string {
	w.t.Helper()
	out, err := exec.Command("psql", "-Atq", "-v", "ON_ERROR_STOP=1", "-c", statement, w.postgres.URL()).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v %s", statement, err, out)
	}
	return string(out)
}

func (w *World) owner() {
	w.t.Helper()
	w.Write(filepath.Join(w.dir, "password"), Password+"\n")
	w.Follow(w.t, "core admin create-owner --email "+Email+" --name Ada --workspace Engines --password-file "+filepath.Join(w.dir, "password"))
}

// connection starts the provider and connects it by commands, so that its secret is sealed
// in the database and declared nowhere.
func (w *World) connection() {
	w.t.Helper()
	address, secret := process.Free(w.t, "127.0.0.1"), drawn()
	p := process.Start(w.t, []string{"DEVIDP_CLIENT_SECRET=" + secret}, process.Program(w.t, "devidp"), "--listen", address, "--redirect-uri", w.bridge.address+"/sso/oidc/callback/dev")
	p.Until("http://" + address + "/.well-known/openid-configuration")
	w.Write(filepath.Join(w.dir, "client-secret"), secret+"\n")
	w.Follow(w.t, "sso-bridge connection create --preset generic-oidc --id dev --name Corp --issuer http://"+address+
		" --client-id dify-sso --client-secret-file "+filepath.Join(w.dir, "client-secret")+"\nsso-bridge connection enable dev --force --reason test")
}

// environ is the settings of a service as they stand now.
func (w *World) environ(s *service) []string {
	return strings.Split(w.Read(filepath.Join(w.Settings, s.settings)), "\n")
}

// add starts one more process, at addresses that it keeps.
func (w *World) add(s *service) {
	w.t.Helper()
	for _, f := range []*front{s.public, s.inner} {
		h := &host{url: &url.URL{Scheme: s.scheme, Host: process.Free(w.t, "127.0.0.1")}}
		h.out.Store(true)
		f.hosts = append(f.hosts, h)
	}
	s.processes = append(s.processes, nil)
	if err := w.start(s, len(s.processes)-1); err != nil {
		w.t.Fatal(err)
	}
}

// readyLimit bounds a start on a busy machine.
const readyLimit = time.Minute

func (w *World) start(s *service, i int) error {
	p := process.Start(w.t, append(w.environ(s), "LISTEN="+s.public.hosts[i].url.Host, "INNER_LISTEN="+s.inner.hosts[i].url.Host), process.Program(w.t, s.program), "serve")
	s.processes[i] = p
	ready := s.inner.hosts[i].url.JoinPath("/readyz").String()
	var last error
	for deadline := time.Now().Add(readyLimit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.Ended:
			return fmt.Errorf("%s ended: %s", s.program, p.Said)
		default:
		}
		answer, err := (&http.Client{Transport: s.inner.through, Timeout: 10 * time.Second}).Get(ready)
		if last = err; err != nil {
			continue
		}
		_ = answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			s.public.join(i)
			s.inner.join(i)
			return nil
		}
		last = fmt.Errorf("status %d", answer.StatusCode)
	}
	return fmt.Errorf("%s is not ready: %w: %s", s.program, last, p.Said)
}

func (w *World) replicas(program string) string {
	var list []string
	for _, h := range w.services[program].inner.hosts {
		list = append(list, "--replica "+h.url.String())
	}
	return strings.Join(list, " ")
}

// Certificate gives the certificates that core's processes show.
func (w *World) Certificate() (serials []string) {
	w.t.Helper()
	for _, h := range w.services["core"].public.hosts {
		serials = append(serials, serial(w.t, h.url.Host))
	}
	return serials
}

// Try runs commands as the operator, with settings that win over the installation's, and
// says whether they failed.
func (w *World) Try(script string, settings ...string) (string, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), stepLimit)
	defer cancel()
	return w.follow(ctx, script, settings...)
}

// signal reaches every process of a service.
func (s *service) signal(sig syscall.Signal) {
	for _, p := range s.processes {
		p.Signal(sig)
	}
}

// Address is core's, for people.
func (w *World) Address() string { return w.core.address }

// Redis lists the keys of a pattern.
func (w *World) Redis(pattern string) string {
	w.t.Helper()
	out, err := exec.Command("redis-cli", "-u", w.redis.URL(), "--scan", "--pattern", pattern).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%v %s", err, out)
	}
	return string(out)
}

// state says which processes have ended, and what they said last.
func (w *World) state() string {
	var out strings.Builder
	for name, s := range w.services {
		for i, p := range s.processes {
			select {
			case <-p.Ended:
				said := p.Said.String()
				fmt.Fprintf(&out, "%s %d ended (%s): %s\n", name, i, p.Cmd.ProcessState, said[max(0, len(said)-1000):])
			default:
				fmt.Fprintf(&out, "%s %d runs\n", name, i)
			}
		}
	}
	return out.String()
}
