// SPDX-License-Identifier: Apache-2.0

package onhost_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

const coreHost, bridgeHost = "console.corp.example", "sso.corp.example"

// sample is a documented configuration with the addresses of the test; each text must be
// there, or something else would be tested.
func sample(t *testing.T, name string, pairs ...string) string {
	t.Helper()
	content, err := os.ReadFile(deployed(t, "..", "docs", "operating", "proxies", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for i := 0; i+1 < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%s has no %q", name, pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

func written(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// front runs a proxy with its sample and gives the way to it for both host names.
func front(t *testing.T, kind, core, bridge string) *http.Transport {
	t.Helper()
	binary, err := exec.LookPath(kind)
	if err != nil {
		testserver.Missing(t, kind, err)
	}
	dir, at := t.TempDir(), process.Free(t, "127.0.0.1")
	certificate, key, roots := certified(t)
	certificate, key = written(t, filepath.Join(dir, "cert.pem"), certificate), written(t, filepath.Join(dir, "cert.key"), key)
	cmd := exec.Command(binary)
	cmd.Dir = dir
	if kind == "nginx" {
		conf := sample(t, "enterprise.conf", "listen 443 ssl", "listen "+at+" ssl", "127.0.0.1:5001", core, "127.0.0.1:5003", bridge, "/var/log/nginx/dify-sso.log", filepath.Join(dir, "access.log"),
			"/etc/ssl/console.corp.example/fullchain.pem", certificate, "/etc/ssl/console.corp.example/privkey.pem", key,
			"/etc/ssl/sso.corp.example/fullchain.pem", certificate, "/etc/ssl/sso.corp.example/privkey.pem", key)
		around := "daemon off;\npid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\n"
		if os.Getuid() == 0 {
			around = "user root;\n" + around
		}
		for _, store := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			around += store + "_temp_path " + filepath.Join(dir, store) + ";\n"
		}
		cmd.Args = append(cmd.Args, "-p", dir, "-c", written(t, filepath.Join(dir, "nginx.conf"), around+"include "+written(t, filepath.Join(dir, "site.conf"), conf)+";\n}\n"))
	} else {
		_, port, _ := net.SplitHostPort(at)
		here := ":" + port + " {\n\tbind 127.0.0.1\n\ttls " + certificate + " " + key
		conf := "{\n\tadmin off\n\tauto_https off\n}\n" + sample(t, "enterprise.Caddyfile", "\n"+coreHost+" {", "\nhttps://"+coreHost+here,
			"\n"+bridgeHost+" {", "\nhttps://"+bridgeHost+here, "127.0.0.1:5001", core, "127.0.0.1:5003", bridge)
		cmd.Args = append(cmd.Args, "run", "--adapter", "caddyfile", "--config", written(t, filepath.Join(dir, "Caddyfile"), conf))
		cmd.Env = []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	}
	p := process.Run(t, cmd)
	t.Cleanup(func() {
		p.Stop(20 * time.Second) // a master of nginx that is killed leaves its workers
		if t.Failed() {
			t.Log(p.Said.String())
		}
	})
	until(t, p, at)
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", at)
		},
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		DisableKeepAlives: true,
	}
}

func TestSamplesOfBothServices(t *testing.T) {
	for _, kind := range []string{"nginx", "caddy"} {
		t.Run(kind, func(t *testing.T) { bothServices(t, kind) })
	}
}

func bothServices(t *testing.T, kind string) {
	free := func() string { t.Helper(); return process.Free(t, "127.0.0.1") }
	dir, public, inner, company, companyInner := t.TempDir(), free(), free(), free(), free()
	keys := filepath.Join(t.TempDir(), "keyset.json")
	process.Do(t, nil, "", process.Program(t, "core"), "keyset", "new", "--keyset-file", keys)
	both := []string{"KEYSET_FILE=" + keys, "CONSOLE_API_URL=https://" + coreHost, "SSO_BRIDGE_PUBLIC_URL=https://" + bridgeHost, "TRUSTED_PROXIES=127.0.0.1/32"}
	core := process.Start(t, append([]string{"DATA_DIR=" + dir, "LISTEN=" + public, "INNER_LISTEN=" + inner, "ENTERPRISE_ENABLED=true", "SSO_BRIDGE_URL=http://" + companyInner, "RUNTIME_ALLOWED_HOSTS=127.0.0.1"}, both...), process.Program(t, "core"), "serve")
	bridge := process.Start(t, append([]string{"DATA_DIR=" + t.TempDir(), "LISTEN=" + company, "INNER_LISTEN=" + companyInner, "CORE_INNER_URL=http://" + inner}, both...), process.Program(t, "sso-bridge"), "serve")
	core.Until("http://" + inner + "/readyz")
	bridge.Until("http://" + companyInner + "/readyz")
	way := front(t, kind, public, company)
	client := &http.Client{Transport: way, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(host, path string, headers ...string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host+path, nil) // sent as it is written
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Add(headers[i], headers[i+1])
		}
		a, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, a.Body)
		_ = a.Body.Close()
		return a.StatusCode
	}
	for _, path := range []string{"/inner/api/subjects/revoke", "/inner/", "/inner%2fapi/x", "//inner/api/x", "/x/../inner/api/x", "/sso/../inner/api/x", "/sso/%2e%2e/inner/api/x", "/%69nner/api/x", "/metrics", "/sso/metrics", "/readyz", "/healthz", "/debug/pprof/"} {
		t.Run("INN-07 "+path+" is behind neither name", func(t *testing.T) {
			for _, host := range []string{coreHost, bridgeHost} {
				if got := ask(host, path); got != http.StatusNotFound && got != http.StatusBadRequest {
					t.Errorf("%s: %d", host, got)
				}
			}
		})
	}
	t.Run("each name leads to its service, with the client's address and no other", func(t *testing.T) {
		const lie = "203.0.113.9"
		spoofed := []string{"X-Forwarded-For", lie, "X-Real-Ip", lie, "Forwarded", "for=" + lie, "X-Request-Id", "mine"}
		if got := ask(coreHost, "/device", spoofed...); got != http.StatusSeeOther { // to the set-up
			t.Errorf("core's page: %d", got)
		}
		if got := ask(bridgeHost, "/sso/oidc/callback/nobody?code=hidden&state=x", spoofed...); got != http.StatusSeeOther { // to its words about it
			t.Errorf("the bridge: %d", got)
		}
		// A line follows its answer.
		lines := map[*process.Process]string{core: `"route":"/device"`, bridge: `"route":"/sso/oidc/callback/`}
		for deadline := time.Now().Add(10 * time.Second); !strings.Contains(core.Said.String(), lines[core]) || !strings.Contains(bridge.Said.String(), lines[bridge]); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("a request went elsewhere:\n%s\n%s", core.Said, bridge.Said)
			}
		}
		for name, p := range map[string]*process.Process{"core": core, "the bridge": bridge} {
			if said := p.Said.String(); strings.Contains(said, lie) || strings.Contains(said, `"mine"`) || !strings.Contains(said, `"ip":"127.0.0.1"`) {
				t.Errorf("%s believes a stranger:\n%s", name, said)
			}
		}
		if strings.Contains(core.Said.String(), "/sso/oidc/callback/") {
			t.Errorf("the callback went to core:\n%s", core.Said)
		}
	})
	streams(t, way, dir)
}
