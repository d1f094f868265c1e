// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// way is how a client reaches the runtime.
type way struct {
	name    string
	address string
	path    string
	token   string
	server  *process // that answers
}

// request is a run of this plan on the wire. What the runtime itself wants of its clients
// core adds of its own.
func (w way) request(p plan) ([]byte, error) {
	body, err := json.Marshal(map[string]any{"inputs": p, "query": "q", "response_mode": "streaming"})
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		w.path, w.address, w.token, len(body), body), nil
}

// streets are the runtime, and those that stand before it.
type streets struct {
	runtime string
	ways    []way // by their places
	product *product

	close []func()
}

// The places of ways.
const (
	direct = iota
	throughNginx
	throughGo // bare
	throughCore
)

func (s *streets) end() {
	for i := len(s.close) - 1; i >= 0; i-- {
		s.close[i]()
	}
}

const runtimeKey = "app-bench"

// startStreets starts all of them, each a process of its own.
func startStreets(ctx context.Context, b *bench, bin, dir string) (s *streets, err error) {
	s = &streets{}
	defer func() {
		if err != nil {
			s.end()
		}
	}()
	runtime, base, err := startSelf("runtime", nil, "-runtime")
	if err != nil {
		return s, err
	}
	s.close = append(s.close, runtime.end)
	s.runtime = strings.TrimPrefix(base, "http://")
	nginx, front, err := startNginx(dir, s.runtime)
	if err != nil {
		return s, err
	}
	s.close = append(s.close, nginx.end)
	relay, bare, err := startSelf("relay", nil, "-relay", base)
	if err != nil {
		return s, err
	}
	s.close = append(s.close, relay.end)
	// Nobody signs in: the memory of core is that of its streams.
	if s.product, err = startCore(ctx, bin, filepath.Join(dir, "core"), rotated, newLoad(ctx, people), map[string]string{"RUNTIME_ALLOWED_HOSTS": "127.0.0.1"}); err != nil {
		return s, err
	}
	s.close = append(s.close, s.product.end)
	out, err := run(exec.Command(bin, "app", "add", "Bench", "--mode", "chat", "--runtime-url", base, "--key-file", "-", "-o", "json"), runtimeKey+"\n", s.product.env...) //nolint:gosec // the binary that is measured
	if err != nil {
		return s, err
	}
	var app struct {
		ID string `json:"app_id"`
	}
	if err := json.Unmarshal([]byte(out), &app); err != nil || app.ID == "" {
		return s, fmt.Errorf("core app add printed %q, %v", out, err) //nolint:errorlint // often nil
	}

	s.ways = []way{
		{name: "direct", address: s.runtime, path: "/v1/chat-messages", token: runtimeKey, server: runtime},
		{name: "nginx", address: front, path: "/v1/chat-messages", token: runtimeKey, server: nginx},
		{name: "bare Go", address: strings.TrimPrefix(bare, "http://"), path: "/v1/chat-messages", token: runtimeKey, server: relay},
		{name: "core", address: strings.TrimPrefix(s.product.public, "http://"), path: api + "/apps/" + app.ID + "/run", token: tokenOf(0), server: s.product.process},
	}
	return s, nil
}

// open gives how many connections the runtime has on which a stream goes on.
func (s *streets) open(c *caller) (int, error) {
	status, body, err := c.send(http.MethodGet, "http://"+s.runtime+"/streams", "")
	if err == nil && status != http.StatusOK {
		err = unexpected("the runtime", status, body)
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(body))
}

// startNginx puts nginx before the runtime as one would for streams: nothing is held back,
// and connections to the runtime are kept.
func startNginx(dir, runtime string) (*process, string, error) {
	bin, err := exec.LookPath("nginx")
	if err != nil { // outside of the path of most users
		if bin, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			return nil, "", fmt.Errorf("nginx: %w", errNotFound)
		}
	}
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	var conf strings.Builder
	if os.Geteuid() == 0 {
		conf.WriteString("user root;\n") // its workers would not get into the directory
	}
	conf.WriteString("daemon off;\npid nginx.pid;\nerror_log stderr error;\nworker_processes auto;\nevents { worker_connections 4096; }\nhttp {\naccess_log off;\n")
	built, _ := exec.Command(bin, "-V").CombinedOutput() //nolint:gosec // found on the path
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		if !strings.Contains(string(built), "--without-http_"+kind+"_module") {
			fmt.Fprintf(&conf, "%s_temp_path %s;\n", kind, filepath.Join(dir, kind))
		}
	}
	fmt.Fprintf(&conf, `upstream runtime { server %s; keepalive 64; }
server {
	listen %s;
	location / {
		proxy_pass http://runtime;
		proxy_http_version 1.1;
		proxy_set_header Connection "";
		proxy_buffering off;
	}
}
}
`, runtime, address)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf.String()), 0o600); err != nil {
		return nil, "", err
	}
	p, err := launch("nginx", exec.Command(bin, "-p", dir, "-c", file)) //nolint:gosec // as above
	if err != nil {
		return nil, "", err
	}
	if err := p.until(func() error { return dial(address) }); err != nil {
		p.end()
		return nil, "", err
	}
	return p, address, nil
}

// ram is the memory of a process that is in RAM, in bytes, and what of it are pages of files,
// its program above all, which the kernel shares between processes and can drop.
type ram struct{ all, file int64 }

func resident(pid int) (ram, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return ram{}, err
	}
	var r ram
	for name, into := range map[string]*int64{"VmRSS:": &r.all, "RssFile:": &r.file} {
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, name); ok {
				kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				if err != nil {
					return ram{}, err
				}
				*into = kb << 10
			}
		}
	}
	if r.all == 0 {
		return ram{}, errors.New("no VmRSS")
	}
	return r, nil
}
