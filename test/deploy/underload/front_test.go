// SPDX-License-Identifier: Apache-2.0

package underload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// probeEvery is how often readiness is asked.
const probeEvery = 250 * time.Millisecond

// front is nginx before the replicas, and beside it what a cluster does about endpoints: who
// drains or refuses connections leaves the rotation at the next look, as a pod that is
// deleted or has crashed does; who is not ready for another cause leaves after unready, as
// one whose readiness probe fails often enough; who is ready again comes back.
type front struct {
	t       testing.TB
	address string // http://host:port, as clients know it
	listen  string // host:port
	dir     string
	nginx   *process.Process
	unready time.Duration

	mu      sync.Mutex
	members []*member
	written []string
	why     []string // what its readiness said then
	left    int      // how often a member that was not told to end left the rotation
}

type member struct {
	public, inner string
	in            bool
	failing       time.Time
}

// newFront serves at a port of this machine, which clients know by the given name.
func newFront(t testing.TB, name string, unready time.Duration) *front {
	t.Helper()
	binary, err := exec.LookPath("nginx")
	if err != nil {
		binary, err = exec.LookPath("/usr/sbin/nginx")
	}
	if err != nil {
		testserver.Missing(t, "nginx", err)
	}
	f := &front{t: t, listen: process.Free(t, "127.0.0.1"), dir: t.TempDir(), unready: unready}
	f.address = "http://" + strings.Replace(f.listen, "127.0.0.1", name, 1)
	built, _ := exec.Command(binary, "-V").CombinedOutput()
	f.write(built, nil)
	cmd := exec.Command(binary, "-p", f.dir, "-c", filepath.Join(f.dir, "nginx.conf"))
	cmd.Dir = f.dir
	f.nginx = process.Run(t, cmd)
	t.Cleanup(func() { // its workers end with the master only in order
		f.nginx.Signal(syscall.SIGTERM)
		<-f.nginx.Ended
	})
	reachable(t, f.listen)
	done := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(probeEvery):
				f.look(built)
			}
		}
	})
	t.Cleanup(func() { close(done); looking.Wait() })
	return f
}

// add puts a replica into the rotation as soon as it is ready.
func (f *front) add(public, inner string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = append(f.members, &member{public: public, inner: inner})
}

// remove forgets a replica that has ended.
func (f *front) remove(public string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = slices.DeleteFunc(f.members, func(m *member) bool { return m.public == public })
}

// rotation gives the public addresses of those in it.
func (f *front) rotation() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.written)
}

// losses is how often a replica left that nobody had told to end.
func (f *front) losses() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.left
}

// reasons is what readiness said each time.
func (f *front) reasons() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.why)
}

var prober = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// probe gives ready, and whether a replica that is not leaves at once.
func probe(inner string) (ready, gone, draining bool, text string) {
	r, err := prober.Get("http://" + inner + "/readyz")
	if err != nil {
		return false, errors.Is(err, syscall.ECONNREFUSED), false, err.Error()
	}
	defer func() { _ = r.Body.Close() }()
	var said struct {
		Draining bool `json:"draining"`
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false, false, false, err.Error()
	}
	_ = json.Unmarshal(body, &said)
	return r.StatusCode == http.StatusOK, said.Draining, said.Draining, string(body)
}

// look asks everybody and writes the rotation anew when it has changed.
func (f *front) look(built []byte) {
	f.mu.Lock()
	members := slices.Clone(f.members)
	f.mu.Unlock()
	var asking sync.WaitGroup
	for _, m := range members {
		asking.Go(func() {
			ready, gone, draining, text := probe(m.inner)
			f.mu.Lock()
			defer f.mu.Unlock()
			was := m.in
			switch {
			case ready:
				m.in, m.failing = true, time.Time{}
			case gone:
				m.in = false
			case m.failing.IsZero():
				m.failing = time.Now()
			case time.Since(m.failing) >= f.unready:
				m.in = false
			}
			if was && !m.in && !draining {
				f.left++
				f.why = append(f.why, time.Now().UTC().Format("15:04:05.000")+" "+text)
			}
		})
	}
	asking.Wait()
	f.mu.Lock()
	var now []string
	for _, m := range f.members {
		if m.in {
			now = append(now, m.public)
		}
	}
	changed := !slices.Equal(now, f.written)
	f.written = now
	f.mu.Unlock()
	if changed {
		f.write(built, now)
		f.nginx.Signal(syscall.SIGHUP)
	}
}

// write makes a configuration: no passive checks, as a Service has none, and no request that
// was sent goes to another replica but an idempotent one, which is nginx's default.
func (f *front) write(built []byte, members []string) {
	var b bytes.Buffer
	if os.Getuid() == 0 {
		b.WriteString("user root;\n") // its workers would not get into the directory of a test
	}
	b.WriteString("daemon off;\npid nginx.pid;\nerror_log stderr notice;\nworker_processes 1;\nevents { worker_connections 1024; }\nhttp {\naccess_log off;\n")
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		if !bytes.Contains(built, []byte("--without-http_"+kind+"_module")) {
			fmt.Fprintf(&b, "%s_temp_path %s;\n", kind, filepath.Join(f.dir, kind))
		}
	}
	if len(members) > 0 {
		b.WriteString("upstream core {\n")
		for _, m := range members {
			fmt.Fprintf(&b, "server %s max_fails=0;\n", m)
		}
		b.WriteString("keepalive 16;\n}\n")
	}
	fmt.Fprintf(&b, "server {\nlisten %s;\nlocation / {\n", f.listen)
	if len(members) > 0 {
		b.WriteString(`proxy_pass http://core;
proxy_http_version 1.1;
proxy_set_header Connection "";
proxy_set_header Host $http_host;
proxy_set_header X-Forwarded-For $remote_addr;
proxy_set_header X-Forwarded-Proto $scheme;
proxy_buffering off;
proxy_read_timeout 1h;
proxy_connect_timeout 5s;
`)
	} else {
		b.WriteString("return 503;\n") // a Service without endpoints
	}
	b.WriteString("}\n}\n}\n")
	path := filepath.Join(f.dir, "nginx.conf")
	if err := os.WriteFile(path+".new", b.Bytes(), 0o600); err != nil {
		f.t.Error(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		f.t.Error(err)
	}
}

// reachable waits for somebody who accepts.
func reachable(t testing.TB, address string) {
	t.Helper()
	until(t, address+" to accept", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// waitLimit is for a machine that does much else.
const waitLimit = 2 * time.Minute

// until waits for something that has to come, on a machine that may be busy.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(waitLimit); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s", what)
		}
	}
}
