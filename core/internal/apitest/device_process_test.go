// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/cli"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// How a test tells the process that it starts what to do; the arguments of core follow
// in the environment too, one a line.
const (
	dvArgs   = "DV_CORE_ARGS"
	dvKillAt = "DV_KILL_AT" // the step, from 1, of a victim's request at which the process kills itself
	dvTermAt = "DV_TERM_AT" // the name of the step at which it gets SIGTERM and goes on once it drains
	victim   = "victim"     // the User-Agent of the request that these are about, or the version of the command
)

// TestCoreProcess is no test: it is what the tests of this file start as a process of
// its own, this program run as the command core.
func TestCoreProcess(t *testing.T) {
	args, ok := os.LookupEnv(dvArgs)
	if !ok {
		return
	}
	go func() { // the parent has gone: nobody would end this process
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	f := &dvFaults{}
	started := make(chan string, 1)
	killAt, _ := strconv.Atoi(os.Getenv(dvKillAt))
	termAt := os.Getenv(dvTermAt)
	var once sync.Once
	var mu sync.Mutex
	f.set(func(by audit.Request, step string) error {
		if strings.TrimPrefix(by.UserAgent, "core/") != victim {
			return nil
		}
		mu.Lock()
		killAt--
		kill := killAt == 0
		mu.Unlock()
		if kill {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		if step == termAt {
			once.Do(func() { dvDrains(<-started) })
		}
		return nil
	})
	os.Exit(cli.Run(strings.Split(args, "\n"), cli.Env{
		Stdin: strings.NewReader(apitest.OwnerPassword + "\n"), Stdout: os.Stdout, Stderr: os.Stderr, Version: apitest.Version,
		Options: app.Options{Wrap: f.wrap},
		Started: func(public, _ string) {
			started <- public
			fmt.Println("serving", public)
		},
	}))
}

// dvDrains ends this process with a signal and returns once it takes no connection.
func dvDrains(public string) {
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	for range 2000 {
		c, err := net.Dial("tcp", public)
		if err != nil {
			return
		}
		_ = c.Close()
		time.Sleep(5 * time.Millisecond)
	}
}

// dvProcess is core in a process of its own. Its Server answers the client's methods,
// and its stores are the database alone.
type dvProcess struct {
	*apitest.Server
	cmd    *exec.Cmd
	ended  chan struct{}
	stderr *apitest.Buffer
}

func dvCommand(t *testing.T, dir string, env []string, args ...string) (*exec.Cmd, *apitest.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd, stderr := exec.Command(self, "-test.run=^TestCoreProcess$"), &apitest.Buffer{}
	cmd.Env = append(append(os.Environ(), dvArgs+"="+strings.Join(append(args, "--data-dir", dir), "\n")), env...)
	cmd.Stderr, cmd.Dir = stderr, dir
	stdin, err := cmd.StdinPipe() // open as long as this process lives
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close() })
	return cmd, stderr
}

// dvDirectory is a data directory that is set up.
func dvDirectory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd, stderr := dvCommand(t, dir, nil, "admin", "create-owner", "--email", apitest.OwnerEmail, "--name", apitest.OwnerName,
		"--workspace", apitest.Workspace, "--password-file", "-")
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	return dir
}

// dvServe starts core on a data directory. Another process may take the port between
// our look and its listening, so that is tried again.
func dvServe(t *testing.T, dir string, env ...string) *dvProcess {
	t.Helper()
	return dvServeOn(t, dir, "http", env)
}

// dvServeTLS is dvServe with a certificate.
func dvServeTLS(t *testing.T, dir string, c apitest.Certificate) *dvProcess {
	t.Helper()
	return dvServeOn(t, dir, "https", nil, "--tls-cert-file", c.CertFile, "--tls-key-file", c.KeyFile)
}

func dvServeOn(t *testing.T, dir, scheme string, env []string, more ...string) *dvProcess {
	t.Helper()
	var off []string
	for _, name := range limits.Names() {
		off = append(off, name+"=0")
	}
	var said string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		_ = l.Close()
		cmd, stderr := dvCommand(t, dir, env, append([]string{"serve", "--listen", address, "--inner-listen", "127.0.0.1:0",
			"--console-api-url", scheme + "://" + address, "--rate-limits", strings.Join(off, ",")}, more...)...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		p := &dvProcess{cmd: cmd, ended: make(chan struct{}), stderr: stderr}
		line, _ := bufio.NewReader(out).ReadString('\n')
		go func() { _ = cmd.Wait(); close(p.ended) }()
		t.Cleanup(func() { _ = cmd.Process.Kill(); <-p.ended })
		if strings.HasPrefix(line, "serving ") {
			db, err := sqldb.OpenSQLite(context.Background(), filepath.Join(dir, app.DatabaseFile))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			p.Server = &apitest.Server{URL: scheme + "://" + address, Dir: dir, Clock: &apitest.Clock{}, App: &app.App{Stores: &app.Stores{DB: db}}}
			return p
		}
		<-p.ended
		said = stderr.String()
	}
	t.Fatalf("core does not serve: %s", said)
	return nil
}

// wait wants the process to end, by this signal or, with zero, with success.
func (p *dvProcess) wait(t testing.TB, by syscall.Signal) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(60 * time.Second):
		t.Fatalf("core does not end: %s", p.stderr)
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || by == 0 && p.cmd.ProcessState.ExitCode() != 0 || by != 0 && status.Signal() != by {
		t.Fatalf("core ended with %v: %s", p.cmd.ProcessState, p.stderr)
	}
}

func (p *dvProcess) stop(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.wait(t, 0)
}

// at gives the same person at a process that was started again.
func (p dvPerson) at(q *dvProcess) dvPerson { p.s = q.Server; return p }

func (p dvPerson) approves(t testing.TB, label string) apitest.Codes {
	t.Helper()
	c := p.s.Code(t, label)
	wantAnswer(t, p.decide(t, "approve", c.User), http.StatusOK, "")
	return c
}

// dvRow is what the database holds of a label: its live rows, the id of one and the
// digest of its token.
func dvRow(t testing.TB, s *apitest.Server, label string) (live int, id string, digest secret.Digest) {
	t.Helper()
	const from = ` FROM oauth_access_tokens WHERE device_label = $1 AND revoked_at IS NULL`
	live = sqlInt(t, s, `SELECT count(*)`+from, label)
	if live > 0 {
		id, digest = sqlText(t, s, `SELECT id`+from, label), sqlDigest(t, s, `SELECT token_hash`+from, label)
	}
	return live, id, digest
}

// The embedded grants die with their process: the client then reads expired_token.
func TestKilledWhileRedeeming(t *testing.T) {
	aboutEmbedded(t) // module test/fault kills processes of a fleet
	slow(t)
	steps := dvStart(t).redeemSteps(t)
	dir := dvDirectory(t)
	var owner dvPerson
	var dead apitest.Codes
	// verify asks the restarted process what is left of the login that was killed at
	// step i.
	verify := func(t *testing.T, p *dvProcess, i int) {
		label, committed := fmt.Sprintf("killed %d", i), i >= len(steps)-3
		wantAnswer(t, p.Poll(t, dead), http.StatusBadRequest, "expired_token")
		live, id, digest := dvRow(t, p.Server, label)
		if committed != (live == 1) || live > 1 {
			t.Fatalf("%d live rows, committed %v", live, committed)
		}
		if i == len(steps)-1 { // the session is seen and can be ended
			other := p.Poll(t, owner.at(p).approves(t, "other"))
			wantAnswer(t, other, http.StatusOK, "")
			list := p.Bearer(t, other.Text(t, "token"), http.MethodGet, "/openapi/v1/account/sessions")
			if !strings.Contains(list.Body, id) {
				t.Fatalf("not in the list: %s", list.Body)
			}
			wantAnswer(t, p.Bearer(t, other.Text(t, "token"), http.MethodDelete, "/openapi/v1/account/sessions/"+id), http.StatusOK, "")
			return
		}
		a := p.Poll(t, owner.at(p).approves(t, label))
		wantAnswer(t, a, http.StatusOK, "")
		wantAnswer(t, p.Bearer(t, a.Text(t, "token"), http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
		now, same, fresh := dvRow(t, p.Server, label)
		if now != 1 || same != a.Text(t, "token_id") || committed && same != id {
			t.Fatalf("%d live rows, %s rotated to %s", now, id, same)
		}
		if committed && (fresh == digest || sqlInt(t, p.Server, `SELECT count(*) FROM oauth_access_tokens WHERE token_hash = $1`, tkBytes(digest)) != 0) {
			t.Fatal("the token that nobody received is alive")
		}
		if n := sqlInt(t, p.Server, `SELECT count(*) FROM audit_events WHERE event = 'oauth.token_minted' AND fields LIKE $1`, `%"`+label+`"%`); committed != (n == 2) {
			t.Fatalf("%d mints on record", n)
		}
	}
	for i, step := range steps {
		t.Run(fmt.Sprintf("DF-24 DEV-06 kill -9 at %s, step %d", step, i+1), func(t *testing.T) {
			p := dvServe(t, dir, dvKillAt+"="+strconv.Itoa(i+1))
			if i == 0 {
				owner = dvSignIn(t, p.Server, apitest.OwnerEmail)
			} else {
				verify(t, p, i-1)
			}
			dead = owner.at(p).approves(t, fmt.Sprintf("killed %d", i))
			if r := dvPost(p.URL+tokenPath, `{"client_id":"difyctl","device_code":"`+dead.Device+`"}`, "User-Agent", victim); r.err == nil {
				t.Fatalf("answered %+v", r)
			}
			p.wait(t, syscall.SIGKILL)
		})
	}
	t.Run("DF-24 DEV-06 after the last kill", func(t *testing.T) {
		p := dvServe(t, dir)
		verify(t, p, len(steps)-1)
		p.stop(t)
	})
}

func TestTerminatedInMidRequest(t *testing.T) {
	aboutEmbedded(t)
	slow(t)
	dir := dvDirectory(t)
	var owner dvPerson
	minted := func(s *apitest.Server, label string) int {
		return sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'oauth.token_minted' AND fields LIKE $1`, `%"`+label+`"%`)
	}
	for i, step := range []string{"sql SELECT console_sessions", "grants Find", "grants Decide", "grants Decide done"} {
		t.Run("OUT-05 approve, at "+step, func(t *testing.T) {
			p := dvServe(t, dir, dvTermAt+"="+step)
			if i == 0 {
				owner = dvSignIn(t, p.Server, apitest.OwnerEmail)
			}
			label := fmt.Sprintf("approved %d", i)
			c, who := p.Code(t, label), owner.at(p)
			r := dvPost(p.URL+"/openapi/v1/oauth/device/approve", `{"user_code":"`+c.User+`"}`, append(who.headers(), "User-Agent", victim)...)
			if r.err != nil || r.status != http.StatusOK || r.body != `{"status":"approved"}` {
				t.Fatalf("cut off: %+v\n%s", r, p.stderr)
			}
			p.wait(t, 0)
			q := dvServe(t, dir)
			if n := sqlInt(t, q.Server, `SELECT count(*) FROM audit_events WHERE event = 'oauth.device_flow_approved' AND fields LIKE $1`, `%"`+label+`"%`); n != 1 {
				t.Errorf("%d approvals on record", n)
			}
			wantAnswer(t, q.Poll(t, c), http.StatusBadRequest, "expired_token") // the embedded grants are gone
			if n, _, _ := dvRow(t, q.Server, label); n != 0 || minted(q.Server, label) != 0 {
				t.Errorf("%d rows of an approval that nobody polled", n)
			}
			q.stop(t)
		})
	}
	for i, step := range []string{"grants Poll", "grants Poll claimed", "sql BEGIN", "sql INSERT audit_events", "sql COMMIT done", "grants Delete done"} {
		t.Run("OUT-05 poll, at "+step, func(t *testing.T) {
			p := dvServe(t, dir, dvTermAt+"="+step)
			label := fmt.Sprintf("polled %d", i)
			c := owner.at(p).approves(t, label)
			r := dvPost(p.URL+tokenPath, `{"client_id":"difyctl","device_code":"`+c.Device+`"}`, "User-Agent", victim)
			if r.err != nil || r.status != http.StatusOK || r.member("token") == "" {
				t.Fatalf("cut off: %+v\n%s", r, p.stderr)
			}
			p.wait(t, 0)
			q := dvServe(t, dir)
			wantAnswer(t, q.Bearer(t, r.member("token"), http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
			wantAnswer(t, q.Poll(t, c), http.StatusBadRequest, "expired_token")
			if live, id, _ := dvRow(t, q.Server, label); live != 1 || id != r.member("token_id") || minted(q.Server, label) != 1 {
				t.Errorf("%d live rows, %d mints on record", live, minted(q.Server, label))
			}
			if n := sqlInt(t, q.Server, `SELECT count(*) FROM audit_events WHERE event = 'oauth.token_delivered' AND token_id = $1`, r.member("token_id")); n != 1 {
				t.Errorf("%d deliveries on record", n)
			}
			q.stop(t)
		})
	}
	t.Run("OUT-05 under load, what was minted was answered", func(t *testing.T) {
		for round := range dvRounds(40) {
			p := dvServe(t, dir)
			who := owner.at(p)
			const clients = 12
			var codes []apitest.Codes
			label := func(i int) string { return fmt.Sprintf("load %d of %d.", i, round) }
			for i := range clients {
				codes = append(codes, who.approves(t, label(i)))
			}
			calls := []func() dvReply{func() dvReply { // among the polls, at no fixed place
				time.Sleep(time.Duration(round%4) * time.Millisecond)
				return dvReply{err: errors.Join(p.cmd.Process.Signal(syscall.SIGTERM), errors.New("no answer"))}
			}}
			for _, c := range codes {
				calls = append(calls, func() dvReply { return dvPoll(p.Server, c) })
			}
			replies := together(calls...)[1:]
			p.wait(t, 0)
			q := dvServe(t, dir)
			for i, r := range replies {
				live, id, _ := dvRow(t, q.Server, label(i))
				switch {
				case r.err == nil && r.status == http.StatusOK:
					wantAnswer(t, q.Bearer(t, r.member("token"), http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
					if live != 1 || id != r.member("token_id") || minted(q.Server, label(i)) != 1 {
						t.Errorf("%d live rows and %d mints", live, minted(q.Server, label(i)))
					}
				case r.err == nil:
					t.Errorf("%d %s", r.status, r.body)
				case live != 0:
					t.Errorf("minted, and the client read %v", r.err)
				}
			}
			q.stop(t)
		}
	})
}
