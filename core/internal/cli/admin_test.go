// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/cli"
	"github.com/dify-sso/dify-sso/pkg/datadir"
)

const adID = "0190d1f4-7c3a-7b1e-9c55-0242ac120002"

// adRun runs a command in a terminal at which a person types.
func adRun(t *testing.T, dir, typed string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := cli.Run(args, cli.Env{
		Stdin: strings.NewReader(typed), Stdout: &out, Stderr: &errs, Environ: []string{"DATA_DIR=" + dir}, Version: "1.2.3",
		Terminal: true, Asks: true, Patience: time.Millisecond,
	})
	return result{code: code, out: out.String(), err: errs.String()}
}

// adInstalled is a data directory with its first owner.
func adInstalled(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if got := run(t, dir, apitest.OwnerPassword, owner()...); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	return dir
}

func TestAdminArguments(t *testing.T) {
	dir := adInstalled(t)
	for _, tc := range []struct {
		name string
		args string
		code int
		err  string // a pattern
	}{
		{"set-status without arguments", "set-status", 2, `0 arguments given, and it is: core admin set-status EMAIL\|ID`},
		{"set-status of nobody that can be", "set-status ada banned", 2, `the first argument: must be an account's id or e-mail`},
		{"set-status to something else", "set-status ada@example.com gone", 2, `the second argument: must be active, banned or closed`},
		{"set-status of an unknown account", "set-status bob@example.com banned", 1, `No such account`},
		{"set-status of the last administrator", "set-status ada@example.com banned", 1, `last active deployment administrator`},
		{"create-account without a password", "create-account --email bob@example.com --name Bob", 2, `--password-file is required`},
		{"create-account of nobody", "create-account --password-file -", 2, `--email, --name: missing or not valid`},
		{"set-password without a password", "set-password ada@example.com", 2, `--password-file is required`},
		{"set-password of nobody that can be", "set-password ada --password-file -", 2, `the first argument: must be an account's id or e-mail`},
		{"set-password without arguments", "set-password --password-file -", 2, `0 arguments given, and it is: core admin set-password EMAIL\|ID`},
		{"set-password that is empty", "set-password ada@example.com --password-file -", 1, `The password is not taken, and nothing was done\. It is a password too short`},
		{"grant-admin of nobody that can be", "grant-admin ada", 2, `the first argument: must be an account's id or e-mail`},
		{"grant-admin of an unknown account", "grant-admin bob@example.com", 1, `No such account`},
		{"revoke-admin of the last administrator", "revoke-admin ada@example.com", 1, `last active deployment administrator`},
		{"list-accounts of no e-mail", "list-accounts --email ada", 2, `--email: must be an e-mail address`},
		{"list-accounts of no status", "list-accounts --status gone", 2, `--status: must be pending, active, banned or closed`},
		{"list-accounts of no page", "list-accounts --page 0 --limit 201", 2, `--page: must be above zero; --limit: must be 1 to 200`},
		{"list of no e-mail", "tokens list --email ada", 2, `--email: must be an e-mail address`},
		{"list with an argument", "tokens list ada@example.com", 2, `unexpected argument`},
		{"revoke of no id", "tokens revoke x", 2, `SESSION_ID: must be the id of a session`},
		{"revoke of an unknown session", "tokens revoke " + adID, 1, `No such session`},
		{"revoke without an id", "tokens revoke", 2, `0 arguments given`},
		{"revoke-subject of nobody", "revoke-subject --reason r", 2, `--account: is required, or an e-mail, or an issuer`},
		{"revoke-subject without a reason", "revoke-subject --account " + adID, 2, `--reason: is required`},
		{"revoke-subject with a long reason", "revoke-subject --account " + adID + " --reason " + strings.Repeat("x", 65), 2, `--reason: is required`},
		{"revoke-subject of two", "revoke-subject --account " + adID + " --email a@b.c --issuer i --reason r", 2, `--issuer, --email: does not go with an account's id`},
		{"revoke-subject of an issuer", "revoke-subject --issuer i --reason r", 2, `--subject-id: is required with an issuer, or an e-mail`},
		{"revoke-subject of a subject", "revoke-subject --subject-id s --reason r", 2, `--issuer: is required with a subject id`},
		{"revoke-subject of subject and e-mail", "revoke-subject --issuer i --subject-id s --email a@b.c --reason r", 2, `--email: does not go with a subject id`},
		{"revoke-subject of no id", "revoke-subject --account x --reason r", 2, `--account: must be an account's id`},
		{"revoke-subject of no e-mail", "revoke-subject --email x --reason r", 2, `--email: must be an e-mail address`},
		{"revoke-subject of an unknown e-mail", "revoke-subject --email bob@example.com --reason r", 1, `No account has this e-mail, and nothing was done\. For a person`},
		{"revoke-subject of whomever an issuer knows", "revoke-subject --issuer i --email bob@example.com --reason r", 0, `^$`},
		{"an id that no account has", "revoke-subject --account " + adID + " --reason r", 0, `^$`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := run(t, dir, "", append([]string{"admin"}, strings.Fields(tc.args)...)...)
			if got.code != tc.code || !regexp.MustCompile(tc.err).MatchString(got.err) {
				t.Errorf("%+v", got)
			}
			if tc.code == 0 && !strings.HasPrefix(got.out, "0 tokens revoked, 0 browsers signed out. Approvals given until ") {
				t.Errorf("%+v", got)
			}
		})
	}
	t.Run("every command has examples", func(t *testing.T) {
		for _, words := range []string{"", "create-owner", "setup-code", "create-account", "list-accounts", "set-password", "grant-admin", "revoke-admin", "set-status", "tokens list", "tokens revoke", "revoke-subject",
			"backup", "restore", "rotate-secret-key", "rotate-sealing-key", "support-bundle"} {
			got := run(t, dir, "", append(append([]string{"admin"}, strings.Fields(words)...), "--help")...)
			if got.code != 0 || !strings.Contains(got.out, "\n  core admin "+words) {
				t.Errorf("%s: %+v", words, got)
			}
		}
	})
	t.Run("no command takes a password", func(t *testing.T) {
		if got := run(t, dir, "", append(owner(), "--password", "x")...); got.code != 2 || !strings.Contains(got.err, "unknown flag: --password") {
			t.Errorf("%+v", got)
		}
	})
}

func TestAPersonIsAskedFirst(t *testing.T) {
	dir := adInstalled(t)
	revoke := []string{"admin", "revoke-subject", "--email", "ada@example.com", "--reason", "lost"}
	const question = "End all access of ada@example.com? [y/N] "
	for typed, done := range map[string]bool{"y\n": true, "YES\n": true, "n\n": false, "\n": false, "": false, "yes please\n": false} {
		got := adRun(t, dir, typed, revoke...)
		if (got.code == 0) != done || !strings.HasPrefix(got.err, question) || done != strings.Contains(got.out, "Receipt") || done == strings.Contains(got.err, "nothing was done") {
			t.Errorf("typed %q: %+v", typed, got)
		}
	}
	if got := adRun(t, dir, "", append(revoke, "--yes")...); got.code != 0 || got.err != "" {
		t.Errorf("with --yes: %+v", got)
	}
	if got := run(t, dir, "", revoke...); got.code != 0 || got.err != "" {
		t.Errorf("without a terminal: %+v", got)
	}
	if got := adRun(t, dir, "", "admin", "set-status", "ada@example.com", "active"); got.code != 0 || got.err != "" || got.out != "ada@example.com was active already.\n" {
		t.Errorf("what ends nothing: %+v", got)
	}
	for _, args := range [][]string{{"admin", "tokens", "revoke", adID}, {"admin", "set-status", "ada@example.com", "closed"}} {
		if got := adRun(t, dir, "", args...); got.code != 1 || !strings.Contains(got.err, "[y/N] ") || !strings.Contains(got.err, "nothing was done") {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestWhereNothingIs(t *testing.T) {
	t.Run("a wrong DATA_DIR is said to be one, and nothing is made in it", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "mistyped")
		for _, words := range []string{"tokens list", "tokens revoke " + adID, "set-status ada@example.com banned", "revoke-subject --email ada@example.com --reason r",
			"list-accounts", "grant-admin ada@example.com", "set-password ada@example.com --password-file -", "create-account --email a@b.c --name A --password-file -"} {
			got := run(t, dir, "", append([]string{"admin"}, strings.Fields(words)...)...)
			if got.code != 1 || !strings.Contains(got.err, "there is no installation in "+dir) {
				t.Errorf("%s: %+v", words, got)
			}
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("the directory: %v", err)
		}
	})
	t.Run("root does not write where somebody else serves", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("root alone could")
		}
		dir := adInstalled(t)
		if err := os.Chown(filepath.Join(dir, app.DatabaseFile), 65534, 65534); err != nil {
			t.Fatal(err)
		}
		got := run(t, dir, "", "admin", "tokens", "list")
		if got.code != 1 || !strings.Contains(got.err, "run this command as them") {
			t.Fatalf("%+v", got)
		}
	})
}

func TestCommandsWithoutAServer(t *testing.T) {
	t.Run("M-31 six at once wait for each other, and the last code counts", func(t *testing.T) {
		dir := t.TempDir()
		var wg sync.WaitGroup
		codes := make(chan string, 6)
		for range cap(codes) {
			wg.Go(func() {
				got := run(t, dir, "", "admin", "setup-code", "-o", "json")
				var answer struct {
					Code string `json:"setup_code"`
				}
				if err := json.Unmarshal([]byte(got.out), &answer); err != nil || len(answer.Code) != 43 {
					t.Errorf("%v: %+v", err, got)
				}
				codes <- answer.Code
			})
		}
		wg.Wait()
		close(codes)
		seen := map[string]bool{}
		for code := range codes {
			seen[code] = true
		}
		if len(seen) != 6 {
			t.Errorf("%d codes", len(seen))
		}
	})
	lock := func(t *testing.T, dir, does string) (release func()) {
		t.Helper()
		d, err := datadir.Open(app.Program, dir)
		if err != nil {
			t.Fatal(err)
		}
		drop, err := d.Lock(does)
		if err != nil {
			t.Fatal(err)
		}
		return sync.OnceFunc(func() {
			if err := drop(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("M-31 another command that does not end is named", func(t *testing.T) {
		dir := adInstalled(t)
		defer lock(t, dir, "admin set-status")()
		got := adRun(t, dir, "", "admin", "tokens", "list")
		if got.code != 1 || !strings.Contains(got.err, "(process "+itoa(os.Getpid())+`) is at work in `+dir+` with "core admin set-status"`) {
			t.Fatalf("%+v", got)
		}
		got = adRun(t, dir, "", "serve", "--listen", "127.0.0.1:0", "--inner-listen", "127.0.0.1:0")
		if got.code != 1 || !strings.Contains(got.err, `is at work in `+dir) {
			t.Fatalf("serve: %+v", got)
		}
	})
	t.Run("M-31 a server that cannot be asked is named", func(t *testing.T) {
		dir := adInstalled(t)
		defer lock(t, dir, datadir.Serving)()
		got := adRun(t, dir, "", "admin", "tokens", "list")
		if got.code != 1 || !strings.Contains(got.err, "a core (process "+itoa(os.Getpid())+") has "+dir+" and cannot be asked") {
			t.Fatalf("%+v", got)
		}
	})
	t.Run("M-31 a server waits for a command", func(t *testing.T) {
		dir := adInstalled(t)
		release := lock(t, dir, "admin set-status")
		go release()
		_, finished := serving(t, cli.Env{Stdout: &apitest.Buffer{}, Stderr: &apitest.Buffer{}, Environ: []string{"DATA_DIR=" + dir}, Version: "1", Patience: time.Minute})
		if code := finished(); code != 0 {
			t.Errorf("exit %d", code)
		}
	})
}

func TestTheSocketOfAServer(t *testing.T) {
	dir := adInstalled(t)
	socket := filepath.Join(dir, datadir.ControlFile)
	var out, errs apitest.Buffer
	_, finished := serving(t, cli.Env{Stdout: &out, Stderr: &errs, Environ: []string{"DATA_DIR=" + dir}, Version: "1.2.3"})
	t.Run("M-31 OUT-03 is its owner's alone", func(t *testing.T) {
		info, err := os.Lstat(socket)
		if err != nil || info.Mode() != os.ModeSocket|0o600 || int(info.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
			t.Fatalf("%v %v", info, err)
		}
	})
	t.Run("OUT-03 is not used when others could open it", func(t *testing.T) {
		if err := os.Chmod(socket, 0o666); err != nil {
			t.Fatal(err)
		}
		got := run(t, dir, "", "admin", "tokens", "list")
		if got.code != 1 || !strings.Contains(got.err, "not to be trusted") {
			t.Fatalf("%+v", got)
		}
		if err := os.Chmod(socket, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("M-31 answers a command, under its operator's name", func(t *testing.T) {
		got := run(t, dir, "", "admin", "tokens", "list")
		if got.code != 0 || got.out != "" || got.err != "No live sessions.\n" {
			t.Fatalf("%+v", got)
		}
		if log := errs.String(); !strings.Contains(log, `"operation":"tokens"`) || !strings.Contains(log, `"actor_id":"cli:`) {
			t.Errorf("log %s", log)
		}
	})
	t.Run("M-31 tells a refusal in the words of the service", func(t *testing.T) {
		got := run(t, dir, apitest.OwnerPassword, owner()...)
		if got.code != 1 || got.err != "core: This installation is already set up. Sign in.\n" {
			t.Fatalf("%+v", got)
		}
		got = run(t, dir, "", "admin", "revoke-subject", "--email", "bob@example.com", "--reason", "r")
		if got.code != 1 || !strings.Contains(got.err, "No account has this e-mail, and nothing was done. For a person") {
			t.Fatalf("%+v", got)
		}
	})
	if code := finished(); code != 0 {
		t.Errorf("exit %d: %s", code, errs.String())
	}
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
	if strings.Contains(errs.String(), apitest.OwnerPassword) {
		t.Error("the password is in the log")
	}
}
