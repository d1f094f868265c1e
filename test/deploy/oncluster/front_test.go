// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// place is a rule of an Ingress or an HTTPRoute.
type place struct {
	path, backend string
	prefix        bool
	lines         []string // what its annotations ask of nginx
}

// locations of nginx for a rule: a prefix is one of path elements, so /sso is not of /ssomething.
func (p place) locations() string {
	body := strings.Join(append([]string{
		"proxy_pass " + p.backend + ";", "proxy_http_version 1.1;", `proxy_set_header Connection "";`, "proxy_set_header Host $http_host;",
		"proxy_set_header X-Forwarded-For $remote_addr;", "proxy_set_header X-Forwarded-Proto $scheme;", "proxy_set_header X-Forwarded-Host $http_host;", "proxy_set_header X-Request-ID $request_id;",
	}, p.lines...), " ")
	exact := fmt.Sprintf("    location = %s { %s }\n", p.path, body)
	switch below := fmt.Sprintf("    location %s/ { %s }\n", strings.TrimSuffix(p.path, "/"), body); {
	case !p.prefix:
		return exact
	case p.path == "/":
		return below
	default:
		return exact + below
	}
}

// hosts are the rules of the manifests by host name; what they ask for and the front
// does not know ends the test.
func (n *node) hosts(t testing.TB, m *manifests) map[string][]place {
	t.Helper()
	at := func(service string, port int, scheme string) string {
		n.mu.Lock()
		defer n.mu.Unlock()
		s := n.services[service]
		if s == nil {
			t.Fatalf("a rule names the Service %s, which is not there", service)
		}
		return fmt.Sprintf("%s://%s:%d", scheme, s.address, port)
	}
	out := map[string][]place{}
	for _, i := range m.ingresses {
		scheme, lines := "http", []string(nil)
		for name, value := range i.Annotations {
			switch strings.TrimPrefix(name, "nginx.ingress.kubernetes.io/") {
			case "backend-protocol":
				scheme = strings.ToLower(value)
			case "proxy-buffering":
				lines = append(lines, "proxy_buffering "+value+";")
			case "proxy-request-buffering":
				lines = append(lines, "proxy_request_buffering "+value+";")
			case "proxy-read-timeout":
				lines = append(lines, "proxy_read_timeout "+value+";")
			case "proxy-send-timeout":
				lines = append(lines, "proxy_send_timeout "+value+";")
			case "proxy-body-size":
				lines = append(lines, "client_max_body_size "+value+";")
			default:
				t.Fatalf("the front does not know the annotation %s", name)
			}
		}
		for _, r := range i.Spec.Rules {
			for _, p := range r.HTTP.Paths {
				backend := p.Backend.Service
				out[r.Host] = append(out[r.Host], place{p.Path, at(backend.Name, int(backend.Port.Number), scheme), *p.PathType == networkingv1.PathTypePrefix, lines})
			}
		}
	}
	for _, r := range m.routes {
		for _, rule := range r.Spec.Rules {
			if rule.Timeouts.Request != "0s" {
				t.Fatalf("a rule ends requests after %q", rule.Timeouts.Request)
			}
			for _, match := range rule.Matches {
				for _, host := range r.Spec.Hostnames {
					out[host] = append(out[host], place{match.Path.Value, at(rule.BackendRefs[0].Name, rule.BackendRefs[0].Port, "http"), match.Path.Type == "PathPrefix",
						[]string{"proxy_buffering off;", "proxy_request_buffering off;", "proxy_read_timeout 1h;", "client_max_body_size 0;"}})
				}
			}
		}
	}
	return out
}

// front is nginx with the rules of the manifests and further hosts, by https on .2 of
// the network; their names lead there for pods and for the test. It is one process, so that
// nothing of it outlives a kill.
func (n *node) front(t testing.TB, m *manifests, pair certificate, more map[string][]place) {
	t.Helper()
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		testserver.Missing(t, "nginx", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tls.pem"), append(append([]byte{}, pair.cert...), pair.key...), 0o600); err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort(n.net.at(2), "443")
	conf := fmt.Sprintf("daemon off; master_process off; pid %[1]s/pid; error_log stderr warn;\nevents { worker_connections 512; }\nhttp {\n  access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; "+
		"fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;\n  ssl_certificate %[1]s/tls.pem; ssl_certificate_key %[1]s/tls.pem;\n  large_client_header_buffers 4 32k; proxy_ssl_server_name on;\n", dir)
	all := n.hosts(t, m)
	for host, places := range more {
		all[host] = append(all[host], places...)
	}
	for host, places := range all {
		conf += fmt.Sprintf("  server {\n    listen %s ssl; server_name %s;\n", address, host)
		for _, p := range places {
			conf += p.locations()
		}
		if !slices.ContainsFunc(places, func(p place) bool { return p.prefix && p.path == "/" }) {
			conf += "    location / { return 404; }\n"
		}
		conf += "  }\n"
		n.mu.Lock()
		n.outside[host] = n.net.at(2)
		n.mu.Unlock()
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(nginx, "-e", "stderr", "-t", "-c", file).CombinedOutput(); err != nil {
		t.Fatalf("nginx: %v\n%s\n%s", err, said, conf)
	}
	process.Run(t, exec.Command(nginx, "-e", "stderr", "-c", file))
}
