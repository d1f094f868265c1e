// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/cli"
	"github.com/dify-sso/dify-sso/core/internal/runtimetest"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// The server alone is told that its runtimes are on this machine, and for how long it
// waits: what the command finds out it has found out there.
func TestAChecksCallIsTheServers(t *testing.T) {
	dir := adInstalled(t)
	desk := runtimetest.New(t, appKey)
	secure := runtimetest.NewTLS(t, appKey) // of an authority that nobody trusts
	closed := closedPort(t)
	var log apitest.Buffer
	_, finished := serving(t, cli.Env{Stdin: strings.NewReader(""), Stdout: &log, Stderr: &log, Version: "1.2.3", Environ: []string{
		"DATA_DIR=" + dir, "RUNTIME_ALLOWED_HOSTS=127.0.0.1,nowhere.invalid", "RUNTIME_HEADER_TIMEOUT=200ms",
	}})
	set := func(args ...string) {
		t.Helper()
		if got := run(t, dir, appKey, append([]string{"app"}, args...)...); got.code != 0 {
			t.Fatalf("%v: %+v", args, got)
		}
	}
	set("add", "Desk", "--mode", "chat", "--runtime-url", desk.URL, "--key-file", "-")
	for _, tc := range []struct {
		name    string
		set     []string
		script  runtimetest.Script
		problem string // empty for none
		says    string
	}{
		{name: "it answers", says: "Desk: The runtime answers and takes the app's key."},
		{name: "the key is refused", script: runtimetest.Script{runtimetest.Status(401, "unauthorized", "Access token is invalid "+appKey)}, problem: "key_refused", says: "refuses the app's key. Make a new API key there"},
		{name: "no key", set: []string{"--no-key"}, script: runtimetest.Script{runtimetest.Status(401, "unauthorized", "x")}, problem: "key_missing", says: "the app has none"},
		{name: "not set up", set: []string{"--key-file", "-"}, script: runtimetest.Script{runtimetest.Status(400, "app_unavailable", "App unavailable")}, problem: "not_configured"},
		{name: "another mode", set: []string{"--mode", "workflow"}, problem: "mode_mismatch", says: "is workflow here and chat at its runtime"},
		{name: "it hangs", set: []string{"--mode", "chat"}, script: runtimetest.Script{runtimetest.Hang()}, problem: "timeout", says: "RUNTIME_HEADER_TIMEOUT"},
		{name: "a page", script: runtimetest.Script{runtimetest.Answer(200, "<html>welcome</html>")}, problem: "no_answer"},
		{name: "a redirect", script: runtimetest.Script{runtimetest.Redirect(307, "http://127.0.0.1:9/v1/parameters")}, problem: "redirect"},
		{name: "TLS", set: []string{"--runtime-url", secure.URL}, problem: "tls", says: "certificate"},
		{name: "a closed port", set: []string{"--runtime-url", closed}, problem: "connection_refused"},
		{name: "a name", set: []string{"--runtime-url", "http://nowhere.invalid"}, problem: "name_unknown"},
		{name: "the list is closed", problem: "address_refused", says: "RUNTIME_ALLOWED_HOSTS opens it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.problem == "address_refused" { // who opens the list closes it again behind an app
				set("set", "Desk", "--runtime-url", desk.URL)
				finished()
				_, finished = serving(t, cli.Env{Stdin: strings.NewReader(""), Stdout: &log, Stderr: &log, Version: "1.2.3", Environ: []string{"DATA_DIR=" + dir, "RUNTIME_ALLOWED_HOSTS=127.0.0.2"}})
			}
			if tc.set != nil {
				set(append([]string{"set", "Desk"}, tc.set...)...)
			}
			scripts := []runtimetest.Script{tc.script, tc.script} // for both ways of asking
			if tc.script == nil {
				scripts = nil
			}
			desk.On(runtimetest.Parameters, scripts...)
			got := run(t, dir, "", "app", "check", "Desk", "-o", "json")
			if want := fmt.Sprintf(`"problem":%q`, tc.problem); tc.problem != "" && (got.code != 1 || !strings.Contains(got.out, want) || !strings.Contains(got.out, `"ok":false`)) || tc.problem == "" && (got.code != 0 || !strings.Contains(got.out, `"ok":true`)) {
				t.Errorf("%+v", got)
			}
			text := run(t, dir, "", "app", "check", "Desk")
			if text.code != got.code || !strings.Contains(text.out+text.err, tc.says) {
				t.Errorf("%+v", text)
			}
			for _, said := range []string{got.out + got.err, text.out + text.err, log.String()} {
				if strings.Contains(said, appKey) || strings.Contains(said, closed) {
					t.Errorf("a key or an address is in %s", said)
				}
			}
		})
	}
	if code := finished(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// closedPort is an address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	port, err := testserver.FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return "http://127.0.0.1:" + port
}
