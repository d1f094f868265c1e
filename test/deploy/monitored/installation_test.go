// SPDX-License-Identifier: Apache-2.0

package monitored

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

const (
	email, password = "ada@example.com", "correct horse battery"
	clientSecret    = "0123456789abcdef0123456789abcdef"
	appKey          = "app-abcdefghijklmnopqrstuvwx"
)

// installation is the Enterprise Edition on Postgres and Redis with a provider of both
// protocols, and beside it a core on embedded stores that speaks TLS itself.
type installation struct {
	redis                                              *testserver.RedisServer
	serving, bridge                                    *process.Process // core on servers, sso-bridge
	core, coreInner, bridgePublic, bridgeInner, secure string           // addresses
	roots, keys                                        string           // what signed the certificate of secure; the key set
	app, echo                                          string           // ids
}

func file(t *testing.T, dir, name, content string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// environ is what a service on servers of its own gets, with its tables made.
func (in *installation) environ(t *testing.T, dir, name string) []string {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return []string{
		"DATABASE_URL=" + testserver.Postgres(t), "DATABASE_MAX_CONNS=8", "REDIS_URL=" + in.redis.URL(), "REDIS_KEY_PREFIX=" + name + ":",
		"SECRET_KEY=the secret key of " + name + " in a test, long enough", "SEALING_KEY_FILE=" + file(t, dir, name+"-sealing.key", "k1:"+base64.StdEncoding.EncodeToString(key)+"\n"),
	}
}

func install(t *testing.T) *installation {
	t.Helper()
	in := &installation{redis: testserver.StartRedis(t)}
	core, bridge, dir := process.Program(t, "core"), process.Program(t, "sso-bridge"), t.TempDir()
	for _, a := range []*string{&in.core, &in.coreInner, &in.bridgePublic, &in.bridgeInner, &in.secure} {
		*a = process.Free(t, "127.0.0.1")
	}
	keys := filepath.Join(dir, "keyset.json")
	in.keys = keys
	process.Do(t, nil, "", core, "keyset", "new", "--keyset-file", keys)
	provider := in.provider(t, dir)
	shared := []string{"KEYSET_FILE=" + keys, "CONSOLE_API_URL=http://" + in.core, "SSO_BRIDGE_PUBLIC_URL=http://" + in.bridgePublic}

	bridgeEnviron := append(in.environ(t, dir, "bridge"), append(shared, "LISTEN="+in.bridgePublic, "INNER_LISTEN="+in.bridgeInner, "CORE_INNER_URL=http://"+in.coreInner,
		"EGRESS_ALLOW=127.0.0.1", "CONNECTIONS_FILE="+file(t, dir, "connections.yaml", connections(provider, file(t, dir, "client.secret", clientSecret))))...)
	process.Do(t, bridgeEnviron, "", bridge, "migrate", "up")
	// The ends of certificates are looked up at the start and then every five minutes: the first start reads the file of
	// connections, the second has them.
	first := process.Start(t, bridgeEnviron, bridge, "serve")
	first.Until("http://" + in.bridgeInner + "/readyz")
	until(t, "the provider of SAML is known", func() bool {
		return strings.Contains(process.Do(t, bridgeEnviron, "", bridge, "connection", "list"), "dev-saml")
	})
	process.Do(t, bridgeEnviron, "", bridge, "connection", "metadata", "refresh", "dev-saml")
	process.Do(t, bridgeEnviron, "", bridge, "connection", "keys", "stage", "dev-saml")
	process.Do(t, bridgeEnviron, "", bridge, "connection", "keys", "promote", "dev-saml", "--force", "--reason", "a test")
	first.Stop(time.Minute)

	key := file(t, dir, "app.key", appKey)
	coreEnviron := append(in.environ(t, dir, "core"), append(shared, "LISTEN="+in.core, "INNER_LISTEN="+in.coreInner, "ENTERPRISE_ENABLED=true", "SSO_BRIDGE_URL=http://"+in.bridgeInner,
		"RUNTIME_ALLOWED_HOSTS=127.0.0.1", "DEVICE_FLOW_APPROVE_RATE_LIMIT_PER_HOUR=1000", "OPENAPI_RATE_LIMIT_PER_TOKEN=0",
		"RATE_LIMITS=device.code.addr=0,account.read=0,sso.initiate.addr=0,console.login.addr=0,device.lookup.addr=0,sso.decide.subject=1000/1h,sso.context.addr=0")...)
	process.Do(t, coreEnviron, "", core, "migrate", "up")
	process.Do(t, coreEnviron, password+"\n", core, "admin", "create-owner", "--email", email, "--name", "Ada", "--workspace", "Engines", "--password-file", "-")
	id := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)
	in.app = id.FindString(process.Do(t, coreEnviron, "", core, "app", "add", "Desk", "--mode", "chat", "--runtime-url", runtime(t), "--key-file", key))
	in.echo = id.FindString(process.Do(t, coreEnviron, "", core, "app", "add", "Echo", "--mode", "chat", "--runtime", "echo"))

	in.bridge = process.Start(t, bridgeEnviron, bridge, "serve")
	in.bridge.Until("http://" + in.bridgeInner + "/healthz")
	in.serving = process.Start(t, coreEnviron, core, "serve")
	in.serving.Until("http://" + in.coreInner + "/readyz")
	in.bridge.Until("http://" + in.bridgeInner + "/readyz")

	var pair string
	in.roots, pair = certificate(t, dir)
	embedded := process.Start(t, []string{
		"DATA_DIR=" + t.TempDir(), "LISTEN=" + process.Free(t, "127.0.0.1"), "INNER_LISTEN=" + in.secure, "CONSOLE_API_URL=https://localhost",
		"TLS_CERT_FILE=" + in.roots, "TLS_KEY_FILE=" + pair,
	}, core, "serve")
	until(t, "the core on embedded stores listens", func() bool {
		c, err := net.Dial("tcp", in.secure)
		if err != nil {
			select {
			case <-embedded.Ended:
				t.Fatal(embedded.Said)
			default:
			}
			return false
		}
		return c.Close() == nil
	})
	return in
}

// until waits for something that comes by itself.
func until(t *testing.T, what string, well func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !well(); time.Sleep(250 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it has not come to this: %s", what)
		}
	}
}

// provider runs the one for development.
func (in *installation) provider(t *testing.T, dir string) (address string) {
	t.Helper()
	program, listen := filepath.Join(dir, "devidp"), process.Free(t, "127.0.0.1")
	build := exec.Command("go", "build", "-o", program, "./sso-bridge/cmd/devidp")
	build.Dir = path(t, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	process.Start(t, []string{"DEVIDP_CLIENT_SECRET=" + clientSecret}, program, "--listen", listen,
		"--redirect-uri", "http://"+in.bridgePublic+"/sso/oidc/callback/dev", "--consumer-url", "http://"+in.bridgePublic+"/sso/saml/acs/dev-saml",
	).Until("http://" + listen + "/.well-known/openid-configuration")
	return "http://" + listen
}

func connections(provider, secretFile string) string {
	return fmt.Sprintf(`version: 1
connections:
  - id: dev
    name: by OpenID
    preset: generic-oidc
    intents: [device_flow, account_login]
    enable: force
    reason: a test
    oidc: { issuer: %q, client_id: dify-sso, client_secret_file: %q }
  - id: dev-saml
    name: by SAML
    preset: generic-saml
    intents: [device_flow]
    domains: [saml.corp.example]
    enable: force
    reason: a test
    saml: { metadata_url: %q }
    claims: { groups: groups }
`, provider, secretFile, provider+"/saml/metadata")
}

// runtime answers a chat with two events.
func runtime(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for _, event := range []string{
			`{"event":"message","task_id":"t","id":"m","message_id":"m","conversation_id":"c","answer":"hello","created_at":1700000000}`,
			`{"event":"message_end","task_id":"t","id":"m","message_id":"m","conversation_id":"c","metadata":{}}`,
		} {
			_, _ = fmt.Fprintf(w, "data: %s\n\n", event)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// certificate makes one for ninety days that signs itself.
func certificate(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "core of the tests"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, 90),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, dir, "tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		file(t, dir, "tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

// spoilKeyset puts something else in the file of the key set and tells the bridge to read it.
func (in *installation) spoilKeyset(t *testing.T) error {
	t.Helper()
	if err := os.WriteFile(in.keys, []byte("{}"), 0o600); err != nil {
		return err
	}
	in.bridge.Signal(syscall.SIGHUP)
	return nil
}
