// SPDX-License-Identifier: Apache-2.0

package onhost_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/onhost/box"
	"github.com/dify-sso/dify-sso/test/deploy/process"
	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

// blocks are the commands of a document, in their order.
func blocks(t testing.TB, name string) (list []string) {
	t.Helper()
	text, err := os.ReadFile(deployed(t, "..", "docs", "operating", name))
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(text), "```") {
		if i%2 == 1 {
			list = append(list, part)
		}
	}
	return list
}

// documented gives the one block that contains a text.
func documented(t testing.TB, name, contains string) string {
	t.Helper()
	var found []string
	for _, b := range blocks(t, name) {
		if strings.Contains(b, contains) {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s has %d blocks with %q", name, len(found), contains)
	}
	return strings.ReplaceAll(found[0], "\n   ", "\n") // of a list, as it is shown
}

// shell runs commands of a document, with core among the programs.
func shell(t testing.TB, dir, script string) {
	t.Helper()
	cmd := exec.Command("sh", "-euc", script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+filepath.Dir(process.Program(t, "core"))+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
}

func TestComposeRunsTheCommunityEdition(t *testing.T) {
	s := newStack(t, loadCompose(t, "ce.yaml"), "")
	defer s.down()
	s.up()
	s.exec("core", ownerPassword+"\n", "/core", "admin", "create-owner", "--email", ownerEmail, "--name", "Ada", "--workspace", "Engines", "--password-file", "-")
	const public = "http://127.0.0.1:5001"
	v := visitor.New(public, &http.Transport{DialContext: s.net.Dial})
	if err := v.SignIn(t.Context(), ownerEmail, ownerPassword); err != nil {
		t.Fatal(err)
	}
	token, err := v.Login(t.Context(), "laptop")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Get(t.Context(), token, "/openapi/v1/account", nil); err != nil {
		t.Fatal(err)
	}
	s.exec("core", ownerPassword+"\n", "/core", "probe", public, "--email", ownerEmail, "--password-file", "-")
	if said := s.exec("core", "", "/core", "doctor"); strings.Contains(said, "\nwarn") {
		t.Error(said)
	}
}

func TestComposeRunsTheEnterpriseEdition(t *testing.T) {
	box.Possible(t)
	home := t.TempDir()
	dir := filepath.Join(home, "deploy", "compose")
	if err := os.CopyFS(dir, os.DirFS(deployed(t, "compose"))); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "secrets")); err == nil {
		t.Fatal("the checkout has secrets of somebody")
	}
	// docs/operating/compose.md, from its first step.
	shell(t, home, documented(t, "compose.md", "core secrets init"))
	certificate, key, roots := certified(t)
	written(t, filepath.Join(dir, "tls/fullchain.pem"), certificate)
	written(t, filepath.Join(dir, "tls/privkey.pem"), key)
	shell(t, dir, documented(t, "compose.md", "chown -R 65532"))
	override := written(t, filepath.Join(dir, "override.yaml"), "services: { sso-bridge: { environment: { EGRESS_ALLOW: 127.0.0.1 } } }\n")
	trusted := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(trusted, []byte(certificate), 0o644); err != nil {
		t.Fatal(err)
	}

	s := newStack(t, loadFiles(t, eeAddresses, filepath.Join(dir, "ee.yaml"), override), trusted)
	defer s.down()
	front := s.addresses["nginx"][0]
	// The port that the file publishes.
	s.net.Forward(t, front+":443", func(ctx context.Context) (net.Conn, error) { return s.net.Dial(ctx, "tcp", front+":8443") })
	s.up()
	s.exec("core", ownerPassword+"\n", "/core", "admin", "create-owner", "--email", ownerEmail, "--name", "Ada", "--workspace", "Engines", "--password-file", "-")

	way := s.way(front, roots)
	v := visitor.New("https://"+coreHost, way)
	if err := v.SignIn(t.Context(), ownerEmail, ownerPassword); err != nil {
		t.Fatal(err)
	}
	token, err := v.Login(t.Context(), "laptop")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Get(t.Context(), token, "/openapi/v1/account", nil); err != nil {
		t.Fatal(err)
	}
	s.exec("core", ownerPassword+"\n", "/core", "probe", "https://"+coreHost, "--email", ownerEmail, "--password-file", "-")
	for name, said := range map[string]string{
		"core":       s.exec("core", "", "/core", "doctor", "--replica", "core:5002"),
		"sso-bridge": s.exec("sso-bridge", "", "/sso-bridge", "doctor", "--replica", "sso-bridge:5004"),
	} {
		for _, replica := range s.addresses[name] {
			if !strings.Contains(said, "replica.ready (http://"+replica+":") {
				t.Errorf("%s %s was not looked at:\n%s", name, replica, said)
			}
		}
		for line := range strings.Lines(said) { // clear text on the inner network is meant
			if f := strings.Fields(line); len(f) > 1 && f[0] == "warn" && f[1] != "settings:" && f[1] != "redis.tls:" {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
	t.Run("SSO-31 a person of a company signs a client in", func(t *testing.T) { s.company(t, way) })
}

// way leads from outside to the one published port, and to the provider on its loopback address.
func (s *stack) way(front string, roots *x509.CertPool) *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, port, _ := net.SplitHostPort(address); host == coreHost || host == bridgeHost {
			address = net.JoinHostPort(front, port)
		}
		return s.net.Dial(ctx, network, address)
	}}
}

var hidden = regexp.MustCompile(`<input[^>]*type="hidden"[^>]*>`)

// company makes a connection by the documented command and signs a client in by it.
func (s *stack) company(t *testing.T, way http.RoundTripper) {
	const issuer, secret, person = "http://127.0.0.1:5005", "a secret of the client's own, 32 and more", "alice"
	idp := box.Box{Root: t.TempDir(), User: 65532, Groups: []int{65532}, Net: s.net.Path(), Mounts: []box.Mount{{From: process.Program(t, "devidp"), To: "/devidp"}},
		Argv: []string{"/devidp", "--listen", "127.0.0.1:5005", "--issuer", issuer, "--redirect-uri", "https://" + bridgeHost + "/sso/oidc/callback/dev"}, Env: []string{"DEVIDP_CLIENT_SECRET=" + secret}}
	provider := process.Run(t, s.command(idp))
	deadline := time.Now().Add(time.Minute)
	for answers := false; !answers; time.Sleep(20 * time.Millisecond) {
		r, err := (&http.Client{Transport: way}).Get(issuer + "/.well-known/openid-configuration")
		if err == nil {
			answers = r.StatusCode == http.StatusOK
			_ = r.Body.Close()
		}
		if !answers && time.Now().After(deadline) {
			t.Fatalf("the provider does not answer: %v\n%s", err, provider.Said)
		}
	}
	s.exec("sso-bridge", "id: dev\nname: Corp\npreset: generic-oidc\nintents: [device_flow]\noidc: { issuer: \""+issuer+"\", client_id: dify-sso, client_secret: \""+secret+"\" }\n",
		"/sso-bridge", "connection", "create", "--file", "-")
	s.exec("sso-bridge", "", "/sso-bridge", "connection", "enable", "dev", "--force", "--reason", "a provider for development")

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Transport: way}
	page := func(r *http.Response, err error) (*url.URL, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s %v\n%s", r.Request.URL.Path, r.StatusCode, body, err, s.said())
		}
		return r.Request.URL, string(body)
	}
	v := visitor.New("https://"+coreHost, way)
	c, err := v.Begin(t.Context(), "alice's laptop")
	if err != nil {
		t.Fatal(err)
	}
	const device = "https://" + coreHost + "/openapi/v1/oauth/device"
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, device+"/sso-initiate?user_code="+c.UserCode, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin") // a link on core's page
	at, body := page(browser.Do(r))
	if at.Host != "127.0.0.1:5005" {
		t.Fatalf("at %s and not at the provider:\n%s", at, body)
	}
	_, body = page(browser.PostForm(at.String(), url.Values{"person": {person}}))
	form := url.Values{"confirm": {"yes"}} // the box beside the code
	for _, input := range hidden.FindAllString(body, -1) {
		name, value := regexp.MustCompile(`name="([^"]*)"`).FindStringSubmatch(input), regexp.MustCompile(`value="([^"]*)"`).FindStringSubmatch(input)
		if name != nil && value != nil {
			form.Set(name[1], html.UnescapeString(value[1]))
		}
	}
	r, err = http.NewRequestWithContext(t.Context(), http.MethodPost, device+"/approve-external", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://"+coreHost)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	page(browser.Do(r))
	token, err := v.Poll(t.Context(), c)
	if err != nil || !strings.HasPrefix(token, "dfoe_") {
		t.Fatalf("no token of an external subject: %v", err)
	}
	var who struct {
		Type  string `json:"subject_type"`
		Email string `json:"subject_email"`
	}
	if err := v.Get(t.Context(), token, "/openapi/v1/account", &who); err != nil || who.Type != "external_sso" || !strings.HasPrefix(who.Email, person) {
		t.Errorf("%+v %v", who, err)
	}
}
