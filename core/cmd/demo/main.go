// SPDX-License-Identifier: Apache-2.0

// Command demo plays one sign-in in one terminal: it starts a server on a directory
// of its own, signs the real command-line client in, plays the person at the browser,
// uses the token, ends the device, and stops the server. "make demo" runs it.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// The person whom the demo invents.
const (
	email    = "ada@example.com"
	password = "correct horse battery"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, "bin"); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		stop()
		os.Exit(1) //nolint:gocritic // what the deferred call does is done
	}
}

type demo struct {
	ctx    context.Context
	bin    string
	dir    string
	public string // address of the server
	env    []string
}

// run plays the whole story with the programs in the folder bin.
func run(ctx context.Context, bin string) (err error) {
	dir, err := os.MkdirTemp("", "dify-sso-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	listen, inner, err := freePorts()
	if err != nil {
		return err
	}
	d := &demo{ctx: ctx, bin: bin, dir: dir, public: "http://" + listen, env: append(os.Environ(),
		"DATA_DIR="+filepath.Join(dir, "data"), "LISTEN="+listen, "INNER_LISTEN="+inner, "CONSOLE_API_URL=http://"+listen,
		"DIFYAUTH_CONFIG_DIR="+filepath.Join(dir, "client"), "DIFYAUTH_HOST=", "DIFYAUTH_TOKEN=", "DIFYAUTH_STORE=file", "NO_COLOR=1")}
	step("An operator creates the first account and an app, and starts the server.")
	if err := d.createOwner(); err != nil {
		return err
	}
	stop, err := d.serve()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := d.signIn(); err != nil {
		return err
	}
	return d.use()
}

func step(text string) { fmt.Printf("\n── %s\n", text) }

func say(format string, args ...any) { fmt.Printf("   "+format+"\n", args...) }

func (d *demo) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(d.ctx, filepath.Join(d.bin, name), args...) //nolint:gosec // our own programs
	cmd.Env = d.env
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// show runs a command of the client as a person would and prints what it says.
func (d *demo) show(args ...string) error {
	shown := "$ difyauth"
	for _, arg := range args {
		if shown += " "; strings.Contains(arg, " ") {
			arg = `"` + arg + `"`
		}
		shown += arg
	}
	say("%s", shown)
	out, err := d.command("difyauth", args...).CombinedOutput()
	indent(strings.NewReader(string(out)), nil)
	return err
}

func (d *demo) createOwner() error {
	cmd := d.command("core", "admin", "create-owner", "--email", email, "--name", "Ada", "--workspace", "Engines", "--password-file", "-")
	cmd.Stdin = strings.NewReader(password)
	say("$ core admin create-owner --email %s --name Ada --workspace Engines --password-file -", email)
	out, err := cmd.CombinedOutput()
	indent(strings.NewReader(string(out)), nil)
	if err != nil {
		return err
	}
	say("$ core app add Echo --mode chat --runtime echo")
	out, err = d.command("core", "app", "add", "Echo", "--mode", "chat", "--runtime", "echo").CombinedOutput()
	indent(strings.NewReader(string(out)), nil)
	return err
}

// serve starts the server and waits until it is ready.
func (d *demo) serve() (stop func() error, err error) {
	log, err := os.Create(filepath.Join(d.dir, "core.log"))
	if err != nil {
		return nil, err
	}
	cmd := d.command("core", "serve")
	cmd.Stdout, cmd.Stderr = log, log
	say("$ core serve")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() error {
		step("The server is stopped; it drains and leaves.")
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		return errors.Join(cmd.Wait(), log.Close())
	}
	for range 100 {
		if res, err := http.Get(d.public + "/openapi/v1/_ready"); err == nil { //nolint:noctx // of this machine
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				say("it serves %s", d.public)
				return stop, nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	content, _ := os.ReadFile(log.Name())
	return nil, errors.Join(fmt.Errorf("the server is not ready:\n%s", content), stop())
}

var userCode = regexp.MustCompile(`\b[A-Z3-9]{4}-[A-Z3-9]{4}\b`)

// signIn runs the client's login and plays the browser when the code appears.
func (d *demo) signIn() error {
	step("A person types login in a terminal.")
	say("$ difyauth login --host %s --no-browser --label demo", d.public)
	cmd := d.command("difyauth", "login", "--host", d.public, "--no-browser", "--label", "demo")
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- errors.Join(cmd.Wait(), w.Close()) }()
	codes, read := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(read)
		indent(r, func(line string) {
			if code := userCode.FindString(line); code != "" {
				select {
				case codes <- code:
				default:
				}
			}
		})
	}()
	select {
	case code := <-codes:
		time.Sleep(300 * time.Millisecond) // let the client finish its sentence
		if err := d.approve(code); err != nil {
			return err
		}
	case err := <-done:
		<-read
		return errors.Join(errors.New("the client ended before it showed a code"), err)
	}
	say("the client asks again within its interval of 5 seconds …")
	err := <-done
	<-read
	return err
}

func (d *demo) approve(code string) error {
	step("The same person opens the address in a browser.")
	b, err := newBrowser(d.ctx, d.public)
	if err != nil {
		return err
	}
	say("types the code %s on %s/device", code, d.public)
	if err := errors.Join(b.get("/device"), b.submit("/device", url.Values{"user_code": {code}})); err != nil {
		return err
	}
	say("signs in as %s", email)
	if err := b.submit("/signin", url.Values{"email": {email}, "password": {password}}); err != nil {
		return err
	}
	say("reads who asks, and presses Allow")
	if err := b.submit("/device/authorize", url.Values{"decision": {"allow"}}); err != nil {
		return err
	}
	return b.expect("/device?outcome=approved")
}

// use shows the token at work and what ending it does.
func (d *demo) use() error {
	step("The command line is signed in.")
	if err := errors.Join(d.show("whoami"), d.show("devices", "list")); err != nil {
		return err
	}
	step("It finds the app, and has it run.")
	if err := errors.Join(d.show("apps", "list"), d.show("run", "Echo", "hello from the terminal")); err != nil {
		return err
	}
	token, err := d.command("difyauth", "token").Output()
	if err != nil {
		return err
	}
	ask := func() (int, error) {
		say(`$ curl -H "Authorization: Bearer $(difyauth token)" %s/openapi/v1/account`, d.public)
		req, err := http.NewRequestWithContext(d.ctx, http.MethodGet, d.public+"/openapi/v1/account", nil)
		if err != nil {
			return 0, err
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		say("%s\n   %s", res.Status, body)
		return res.StatusCode, err
	}
	if status, err := ask(); err != nil || status != http.StatusOK {
		return errors.Join(fmt.Errorf("the token is not served: %d", status), err)
	}
	step("The person ends that device in the browser.")
	b, err := newBrowser(d.ctx, d.public)
	if err != nil {
		return err
	}
	if err := errors.Join(b.get("/signin"), b.submit("/signin", url.Values{"email": {email}, "password": {password}})); err != nil {
		return err
	}
	end := b.link(`/account/sessions/end\?[^"]*kind=device[^"]*`)
	if err := errors.Join(b.get(end), b.submit("/account/sessions/end", nil), b.expect("/account/sessions?outcome=ended")); err != nil {
		return err
	}
	say("ended")
	step("The very next request is refused.")
	if status, err := ask(); err != nil || status != http.StatusUnauthorized {
		return errors.Join(fmt.Errorf("a dead token draws %d", status), err)
	}
	return nil
}

// indent prints what a program says, a margin before each line.
func indent(r io.Reader, line func(string)) {
	for s := bufio.NewScanner(r); s.Scan(); {
		fmt.Printf("   │ %s\n", s.Text())
		if line != nil {
			line(s.Text())
		}
	}
}

// freePorts finds two addresses that nobody listens on.
func freePorts() (a, b string, err error) {
	one, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	two, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", errors.Join(err, one.Close())
	}
	return one.Addr().String(), two.Addr().String(), errors.Join(one.Close(), two.Close())
}
