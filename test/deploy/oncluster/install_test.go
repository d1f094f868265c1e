// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

const (
	ownerEmail, ownerPassword = "ada@example.com", "correct horse battery"
	probeEmail, probePassword = "probe@example.com", "a password of the monitor alone"
)

// installation is a release on a node.
type installation struct {
	*node
	m       *manifests
	address string // public
	by      map[string]*deployment
}

// install is "helm install": all objects at once, and no waiting.
func (n *node) install(t testing.TB, m *manifests, address string) *installation {
	t.Helper()
	in := &installation{node: n, m: m, address: address, by: map[string]*deployment{}}
	n.take(t, m)
	n.serve(m.services)
	for _, d := range m.deployments {
		in.by[d.Name] = n.begin(d)
	}
	for _, j := range m.jobs {
		n.job(t, j)
	}
	for _, d := range in.by {
		d.wait(t)
	}
	return in
}

// take keeps the objects that pods name.
func (n *node) take(t testing.TB, m *manifests) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, c := range m.configs {
		n.configs[name] = c
	}
	for name := range m.claims {
		if n.claims[name] == "" {
			n.claims[name] = t.TempDir()
		}
	}
}

func (in *installation) core() *deployment   { return in.by[release+"-dify-sso-core"] }
func (in *installation) bridge() *deployment { return in.by[release+"-dify-sso-bridge"] }

// transport reaches public names at the front, and believes the authority alone.
func (n *node) transport(believed []byte) *http.Transport {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(believed)
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			n.mu.Lock()
			if at, known := n.outside[host]; known {
				host = at
			}
			n.mu.Unlock()
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(host, port))
		},
	}
}

// setUp goes the way of the notes: a code by the command in a pod, and the first owner
// by the code; then an account for the probe.
func (in *installation) setUp(t testing.TB) {
	t.Helper()
	p := in.core().pods[0]
	printed := p.must(t, "", in.m.told(t, release+"-dify-sso-core", "setup-code")...)
	line, _, _ := strings.Cut(printed, "\n")
	code, found := strings.CutPrefix(line, "Set-up code: ")
	if !found {
		t.Fatalf("no set-up code in %q", printed)
	}
	status, body := in.post(t, "/console/api/setup", fmt.Sprintf(`{"setup_code":%q,"email":%q,"name":"Ada","password":%q,"workspace_name":"Engines"}`, code, ownerEmail, ownerPassword))
	if status/100 != 2 {
		t.Fatalf("set-up: %d %s", status, body)
	}
	in.core().pods[len(in.core().pods)-1].must(t, probePassword+"\n", "/core", "admin", "create-account", "--email", probeEmail, "--name", "Probe", "--password-file", "-")
}

// account is the Secret that "helm test" signs in with.
func account() map[string][]byte {
	return map[string][]byte{"email": []byte(probeEmail), "password": []byte(probePassword)}
}

func (in *installation) post(t testing.TB, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, in.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return in.send(t, r)
}

func (in *installation) get(t testing.TB, address string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return in.send(t, r)
}

func (in *installation) send(t testing.TB, r *http.Request) (int, string) {
	t.Helper()
	client := &http.Client{Transport: in.transport(in.roots), Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// signsIn has a client signed in and out at the public address.
func (in *installation) signsIn(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	v := visitor.New(in.address, in.transport(in.roots))
	if err := v.SignIn(ctx, ownerEmail, ownerPassword); err != nil {
		t.Fatal(err)
	}
	token, err := v.Login(ctx, "laptop")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Get(ctx, token, "/openapi/v1/account", nil); err != nil {
		t.Error(err)
	}
	if err := v.Logout(ctx, token); err != nil {
		t.Error(err)
	}
	if err := v.Get(ctx, token, "/openapi/v1/account", nil); err == nil || !strings.Contains(err.Error(), ": 401 ") {
		t.Errorf("a token that was ended: %v", err)
	}
}

// closed asks for what serves probes and operators at the public address.
func (in *installation) closed(t testing.TB, addresses ...string) {
	t.Helper()
	for _, address := range addresses {
		for _, path := range []string{"/inner/", "/inner/api/auth/check", "/inner/api/subjects/revoke", "/metrics", "/healthz", "/readyz", "/debug/pprof/"} {
			if status, _ := in.get(t, address+path); status != http.StatusNotFound {
				t.Errorf("%s%s answers %d", address, path, status)
			}
		}
	}
}

// asDeclared looks at the processes: their user, their rights, and that no restart was
// needed.
func (in *installation) asDeclared(t testing.TB) {
	t.Helper()
	in.each(func(p *pod, c corev1.Container, pid int) {
		if p.restarts != 0 {
			t.Errorf("pod %s was started again %d times: %v\n%s", p.name, p.restarts, p.failure, p.logs())
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"Uid:\t65532\t65532\t65532\t65532", "Gid:\t65532\t65532\t65532\t65532", "Groups:\t65532 \n", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"} {
			if !strings.Contains(string(status), line) {
				t.Errorf("%s of pod %s is not %q:\n%s", c.Name, p.name, line, status)
			}
		}
		mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(mounts)) {
			f := strings.Fields(line)
			if len(f) < 6 {
				continue
			}
			if _, below := strings.CutPrefix(f[4]+"/", filepath.Join(p.dir, "roots", c.Name)+"/"); !below && f[4] != "/" {
				continue
			}
			within, writable := f[4], strings.HasPrefix(f[5], "rw")
			if ok := within == "/tmp" || within == "/var/lib/dify-sso" || within == "/dev/null" || strings.HasPrefix(within, "/proc/"); writable && !ok {
				t.Errorf("%s of pod %s may write to %s", c.Name, p.name, within)
			}
		}
	})
}

// each visits the processes of all pods that run.
func (in *installation) each(visit func(p *pod, c corev1.Container, pid int)) {
	for _, d := range in.by {
		for _, p := range d.pods {
			for _, c := range p.spec.Containers {
				p.mu.Lock()
				r := p.running[c.Name]
				p.mu.Unlock()
				if r != nil {
					visit(p, c, r.Cmd.Process.Pid)
				}
			}
		}
	}
}

// secretless compares all secret values with what processes and objects hold beside the
// mounted files: environment, command line, what the pod writes and says, the manifests.
func (in *installation) secretless(t testing.TB) {
	t.Helper()
	values := map[string][]byte{}
	in.mu.Lock()
	for name, content := range in.secrets {
		for k, v := range content {
			if k == "tls.crt" || k == "email" || k == "connections.yaml" {
				continue
			}
			for i, line := range bytes.Split(v, []byte("\n")) {
				if line = bytes.TrimSpace(line); len(line) >= 12 && !bytes.HasPrefix(line, []byte("-----")) {
					values[fmt.Sprintf("%s/%s line %d", name, k, i+1)] = line
				}
			}
		}
	}
	in.mu.Unlock()
	values["the owner's password"] = []byte(ownerPassword)
	holds := func(where string, content []byte) {
		t.Helper()
		for name, v := range values {
			if bytes.Contains(content, v) {
				t.Errorf("%s holds %s", where, name)
			}
		}
	}
	holds("the manifests", []byte(in.m.text+in.m.notes))
	seen := 0
	in.each(func(p *pod, c corev1.Container, pid int) {
		seen++
		for _, file := range []string{"environ", "cmdline"} {
			content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
			if err != nil || len(content) == 0 {
				t.Fatalf("%s of pod %s: %v", file, p.name, err)
			}
			holds(fmt.Sprintf("%s of %s in pod %s", file, c.Name, p.name), content)
		}
		holds("the log of pod "+p.name, []byte(p.logs()))
		folders := []string{filepath.Join(p.dir, "roots")}
		for _, v := range p.spec.Volumes {
			if v.EmptyDir != nil {
				folders = append(folders, p.volumes[v.Name])
			}
		}
		for _, folder := range folders {
			_ = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
				if err == nil && e.Type().IsRegular() {
					content, err := os.ReadFile(path)
					if err != nil {
						t.Error(err)
					}
					holds(path+" in pod "+p.name, content)
				}
				return err
			})
		}
	})
	if seen == 0 || len(values) < 2 {
		t.Fatalf("%d processes and %d values were compared", seen, len(values))
	}
}

// upgrade is "helm upgrade" to other manifests; it says how many pods of each Deployment
// were replaced and how few were ready meanwhile.
func (in *installation) upgrade(t testing.TB, m *manifests) map[string][2]int {
	t.Helper()
	in.m = m
	in.take(t, m)
	in.serve(m.services)
	out := map[string][2]int{}
	for _, d := range m.deployments {
		replaced, least := in.by[d.Name].apply(t, d)
		out[d.Name] = [2]int{replaced, least}
	}
	return out
}
