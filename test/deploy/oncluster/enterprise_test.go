// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/dify-sso/dify-sso/test/deploy/process"
	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

// Names of the example ee-values.yaml.
const (
	consoleHost, ssoHost, idpHost = "console.corp.example", "sso.corp.example", "id.corp.example"
	idpSecret                     = "the secret of a client at a provider, 0123456789"
)

// enterprise installs the chart's own example of the Enterprise Edition, two pods of
// each service, with https between them, on stores of its own and with a provider.
func enterprise(t *testing.T) *installation {
	t.Helper()
	n := newNode(t)
	t.Cleanup(n.close)
	public, inner := newAuthority(t), newAuthority(t)
	n.roots = public.pem
	filled := map[string]string{}
	prefixes := map[string]string{}
	for _, component := range []string{"core", "bridge"} {
		filled["sso-"+component+"/database-url"], filled["sso-"+component+"/redis-url"], prefixes[component] = n.stores()
		n.secrets["sso-"+component+"-tls"] = inner.inner(t, component)
	}
	n.draw(t, filled, "--enterprise")
	n.secrets["sso-probe"] = account()
	n.configs["inner-roots"] = corev1.ConfigMap{Data: map[string]string{"ca.crt": string(inner.pem), "idp.crt": string(public.pem)}}

	m := render(t, "ee", fmt.Sprintf(`
core: {config: {REDIS_KEY_PREFIX: %q, DATABASE_MAX_CONNS: 6}}
bridge: {config: {REDIS_KEY_PREFIX: %q, DATABASE_MAX_CONNS: 6}, connections: {existingSecret: ""}}
probeClient: {existingSecret: sso-probe, ca: {configMap: inner-roots}}
`, prefixes["core"], prefixes["bridge"]))
	n.serve(m.services)

	idp := process.Free(t, "127.0.0.1")
	n.front(t, m, public.sign(t, consoleHost, ssoHost, idpHost), map[string][]place{idpHost: {{path: "/", backend: "http://" + idp, prefix: true}}})
	process.Start(t, nil, process.Program(t, "devidp"), "--listen", idp, "--issuer", "https://"+idpHost, "--client-id", "dify-sso", "--client-secret", idpSecret,
		"--redirect-uri", "https://"+ssoHost+"/sso/oidc/callback/corp").Until("http://" + idp + "/.well-known/openid-configuration")
	return n.install(t, m, "https://"+consoleHost)
}

func TestTheEnterpriseEdition(t *testing.T) {
	t.Parallel()
	in := enterprise(t)
	defer in.close()
	in.setUp(t)
	cores, bridges := in.core().pods, in.bridge().pods
	if len(cores) != 2 || len(bridges) != 2 {
		t.Fatalf("%d pods of core, %d of the bridge", len(cores), len(bridges))
	}
	t.Run("a client signs in and out", func(t *testing.T) { in.signsIn(t) })
	t.Run("the processes have the user, the rights and the file system of the manifests", func(t *testing.T) { in.asDeclared(t) })

	t.Run("a connection is made, tried and enabled by the command of the notes", func(t *testing.T) {
		command := in.m.told(t, "sso-dify-sso-bridge", "connection")
		connection := func(p *pod, stdin string, args ...string) string {
			t.Helper()
			return p.must(t, stdin, append([]string{command[0], command[1]}, args...)...)
		}
		connection(bridges[0], idpSecret, "create", "--preset", "generic-oidc", "--id", "corp", "--name", "Corp", "--issuer", "https://"+idpHost,
			"--client-id", "dify-sso", "--client-secret-file", "/dev/stdin", "--domains", "corp.example", "--intents", "device_flow")
		link := regexp.MustCompile(`https://` + regexp.QuoteMeta(ssoHost) + `/\S+`).FindString(connection(bridges[1], "", "test", "corp"))
		if link == "" {
			t.Fatal("connection test prints no link")
		}
		p := in.browser(t).open(link)
		if p.at.Host == ssoHost { // a page that asks before it goes on
			p = p.submit("")
		}
		p.choose("alice").must("alice@corp.example")
		connection(bridges[0], "", "enable", "corp")
	})
	t.Run("SSO-54 people sign in by their company across the pods", func(t *testing.T) {
		for i := range 3 { // a connection of the front each: the pods take turns
			v := visitor.New(in.address, in.transport(in.roots))
			code, err := v.Begin(t.Context(), fmt.Sprintf("terminal %d", i))
			if err != nil {
				t.Fatal(err)
			}
			b := in.browser(t)
			b.open(in.address+"/device").submit("/device", "user_code", code.UserCode).must("sso-initiate").
				click("sso-initiate").choose("alice").must("alice@corp.example").submit("approve-external").must("connected")
			for _, stage := range []string{"/sso/start/", "/sso/oidc/callback/corp", "sso-complete"} {
				if !strings.Contains(fmt.Sprint(b.hops), stage) {
					t.Errorf("the browser never was at %s: %v", stage, b.hops)
				}
			}
			token, err := v.Poll(t.Context(), code)
			if err != nil || !strings.HasPrefix(token, "dfoe_") {
				t.Fatalf("%.5s… %v", token, err)
			}
			var who struct {
				Email string `json:"subject_email"`
			}
			if err := v.Get(t.Context(), token, "/openapi/v1/account", &who); err != nil || who.Email != "alice@corp.example" {
				t.Errorf("%+v %v", who, err)
			}
		}
		for _, p := range append(append([]*pod{}, cores...), bridges...) {
			if said := p.logs(); !strings.Contains(said, `"route":"/openapi/`) && !strings.Contains(said, `"route":"/sso/`) {
				t.Errorf("pod %s served nothing:\n%s", p.name, p.logs())
			}
		}
	})
	t.Run("INN-07 nothing of the second listeners is public", func(t *testing.T) { in.closed(t, in.address, "https://"+ssoHost) })
	t.Run("helm test", func(t *testing.T) {
		if said := in.helmTest(t, in.m.tests); !strings.Contains(said, "Signed in and out") {
			t.Errorf("it does not sign in:\n%s", said)
		}
	})
	t.Run("core doctor", func(t *testing.T) { in.examined(t, cores[1], "/core", "core", "https", "5002") })
	t.Run("sso-bridge doctor", func(t *testing.T) { in.examined(t, bridges[1], "/sso-bridge", "bridge", "https", "5004") })
	t.Run("no secret but in mounted files", func(t *testing.T) { in.secretless(t) })
}
