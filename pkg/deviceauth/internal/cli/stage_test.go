// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/cli"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/keyring"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/servertest"
)

var update = flag.Bool("update", false, "write the golden files")

// transcripts plays each script on a stage of its own and compares what was said.
func transcripts(t *testing.T, plays map[string]func(*stage)) {
	t.Helper()
	for name, play := range plays {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				play(s)
				s.golden(name)
			})
		})
	}
}

// stage is a machine with difyauth on it, and the server that it speaks to.
type stage struct {
	t       *testing.T
	server  *servertest.Server
	dir     string   // of the credentials
	home    string   // of the tests
	environ []string // beside DIFYAUTH_CONFIG_DIR
	ring    *ring    // nil: there is no keyring
	width   int      // of the screen
	screen  bool     // a person sits there …
	trace   bool     // … and reads stderr
	typed   []typed  // … and types this
	stop    time.Duration
	opened  []string // addresses the browser was given
	noOpen  bool     // there is no browser
	script  strings.Builder
}

// typed is what comes from the keyboard, and when.
type typed struct {
	after time.Duration
	text  string
}

// result is what a command said.
type result struct {
	code     int
	out, err string
}

func newStage(t *testing.T) *stage {
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return &stage{t: t, server: servertest.New(), home: home, dir: filepath.Join(t.TempDir(), "difyauth")}
}

// run runs one command, writes it down and looks for secrets in what it said.
func (s *stage) run(args ...string) result {
	s.t.Helper()
	var out, errs bytes.Buffer
	env := cli.Env{
		Stdin: &keyboard{keys: s.typed}, Stdout: &out, Stderr: &errs, Environ: append([]string{"DIFYAUTH_CONFIG_DIR=" + s.dir}, s.environ...),
		Screen: s.screen, Trace: s.trace, Keyboard: s.screen, Version: "1.2.3", Transport: byHost{s.server},
		Hostname: func() (string, error) { return "laptop", nil },
		Width:    func() int { return s.width },
		OpenBrowser: func(uri string) error {
			s.opened = append(s.opened, uri)
			if s.noOpen {
				return errors.New("no browser")
			}
			return nil
		},
	}
	if s.ring != nil {
		env.Keyring = keyring.Bounded(s.ring)
	}
	if s.stop > 0 {
		env.Signals = func(parent context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(parent)
			timer := time.AfterFunc(s.stop, cancel)
			return ctx, func() { timer.Stop(); cancel() }
		}
	}
	r := result{code: cli.Run(args, env), out: out.String(), err: errs.String()}
	s.note(args, r)
	for _, secret := range append(s.server.Secrets(), "Bearer dfoa", "Bearer dfoe", "Authorization: ") {
		if said := r.err + r.out; strings.Contains(said, secret) && args[0] != "token" && !strings.Contains(said, "printf") {
			s.t.Errorf("difyauth %s shows %s:\n%s", strings.Join(args, " "), secret, said)
		}
	}
	return r
}

// note adds to the transcript, with escapes made visible.
func (s *stage) note(args []string, r result) {
	fmt.Fprintf(&s.script, "$ difyauth %s\n", strings.Join(args, " "))
	visible := strings.NewReplacer("\r", `\r`, "\x1b", `\e`, s.dir, "CONFIG")
	s.script.WriteString(visible.Replace(r.out))
	if r.out != "" && !strings.HasSuffix(r.out, "\n") {
		s.script.WriteString("\\\n")
	}
	for line := range strings.Lines(visible.Replace(r.err)) {
		s.script.WriteString("! " + line)
	}
	fmt.Fprintf(&s.script, "[%d]\n\n", r.code)
}

// golden compares the transcript with its file.
func (s *stage) golden(name string) {
	s.t.Helper()
	path := filepath.Join(s.home, "testdata", "golden", name+".txt")
	got := s.script.String()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if got != string(want) {
		s.t.Errorf("the transcript is not that of %s (go test -update writes it):\n%s\nwant\n%s", path, got, want)
	}
}

// expect runs one command that must exit so.
func (s *stage) expect(code int, args ...string) result {
	s.t.Helper()
	r := s.run(args...)
	if r.code != code {
		s.t.Fatalf("difyauth %s: exit %d, want %d\n%s%s", strings.Join(args, " "), r.code, code, r.out, r.err)
	}
	return r
}

// login signs in, and leaves it out of the transcript.
func (s *stage) login() {
	s.t.Helper()
	before := s.script.String()
	s.expect(0, "login", "--host", servertest.Origin)
	s.script.Reset()
	s.script.WriteString(before)
}

// stored reads the credentials; it is empty when there are none.
func (s *stage) stored() string {
	content, err := os.ReadFile(filepath.Join(s.dir, "credentials.json"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	return string(content)
}

// ring is a keyring in memory.
type ring struct {
	mu     sync.Mutex
	items  map[string]string
	silent atomic.Bool // it asks a person who is not there
}

func (r *ring) wait() {
	if r.silent.Load() {
		time.Sleep(time.Minute)
	}
}

func (r *ring) Get(item string) (string, error) {
	r.wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if secret, ok := r.items[item]; ok {
		return secret, nil
	}
	return "", keyring.ErrAbsent
}

func (r *ring) Set(item, secret string) error {
	r.wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items[item] = secret
	return nil
}

func (r *ring) Delete(item string) error {
	r.wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.items[item]; !ok {
		return keyring.ErrAbsent
	}
	delete(r.items, item)
	return nil
}

// keyboard gives each text in its time, then ends.
type keyboard struct{ keys []typed }

func (k *keyboard) Read(p []byte) (int, error) {
	if len(k.keys) == 0 {
		return 0, io.EOF
	}
	next := k.keys[0]
	k.keys = k.keys[1:]
	time.Sleep(next.after)
	return copy(p, next.text), nil
}

// byHost reaches the server by every name.
type byHost struct{ s *servertest.Server }

func (b byHost) RoundTrip(r *http.Request) (*http.Response, error) {
	return b.s.Transport().RoundTrip(r)
}
