// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// runsEnviron has one run of an app at a time, and a short grace at the end.
var runsEnviron = []string{"APP_DEFAULT_ACTIVE_REQUESTS=1", "SHUTDOWN_GRACE=300ms"}

const (
	runFirst = `{"event":"workflow_started","task_id":"%s","workflow_run_id":"%s","data":{}}`
	runLast  = `{"event":"workflow_finished","task_id":"%s","workflow_run_id":"%s","data":{"status":"succeeded","outputs":{"a":1},"error":null}}`
)

// The processes of a fleet end and begin while runs go on, and tokens end: the client
// always learns what has become of its run, and whoever comes next finds what it needs.
func TestRunsOutliveTheirProcess(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	a, b := f.serve(runsEnviron...), f.serve(runsEnviron...)
	rt := newRuntime(t)
	who := a.owner()
	token, _ := a.login(who, "laptop")
	difyauth := buildDifyauth(t)
	other := f.onRuntime(rt, "Other")
	beside := b.run(t, other, token)

	// All of a step of these wait at the same time.
	closing := f.serve(runsEnviron...)
	var cases sync.WaitGroup
	at := func(name string, do func(t *testing.T)) { cases.Go(func() { t.Run(name, do) }) }
	at("API-23 API-27 a process that is killed", func(t *testing.T) {
		app := f.onRuntime(rt, "Killed")
		s := a.run(t, app, token)
		cli := difyauth(t, a, token, f.onRuntime(rt, "Killed too"))
		a.kill()
		if _, err := io.ReadAll(s.body); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client reads an end in order: %v", err)
		}
		if code, said := cli.wait(); code != 10 || !strings.Contains(said, "cut_off") {
			t.Errorf("difyauth exits %d and says %q", code, said)
		}
		if got := b.ask(app, token); got.Status != http.StatusTooManyRequests || got.refusal() != "too_many_requests" {
			t.Errorf("while the lease runs: %d %s", got.Status, got.Body)
		}
		f.leasesLapse(t, app)
		next := b.run(t, app, token)
		next.finish(t, rt)
		follow := b.bearer(http.MethodGet, "/openapi/v1/apps/"+app+"/tasks/"+s.run+"/events", token)
		if follow.Status != http.StatusOK || !bytes.Contains(follow.Body, []byte(`"workflow_finished"`)) || !bytes.Contains(follow.Body, []byte(s.run)) {
			t.Errorf("another replica follows the run: %d %s", follow.Status, follow.Body)
		}
		stop := b.call(http.MethodPost, "/openapi/v1/apps/"+app+"/tasks/"+s.task+"/stop", "", "", "Authorization", "Bearer "+token)
		if n := rt.stopped(s.task); stop.Status != http.StatusOK || n != 1 {
			t.Errorf("another replica stops it: %d %s, %d times", stop.Status, stop.Body, n)
		}
		if n := f.count(`SELECT count(*) FROM app_runs WHERE app_id = $1`, app); n != 2 {
			t.Errorf("%d runs on record", n)
		}
	})
	at("OUT-05 API-16 API-19 a process that is told to end", func(t *testing.T) {
		app := f.onRuntime(rt, "Ended")
		s := closing.run(t, app, token)
		cli := difyauth(t, closing, token, f.onRuntime(rt, "Ended too"))
		began := time.Now()
		if err := closing.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		s.wantEnd(t, http.StatusServiceUnavailable, "service_unavailable")
		if took := time.Since(began); took < 300*time.Millisecond || took > 5*time.Second {
			t.Errorf("the stream ends after %s", took)
		}
		<-closing.ended
		if !closing.cmd.ProcessState.Success() {
			t.Errorf("%v: %s", closing.cmd.ProcessState, closing.said)
		}
		if n := rt.stopped(s.task); n != 1 {
			t.Errorf("the runtime was told %d times to stop", n)
		}
		if code, said := cli.wait(); code != 9 || !strings.Contains(said, "503 service_unavailable") {
			t.Errorf("difyauth exits %d and says %q", code, said)
		}
		b.run(t, app, token).finish(t, rt) // its slot is free at once
	})
	at("TK-15 TOK-12 what one replica ends closes the streams of another within 5 s", func(t *testing.T) {
		carol := (&duo{fleet: f, a: b}).another("carol@example.com")
		f.exec(`INSERT INTO memberships (id, workspace_id, account_id, role, current, created_at, updated_at)
			SELECT gen_random_uuid()::text, w.id, c.id, 'normal', true, now(), now() FROM workspaces w, accounts c WHERE c.email = 'carol@example.com'`)
		c := f.serve(runsEnviron...)
		ends, banned := "", ""
		ends, _ = b.login(who, "ends")
		banned, _ = b.login(carol, "banned")
		streams := []*openRun{b.run(t, f.onRuntime(rt, "Revoked"), ends), b.run(t, f.onRuntime(rt, "Banned"), banned)}
		began := time.Now()
		if got := c.logout(ends); got.Status != http.StatusOK {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		f.command(nil, "admin", "set-status", "carol@example.com", "banned", "--yes")
		over := time.Since(began)
		for _, s := range streams {
			s.wantEnd(t, http.StatusUnauthorized, "invalid_token")
		}
		if took := time.Since(began); took > 5*time.Second+over {
			t.Errorf("the streams end after %s", took)
		}
		for _, s := range streams {
			eventually(t, "the runtime is told", func() bool { return rt.stopped(s.task) == 1 })
		}
	})
	cases.Wait()
	t.Run("API-16 a stream of another replica goes on through all of it", func(t *testing.T) { beside.finish(t, rt) })
	for _, p := range []*process{a, b, closing} {
		if strings.Contains(p.said.String(), runtimeKey) {
			t.Error("the app's key is in a log")
		}
	}
	f.invariants()
}

// onRuntime is a workflow on a runtime.
func (f *fleet) onRuntime(rt *runtime, name string) string {
	f.t.Helper()
	return f.workflow(name, "--runtime-url", rt.server.URL, "--key-file", "-")
}

// workflow adds one to the registry, by the command.
func (f *fleet) workflow(name string, flags ...string) (id string) {
	f.t.Helper()
	out := f.command(strings.NewReader(runtimeKey+"\n"), append([]string{"app", "add", name, "--mode", "workflow"}, flags...)...)
	if id = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).FindString(out); id == "" {
		f.t.Fatal(out)
	}
	return id
}

// leasesLapse lets the ten minutes pass for which the slots of an app are held.
func (f *fleet) leasesLapse(t testing.TB, app string) {
	t.Helper()
	const lease = 10 * time.Minute
	key := f.prefix + "run:{" + app + "}"
	held, err := f.store.ZRangeWithScores(t.Context(), key, 0, -1).Result()
	if err != nil || len(held) != 1 {
		t.Fatalf("%d slots are held: %v", len(held), err)
	}
	if left := time.Until(time.UnixMilli(int64(held[0].Score))); left > lease || left < lease-time.Minute {
		t.Errorf("the lease ends in %s", left)
	}
	if err := f.store.ZAdd(t.Context(), key, redis.Z{Score: held[0].Score - float64(lease.Milliseconds()), Member: held[0].Member}).Err(); err != nil {
		t.Fatal(err)
	}
}

// ask begins a run and reads its whole answer.
func (c client) ask(app, token string) answer {
	return c.call(http.MethodPost, "/openapi/v1/apps/"+app+"/run", "application/json", `{"inputs":{}}`, "Authorization", "Bearer "+token)
}

// block has an app run to its end.
func (c client) block(app, token string) answer {
	return c.call(http.MethodPost, "/openapi/v1/apps/"+app+"/run", "application/json", `{"inputs":{},"response_mode":"blocking"}`, "Authorization", "Bearer "+token)
}

// openRun is a run whose first event was read.
type openRun struct {
	body      *bufio.Reader
	task, run string
}

// run begins one and reads its first event.
func (c client) run(t testing.TB, app, token string) *openRun {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.base+"/openapi/v1/apps/"+app+"/run", strings.NewReader(`{"inputs":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := wire.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	s := &openRun{body: bufio.NewReader(resp.Body)}
	line, err := s.body.ReadString('\n')
	ids := regexp.MustCompile(`"task_id":"([^"]+)","workflow_run_id":"([^"]+)"`).FindStringSubmatch(line)
	if resp.StatusCode != http.StatusOK || err != nil || ids == nil {
		t.Fatalf("%d %q %v", resp.StatusCode, line, err)
	}
	s.task, s.run = ids[1], ids[2]
	return s
}

// finish lets the run end, and wants the end.
func (s *openRun) finish(t testing.TB, rt *runtime) {
	t.Helper()
	rt.end(s.task)
	if rest, err := io.ReadAll(s.body); err != nil || !bytes.Contains(rest, []byte(`"workflow_finished"`)) || !bytes.HasSuffix(rest, []byte("}\n\n")) || bytes.Contains(rest, []byte(`"error","code"`)) {
		t.Errorf("the stream goes on with %q %v", rest, err)
	}
}

// wantEnd reads what core says in the runtime's place, and an end in order.
func (s *openRun) wantEnd(t testing.TB, status int, code string) {
	t.Helper()
	rest, err := io.ReadAll(s.body)
	want := fmt.Sprintf(`"event":"error","code":%q,"status":%d,`, code, status)
	if err != nil || bytes.Count(rest, []byte(`"event":"error"`)) != 1 || !bytes.Contains(rest, []byte(want)) || !bytes.Contains(rest, []byte(`"task_id":"`+s.task+`"`)) || !bytes.HasSuffix(rest, []byte("}\n\n")) {
		t.Errorf("the stream ends with %q %v", rest, err)
	}
}

// cli is a difyauth at its run.
type cli struct {
	cmd  *exec.Cmd
	said bytes.Buffer
	t    testing.TB
}

// wait gives the exit code and what was printed for people.
func (c *cli) wait() (code int, said string) {
	_ = c.cmd.Wait()
	return c.cmd.ProcessState.ExitCode(), c.said.String()
}

// buildDifyauth builds the command as a release does; what it gives starts a run and
// returns when the first event was printed.
func buildDifyauth(t testing.TB) func(t testing.TB, p *process, token, app string) *cli {
	t.Helper()
	path := filepath.Join(t.TempDir(), "difyauth")
	build := exec.Command("go", "build", "-o", path, "./pkg/deviceauth/cmd/difyauth")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return func(t testing.TB, p *process, token, app string) *cli {
		t.Helper()
		c := &cli{cmd: exec.Command(path, "run", app, "-o", "json"), t: t}
		c.cmd.Env = append(os.Environ(), "DIFYAUTH_CONFIG_DIR="+t.TempDir(), "DIFYAUTH_STORE=file", "DIFYAUTH_TOKEN="+token, "DIFYAUTH_HOST="+p.base)
		c.cmd.Stderr = &c.said
		out, err := c.cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.cmd.Process.Kill() })
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, "workflow_started") {
			t.Fatalf("%q %v: %s", line, err, &c.said)
		}
		go func() { _, _ = io.Copy(io.Discard, out) }()
		return c
	}
}
