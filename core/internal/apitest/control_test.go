// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/cli"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/control"
	"github.com/dify-sso/dify-sso/pkg/datadir"
)

// ctSaid is what a command has said and how it ended.
type ctSaid struct {
	code     int
	out, err string
}

// ctAdmin runs a command of an operator in a process of its own.
func ctAdmin(t *testing.T, dir string, args ...string) ctSaid {
	t.Helper()
	cmd, stderr := dvCommand(t, dir, nil, append([]string{"admin"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return ctSaid{code: cmd.ProcessState.ExitCode(), out: out.String(), err: stderr.String()}
}

// ctHere runs a command of an operator in this process, as one of the given version.
func ctHere(dir, version string, args ...string) ctSaid {
	return ctIn([]string{"DATA_DIR=" + dir}, version, args...)
}

// ctBeside runs one on the installation of a server.
func ctBeside(s *apitest.Server, args ...string) ctSaid {
	if s.Pair != nil {
		return ctIn(append(s.Pair.Environ(), "CONSOLE_API_URL="+s.URL), apitest.Version, args...)
	}
	return ctHere(s.Dir, apitest.Version, args...)
}

func ctIn(environ []string, version string, args ...string) ctSaid {
	var out, errs bytes.Buffer
	code := cli.Run(append([]string{"admin"}, args...), cli.Env{
		Stdin: strings.NewReader(apitest.OwnerPassword + "\n"), Stdout: &out, Stderr: &errs, Environ: environ, Version: version,
	})
	return ctSaid{code: code, out: out.String(), err: errs.String()}
}

var ctOwner = []string{"create-owner", "--email", apitest.OwnerEmail, "--name", apitest.OwnerName, "--workspace", apitest.Workspace, "--password-file", "-", "-o", "json"}

// ctWorld is an installation on which commands run, beside a server that goes on or
// while it is stopped.
type ctWorld struct {
	beside bool
	dir    string
	server *dvProcess
	said   []string
}

func (w *ctWorld) up(t *testing.T) *dvProcess {
	t.Helper()
	if w.server == nil {
		w.server = dvServe(t, w.dir)
	}
	return w.server
}

// admin runs a command, notes what it said and gives it.
func (w *ctWorld) admin(t *testing.T, args ...string) ctSaid {
	t.Helper()
	if w.beside {
		w.up(t)
	} else if w.server != nil {
		w.server.stop(t)
		w.server = nil
	}
	s := ctAdmin(t, w.dir, args...)
	w.said = append(w.said, fmt.Sprintf("%s: %d %s%s", strings.Join(args, " "), s.code, s.out, s.err))
	return s
}

// alive wants a token to be served, or refused.
func (w *ctWorld) alive(t *testing.T, token string, want bool) {
	t.Helper()
	status := http.StatusUnauthorized
	if want {
		status = http.StatusOK
	}
	wantAnswer(t, w.up(t).Bearer(t, token, http.MethodGet, "/openapi/v1/account"), status, "")
}

var ctNames = []struct{ from, to string }{
	{`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`, "ID"},
	{`[0-9a-f]{64}`, "KEY"},
	{`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z`, "TIME"},
	{`http://127\.0\.0\.1:\d+`, "URL"},
	{`([ ="])[A-Za-z0-9_-]{43}`, "${1}CODE"}, // which may begin or end with a hyphen
}

// ctPlain gives a text in which what differs from run to run has names.
func ctPlain(text string) string {
	for _, n := range ctNames {
		text = regexp.MustCompile(n.from).ReplaceAllString(text, n.to)
	}
	return text
}

// ctStory is what an operator does in the life of an installation. It gives all that
// was said and all that the operator has on record.
func ctStory(t *testing.T, beside bool) (said, audited []string) {
	w := &ctWorld{beside: beside, dir: t.TempDir()}
	if s := w.admin(t, "setup-code"); s.code != 0 || !strings.Contains(s.out, "Set-up code: ") || s.err != "" {
		t.Fatalf("%+v", s)
	}
	if s := w.admin(t, ctOwner...); s.code != 0 {
		t.Fatalf("%+v", s)
	}
	if s := w.admin(t, ctOwner...); s.code != 1 || !strings.Contains(s.err, "already set up") {
		t.Fatalf("%+v", s)
	}
	p := w.up(t)
	addAccount(t, p.Server, "bob@example.com")
	ada, bob := signedInAs(t, p.Server, apitest.OwnerEmail), signedInAs(t, p.Server, "bob@example.com")
	first, firstID := p.SignInDevice(t, ada, "laptop")
	second, _ := p.SignInDevice(t, ada, "desktop")
	third, _ := p.SignInDevice(t, bob, "phone")
	approved := p.Code(t, "approved before")
	wantAnswer(t, ada.Decide("approve", approved.User), http.StatusOK, "")

	if s := w.admin(t, "tokens", "list", "--email", apitest.OwnerEmail); s.code != 0 || strings.Count(s.out, "\n") != 3 || strings.Contains(s.out, first) {
		t.Fatalf("%+v", s)
	}
	w.admin(t, "tokens", "list", "--all", "-o", "json")
	for _, token := range []string{first, second, third} { // the server remembers them from now on
		w.alive(t, token, true)
	}
	w.admin(t, "tokens", "revoke", firstID)
	w.alive(t, first, false)
	w.alive(t, second, true)
	if s := w.admin(t, "tokens", "revoke", firstID); s.code != 0 || !strings.Contains(s.out, "had ended already") {
		t.Fatalf("%+v", s)
	}
	w.admin(t, "set-status", "bob@example.com", "banned", "-o", "json")
	w.alive(t, third, false)
	w.admin(t, "set-status", "bob@example.com", "banned")
	w.admin(t, "set-status", "bob@example.com", "active")
	w.alive(t, third, false)
	if s := w.admin(t, "set-status", apitest.OwnerEmail, "closed"); s.code != 1 {
		t.Fatalf("%+v", s)
	}
	w.alive(t, second, true)
	if s := w.admin(t, "revoke-subject", "--email", apitest.OwnerEmail, "--reason", "laptop lost"); s.code != 0 || !strings.Contains(s.out, "1 token revoked, 1 browser signed out; account ") {
		t.Fatalf("%+v", s)
	}
	w.alive(t, second, false)
	if n := sqlInt(t, w.up(t).Server, `SELECT count(*) FROM console_sessions`); n != 0 {
		t.Errorf("%d browsers are signed in", n)
	}
	if beside { // a restart would have lost the grant
		wantAnswer(t, p.Poll(t, approved), http.StatusBadRequest, "access_denied")
	}
	w.admin(t, "revoke-subject", "--issuer", "https://idp.example.com", "--subject-id", "nobody", "--reason", "gone", "-o", "json")

	for _, s := range w.said {
		said = append(said, ctPlain(s))
	}
	return said, ctAudited(t, w.up(t).Server)
}

// ctAudited is what operators have on record.
func ctAudited(t *testing.T, s *apitest.Server) (audited []string) {
	t.Helper()
	rows, err := s.App.Stores.DB.Query(t.Context(), `SELECT event, actor_type, actor_id, user_agent, coalesce(ip, '-'), request_id <> '', fields
		FROM audit_events WHERE actor_type = 'operator' ORDER BY at, id`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var event, kind, actor, agent, ip, fields string
		var asked bool
		if err := rows.Scan(&event, &kind, &actor, &agent, &ip, &asked, &fields); err != nil {
			t.Fatal(err)
		}
		audited = append(audited, ctPlain(fmt.Sprintln(event, kind, actor, agent, ip, asked, fields)))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return audited
}

func TestACommandAndARouteOfTheSameAct(t *testing.T) {
	t.Run("M-31 a kill leaves the same rows, tombstones and events", func(t *testing.T) {
		const key = "an operator's key of thirty-two bytes"
		by := map[string]func(t *testing.T, s *apitest.Server, account string){
			"route": func(t *testing.T, s *apitest.Server, account string) {
				req, err := http.NewRequest(http.MethodPost, s.Inner+"/inner/api/subjects/revoke",
					strings.NewReader(`{"account_id":"`+account+`","reason":"lost","actor":"`+audit.Caller{User: control.UserName(os.Geteuid())}.Actor().ID+`"}`))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("X-Inner-Api-Key", key)
				res, err := http.DefaultClient.Do(req)
				if err != nil || res.StatusCode != http.StatusOK {
					t.Fatalf("%v %v", res, err)
				}
				_ = res.Body.Close()
			},
			"command": func(t *testing.T, s *apitest.Server, account string) {
				if said := ctBeside(s, "revoke-subject", "--account", account, "--reason", "lost"); said.code != 0 {
					t.Fatalf("%+v", said)
				}
			},
		}
		// What the transport says of itself is its own.
		transport := regexp.MustCompile(`(cli:\S+) \S* \S+ true`)
		left := map[string][]string{}
		for way, act := range by {
			s := apitest.Start(t, apitest.Set("OPERATOR_API_KEY", key))
			b := s.SignedIn(t)
			token, _ := s.SignInDevice(t, b, "laptop")
			wantAnswer(t, s.Bearer(t, token, http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
			approved := s.Code(t, "approved before")
			wantAnswer(t, b.Decide("approve", approved.User), http.StatusOK, "")
			sqlExec(t, s, `DELETE FROM audit_events`)
			act(t, s, ownerID(t, s))
			wantAnswer(t, s.Bearer(t, token, http.MethodGet, "/openapi/v1/account"), http.StatusUnauthorized, "")
			wantAnswer(t, s.Poll(t, approved), http.StatusBadRequest, "access_denied")
			if n := sqlInt(t, s, `SELECT count(*) FROM console_sessions`); n != 0 {
				t.Errorf("%s: %d browsers", way, n)
			}
			for _, line := range ctAudited(t, s) {
				left[way] = append(left[way], transport.ReplaceAllString(line, "$1"))
			}
		}
		if !slices.Equal(left["route"], left["command"]) || len(left["route"]) != 2 {
			t.Errorf("by route\n%sby command\n%s", left["route"], left["command"])
		}
	})
}

func TestCommandsBesideAServerAndWithoutOne(t *testing.T) {
	aboutEmbedded(t)
	slow(t)
	t.Run("M-31 through the socket and without a server, effect and audit are the same", func(t *testing.T) {
		said, audited := ctStory(t, true)
		directSaid, directAudited := ctStory(t, false)
		for i := range max(len(said), len(directSaid)) {
			if i >= len(said) || i >= len(directSaid) || said[i] != directSaid[i] {
				t.Errorf("said through the socket %q\nand without a server %q", said[min(i, len(said)-1)], directSaid[min(i, len(directSaid)-1)])
			}
		}
		if !slices.Equal(audited, directAudited) {
			t.Errorf("audited through the socket\n%s\nand without a server\n%s", strings.Join(audited, ""), strings.Join(directAudited, ""))
		}
		var names []string
		for _, line := range audited {
			name, _, _ := strings.Cut(line, " ")
			names = append(names, name)
			if !strings.Contains(line, " operator cli:") || !strings.Contains(line, " core/"+apitest.Version+" - true ") {
				t.Errorf("audited as %s", line)
			}
		}
		slices.Sort(names)
		for _, want := range []string{"account.setup", "account.status_changed", "oauth.subject_revoked", "oauth.token_revoked"} {
			if _, found := slices.BinarySearch(names, want); !found {
				t.Errorf("no %s among %v", want, names)
			}
		}
	})
}

func TestAServerThatDiesUnderACommand(t *testing.T) {
	aboutEmbedded(t)
	slow(t)
	const label = "killed"
	revoke := []string{"revoke-subject", "--email", apitest.OwnerEmail, "--reason", "lost"}
	probe := dvStart(t)
	probe.SignInDevice(t, probe.owner.browser, label)
	steps := probe.steps(func() {
		if s := ctHere(probe.Dir, apitest.Version, revoke...); s.code != 0 {
			t.Fatalf("%+v", s)
		}
	})
	committed := slices.Index(steps, "sql COMMIT done")
	if committed < 0 {
		t.Fatalf("steps %v", steps)
	}
	dir := dvDirectory(t)
	for i, step := range steps {
		if !ctTakes(i, len(steps), committed) {
			continue
		}
		t.Run(fmt.Sprintf("M-31 kill -9 at %s, step %d", step, i+1), func(t *testing.T) {
			p := dvServe(t, dir, dvKillAt+"="+strconv.Itoa(i+1))
			token, _ := p.SignInDevice(t, signedInAs(t, p.Server, apitest.OwnerEmail), label)
			s := ctHere(dir, victim, revoke...)
			if s.code != 1 || !strings.Contains(s.err, "ended before it answered") || !strings.Contains(s.err, "repeat the command") || s.out != "" {
				t.Fatalf("%+v", s)
			}
			p.wait(t, syscall.SIGKILL)
			if _, err := os.Lstat(filepath.Join(dir, datadir.ControlFile)); err != nil {
				t.Errorf("a killed server leaves its socket: %v", err)
			}
			if live, _, _ := dvRow(t, p.Server, label); (live == 0) != (i >= committed) {
				t.Errorf("%d live rows", live)
			}
			q := dvServe(t, dir) // in the place of the socket that was left
			if s := ctHere(dir, apitest.Version, revoke...); s.code != 0 {
				t.Fatalf("%+v", s)
			}
			wantAnswer(t, q.Bearer(t, token, http.MethodGet, "/openapi/v1/account"), http.StatusUnauthorized, "")
			q.stop(t)
			if _, err := os.Lstat(filepath.Join(dir, datadir.ControlFile)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a server that ends takes its socket away: %v", err)
			}
		})
	}
	t.Run("M-31 a command finds the socket of a dead server and does its work itself", func(t *testing.T) {
		p := dvServe(t, dir)
		_ = p.cmd.Process.Kill()
		<-p.ended
		if s := ctAdmin(t, dir, revoke...); s.code != 0 || !strings.Contains(s.out, "Receipt") {
			t.Fatalf("%+v", s)
		}
	})
	t.Run("OUT-05 a command that runs when the server is told to end is answered", func(t *testing.T) {
		p := dvServe(t, dir, dvTermAt+"=sql COMMIT")
		p.SignInDevice(t, signedInAs(t, p.Server, apitest.OwnerEmail), label)
		s := ctHere(dir, victim, revoke...)
		if s.code != 0 || !strings.Contains(s.out, "1 token revoked") {
			t.Fatalf("%+v\n%s", s, p.stderr)
		}
		p.wait(t, 0)
	})
}

// ctTakes takes a third of the steps, and those about the commit.
func ctTakes(i, of, committed int) bool {
	return os.Getenv("ROUNDS") == "full" || i%3 == 0 || i == of-1 || i == committed || i == committed-1
}

func TestCommandsAtOnce(t *testing.T) {
	t.Run("M-31 many commands beside a server of many requests", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		b := s.SignedIn(t)
		const n = 8
		var tokens, ids [n]string
		for i := range n {
			tokens[i], ids[i] = s.SignInDevice(t, b, fmt.Sprint("device ", i))
			wantAnswer(t, s.Bearer(t, tokens[i], http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
		}
		done := make(chan ctSaid, n)
		for i := range n {
			go func() { done <- ctBeside(s, "tokens", "revoke", ids[i]) }()
		}
		for range n {
			if said := <-done; said.code != 0 {
				t.Errorf("%+v", said)
			}
		}
		for _, token := range tokens {
			wantAnswer(t, s.Bearer(t, token, http.MethodGet, "/openapi/v1/account"), http.StatusUnauthorized, "")
		}
		if strings.Contains(s.Log.String(), tokens[0]) {
			t.Error("a token is in the log")
		}
	})
}
