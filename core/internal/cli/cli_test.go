// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/cli"
)

// result is what a command said.
type result struct {
	code     int
	out, err string
}

// run runs one command on a data directory.
func run(t *testing.T, dir, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := cli.Run(args, cli.Env{
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Environ: []string{"DATA_DIR=" + dir}, Version: "1.2.3",
	})
	return result{code: code, out: out.String(), err: errs.String()}
}

func TestExitCodesAndMessages(t *testing.T) {
	dir := t.TempDir()
	cases := []struct {
		name     string
		args     []string
		stdin    string
		code     int
		out, err string // patterns
	}{
		{name: "version", args: []string{"version"}, out: `^core 1\.2\.3\n$`},
		{name: "version as JSON", args: []string{"version", "-o", "json"}, out: `^{"version":"1\.2\.3"}\n$`},
		{name: "help", args: []string{"--help"}, out: `(?s)core serve.*Exit codes`},
		{name: "unknown command", args: []string{"servee"}, code: 2, err: `core has no command "servee"`},
		{name: "unknown command of a group", args: []string{"admin", "x"}, code: 2, err: `core admin has no command "x"`},
		{name: "unknown flag", args: []string{"serve", "--lissten", "x"}, code: 2, err: `unknown flag: --lissten`},
		{name: "unexpected argument", args: []string{"config", "check", "x"}, code: 2, err: `unexpected argument "x"`},
		{name: "unknown output", args: []string{"version", "-o", "xml"}, code: 2, err: `-o takes text or json`},
		{name: "settings hold", args: []string{"config", "check"}, out: `^The configuration holds\.\n$`},
		{name: "settings hold with a warning, as JSON", args: []string{"config", "check", "-o", "json", "--oauth-ttl-days", "0"}, out: `"warnings":\["OAUTH_TTL_DAYS=0`},
		{name: "settings do not hold", args: []string{"config", "check", "--listen", "x", "--log-format", "y"}, code: 2, err: `(?s)does not hold:\n  LISTEN: .*\n  LOG_FORMAT: `},
		{name: "settings are printed", args: []string{"config", "print", "--listen", "127.0.0.1:7"}, out: `(?m)^LISTEN=127\.0\.0\.1:7$`},
		{name: "nothing migrated yet", args: []string{"migrate", "status"}, code: 1, out: `^database 0, program 4, pending 4\n$`, err: `core migrate up`},
		{name: "M-32 an absent schema is made", args: []string{"migrate", "up", "-o", "json"}, out: `^{"applied":\[1,2,3,4\]}\n$`},
		{name: "M-32 a second time changes nothing", args: []string{"migrate", "up", "-o", "json"}, out: `^{"applied":\[\]}\n$`},
		{name: "schema fits", args: []string{"migrate", "status", "-o", "json"}, out: `^{"database":4,"pending":0,"program":4}\n$`},
		{name: "schema taken back", args: []string{"migrate", "down"}, out: `^Version 4 taken back\.\n$`},
		{name: "no password file", args: []string{"admin", "create-owner"}, code: 2, err: `--password-file is required`},
		{name: "fields of the owner", args: []string{"admin", "create-owner", "--password-file", "-", "--email", "nobody"}, stdin: "x", code: 2, err: `--email, --name, --workspace: missing`},
		{name: "a password that is too short", args: owner(), stdin: "short\n", code: 1, err: `password too short`},
		{name: "set-up code", args: []string{"admin", "setup-code"}, out: `(?s)^Set-up code: \S{43}\nOr open http://127\.0\.0\.1:5001/setup\?code=`},
		{name: "owner", args: owner(), stdin: apitest.OwnerPassword + "\nsecond line", out: `^Owner ada@example\.com created\.`},
		{name: "W-10 a second owner is refused", args: owner(), stdin: apitest.OwnerPassword, code: 1, err: `already set up`},
		{name: "W-10 no set-up code is needed any more", args: []string{"admin", "setup-code"}, code: 1, err: `already set up`},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got := run(t, dir, tc.stdin, tc.args...)
			if got.code != tc.code {
				t.Errorf("exit %d, want %d", got.code, tc.code)
			}
			for pattern, text := range map[string]string{tc.out: got.out, tc.err: got.err} {
				if !regexp.MustCompile(pattern).MatchString(text) {
					t.Errorf("said %q and %q", got.out, got.err)
				}
			}
			if strings.Contains(got.out+got.err, apitest.OwnerPassword) {
				t.Error("the password is in the output")
			}
		})
	}
}

func owner() []string {
	return []string{"admin", "create-owner", "--email", "Ada@Example.com", "--name", "Ada", "--workspace", "Engines", "--password-file", "-"}
}

// serving runs serve until the test ends and gives its ports.
func serving(t *testing.T, env cli.Env, args ...string) (public string, finished func() int) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ports, done := make(chan string, 1), make(chan int, 1)
	env.Signals = func(context.Context) (context.Context, context.CancelFunc) { return ctx, stop }
	env.Started = func(public, _ string) { ports <- public }
	go func() {
		done <- cli.Run(append([]string{"serve", "--listen", "127.0.0.1:0", "--inner-listen", "127.0.0.1:0"}, args...), env)
	}()
	select {
	case public = <-ports:
	case code := <-done:
		t.Fatalf("serve ended with %d", code)
	}
	finished = func() int { stop(); return <-done }
	return public, finished
}

func TestServe(t *testing.T) {
	dir := t.TempDir()
	var out, errs apitest.Buffer
	env := cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Environ: []string{"DATA_DIR=" + dir}, Version: "1.2.3", Terminal: true}
	public, finished := serving(t, env)
	res, err := http.Get("http://" + public + "/openapi/v1/_health")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if string(body) != `{"ok":true}` {
		t.Errorf("health says %q", body)
	}
	t.Run("W-10 a terminal gets the link once, the log never", func(t *testing.T) {
		link := regexp.MustCompile(`http://127\.0\.0\.1:5001/setup\?code=([A-Za-z0-9_-]{43})\n`).FindStringSubmatch(out.String())
		if link == nil || !strings.Contains(out.String(), "difyauth login --host http://127.0.0.1:5001") {
			t.Fatalf("the terminal shows %q", out.String())
		}
		if strings.Contains(errs.String(), link[1]) {
			t.Error("the set-up code is in the log")
		}
	})
	t.Run("M-19 OUT-03 a second server on the directory is refused with the first's id", func(t *testing.T) {
		got := run(t, dir, "", "serve", "--listen", "127.0.0.1:0", "--inner-listen", "127.0.0.1:0")
		if got.code != 1 || !strings.Contains(got.err, "another core (process "+itoa(os.Getpid())+") is serving") {
			t.Fatalf("exit %d: %s", got.code, got.err)
		}
	})
	t.Run("a migration beside a server is refused", func(t *testing.T) {
		if got := run(t, dir, "", "migrate", "down"); got.code != 1 || !strings.Contains(got.err, "is serving") {
			t.Fatalf("exit %d: %s", got.code, got.err)
		}
	})
	t.Run("W-10 setup-code beside a server voids the former", func(t *testing.T) {
		got := run(t, dir, "", "admin", "setup-code", "-o", "json")
		var answer struct {
			Code string `json:"setup_code"`
		}
		if err := json.Unmarshal([]byte(got.out), &answer); err != nil || len(answer.Code) != 43 || strings.Contains(out.String(), answer.Code) {
			t.Fatalf("%v: %s %s", err, got.out, got.err)
		}
	})
	if code := finished(); code != 0 {
		t.Errorf("exit %d after a signal: %s", code, errs.String())
	}
	t.Run("a port that is taken", func(t *testing.T) {
		other, end := serving(t, cli.Env{Stdout: io.Discard, Stderr: io.Discard, Environ: []string{"DATA_DIR=" + t.TempDir()}, Version: "1"})
		defer end()
		if got := run(t, dir, "", "serve", "--listen", other); got.code != 1 || !strings.Contains(got.err, "LISTEN: ") {
			t.Fatalf("exit %d: %s", got.code, got.err)
		}
	})
}

func TestServeOfWhatIsSetUp(t *testing.T) {
	dir := t.TempDir()
	if got := run(t, dir, "a long enough password\n", "admin", "create-owner", "--email", "ada@example.com", "--name", "Ada", "--workspace", "Engines", "--password-file", "-"); got.code != 0 {
		t.Fatal(got.err)
	}
	t.Run("W-10 the terminal gets no link and begins with the next step", func(t *testing.T) {
		var out apitest.Buffer
		_, finished := serving(t, cli.Env{Stdout: &out, Stderr: io.Discard, Environ: []string{"DATA_DIR=" + dir}, Version: "1", Terminal: true})
		finished()
		if strings.Contains(out.String(), "/setup") || !strings.Contains(out.String(), "\nSign a command line in") {
			t.Errorf("the terminal shows %q", out.String())
		}
	})
}

func TestWithoutATerminalNoCodeIsPrinted(t *testing.T) {
	t.Run("W-10 no terminal, no code", func(t *testing.T) {
		var out, errs apitest.Buffer
		dir := t.TempDir()
		_, finished := serving(t, cli.Env{Stdout: &out, Stderr: &errs, Environ: []string{"DATA_DIR=" + dir}, Version: "1"})
		finished()
		if out.String() != "" || strings.Contains(errs.String(), "code=") {
			t.Fatalf("printed %q, logged %q", out.String(), errs.String())
		}
	})
	t.Run("SETUP_TOKEN is the code and is never shown", func(t *testing.T) {
		var out, errs apitest.Buffer
		const code = "a-code-that-the-operator-chose"
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(code+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, finished := serving(t, cli.Env{Stdout: &out, Stderr: &errs, Environ: []string{"DATA_DIR=" + t.TempDir(), "SETUP_TOKEN_FILE=" + file}, Version: "1", Terminal: true})
		finished()
		if !strings.Contains(out.String(), "/setup\n") || strings.Contains(out.String()+errs.String(), code) {
			t.Fatalf("printed %q, logged %q", out.String(), errs.String())
		}
	})
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }
