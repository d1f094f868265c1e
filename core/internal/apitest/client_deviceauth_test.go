// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/deviceauth"
)

func TestTheLibrarySignsIn(t *testing.T) {
	s := apitest.Start(t, unlimited())
	b := s.SignedIn(t)
	client := &deviceauth.Client{Host: s.URL, ClientID: "difyauth", UserAgent: "da-test/1", HTTPClient: &http.Client{Transport: apitest.Checked(http.DefaultTransport)}}
	start := func(t *testing.T) *deviceauth.Authorization {
		t.Helper()
		a, err := client.Start(t.Context(), "Ada's laptop")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	decide := func(t *testing.T, act string, a *deviceauth.Authorization) {
		t.Helper()
		if got := b.Decide(act, a.UserCode); got.Status != http.StatusOK {
			t.Fatalf("%s: %d %s", act, got.Status, got.Body)
		}
	}
	t.Run("allowed", func(t *testing.T) {
		a := start(t)
		if a.VerificationURI != s.URL+"/device" || a.VerificationURIComplete != "" || a.Interval != 5*time.Second || len(a.UserCode) != 9 {
			t.Fatalf("%+v", a)
		}
		decide(t, "approve", a)
		token, err := client.Wait(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		if token.Email != apitest.OwnerEmail || token.Account == nil || token.Account.Name != apitest.OwnerName || token.SubjectType != "account" || token.Scope != "full" ||
			len(token.Workspaces) != 1 || token.Workspaces[0].Name != apitest.Workspace || token.DefaultWorkspaceID != token.Workspaces[0].ID {
			t.Fatalf("%+v", token)
		}
		if left := time.Until(token.ExpiresAt); left < 13*24*time.Hour || left > 14*24*time.Hour {
			t.Fatalf("ends in %s", left)
		}
		h, err := client.Authorized(token.Access)
		if err != nil {
			t.Fatal(err)
		}
		res, err := h.Get(s.URL + deviceauth.BasePath + "/account/sessions")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK || !strings.Contains(string(body), token.ID) || !strings.Contains(string(body), "Ada's laptop") {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
		if _, err := client.Token(t.Context(), a); !errors.Is(err, deviceauth.ErrExpired) {
			t.Fatal("a code gave a second token", err)
		}
	})
	t.Run("pending, then too early, then refused", func(t *testing.T) {
		a := start(t)
		if _, err := client.Token(t.Context(), a); !errors.Is(err, deviceauth.ErrPending) {
			t.Fatal(err)
		}
		if _, err := client.Token(t.Context(), a); !errors.Is(err, deviceauth.ErrSlowDown) || a.Interval != 10*time.Second {
			t.Fatal(err, a.Interval)
		}
		decide(t, "deny", a)
		s.Clock.Advance(10 * time.Second)
		if _, err := client.Token(t.Context(), a); !errors.Is(err, deviceauth.ErrAccessDenied) {
			t.Fatal(err)
		}
	})
	t.Run("ended", func(t *testing.T) {
		a := start(t)
		s.Clock.Advance(15 * time.Minute)
		if _, err := client.Wait(t.Context(), a); !errors.Is(err, deviceauth.ErrExpired) {
			t.Fatal(err)
		}
	})
	t.Run("another client", func(t *testing.T) {
		other := *client
		other.ClientID = "stranger"
		if _, err := other.Start(t.Context(), ""); !errors.Is(err, deviceauth.ErrUnsupportedClient) {
			t.Fatal(err)
		}
	})
	t.Run("a label that the server refuses", func(t *testing.T) {
		var said *deviceauth.Error
		if _, err := client.Start(t.Context(), strings.Repeat("x", 256)); !errors.As(err, &said) || said.Status != http.StatusBadRequest || !strings.Contains(said.Message, "device_label") {
			t.Fatal(err)
		}
	})
	t.Run("a page of another site", func(t *testing.T) {
		other := *client
		other.Host = s.Inner
		if _, err := other.Start(t.Context(), ""); !errors.Is(err, deviceauth.ErrBadAnswer) {
			t.Fatal(err)
		}
	})
}

func TestTheLibraryMeetsALimit(t *testing.T) {
	s := apitest.Start(t, unlimited("device.code.addr=1/1h"))
	client := &deviceauth.Client{Host: s.URL, ClientID: "difyauth"}
	if _, err := client.Start(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	var said *deviceauth.Error
	if _, err := client.Start(t.Context(), ""); !errors.Is(err, deviceauth.ErrRateLimited) || !errors.As(err, &said) || said.RetryAfter < time.Second || said.RetryAfter > time.Hour {
		t.Fatal(err)
	}
}

// daMachine is a machine with the command difyauth on it.
type daMachine struct {
	t      *testing.T
	binary string
	dir    string
	said   *bytes.Buffer // everything that was printed, but what token prints
	// environ goes before the environment in which nothing is set.
	environ []string
}

// daBuild builds the command as a release does.
func daBuild(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "difyauth")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-X main.version=1.2.3", "-o", binary, "github.com/dify-sso/dify-sso/pkg/deviceauth/cmd/difyauth")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

func (m *daMachine) command(args ...string) *exec.Cmd {
	cmd := exec.Command(m.binary, args...)
	cmd.Env = append(os.Environ(), "DIFYAUTH_CONFIG_DIR="+m.dir, "DIFYAUTH_HOST=", "DIFYAUTH_TOKEN=", "DIFYAUTH_STORE=file")
	cmd.Env = append(cmd.Env, m.environ...)
	return cmd
}

// run runs one command to its end.
func (m *daMachine) run(code int, args ...string) (out, errs string) {
	m.t.Helper()
	cmd := m.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState.ExitCode() != code {
		m.t.Fatalf("difyauth %s: %v, want exit %d\n%s%s", strings.Join(args, " "), err, code, stdout.String(), stderr.String())
	}
	if args[0] != "token" {
		m.said.WriteString(stdout.String() + stderr.String())
	}
	return stdout.String(), stderr.String()
}

var daCodeLine = regexp.MustCompile(`^    ([A-Z0-9]{4}-[A-Z0-9]{4})$`)

// login starts a sign-in, gives its code to meanwhile, and waits for its end.
func (m *daMachine) login(code int, meanwhile func(userCode string, p *os.Process), args ...string) (out, errs string) {
	m.t.Helper()
	cmd := m.command(append([]string{"login"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		stdout.WriteString(lines.Text() + "\n")
		if found := daCodeLine.FindStringSubmatch(lines.Text()); found != nil {
			meanwhile(found[1], cmd.Process)
		}
	}
	err = cmd.Wait()
	if cmd.ProcessState.ExitCode() != code {
		m.t.Fatalf("difyauth login: %v, want exit %d\n%s%s", err, code, stdout.String(), stderr.String())
	}
	m.said.WriteString(stdout.String() + stderr.String())
	return stdout.String(), stderr.String()
}

func TestDifyauthSignsIn(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command; not part of test-fast")
	}
	binary := daBuild(t)
	// A login takes the five seconds between two polls, so each has a server of its own
	// and they wait side by side.
	begin := func(t *testing.T) (*apitest.Server, *apitest.Browser, *daMachine) {
		t.Parallel()
		s := apitest.Start(t, unlimited())
		return s, s.SignedIn(t), &daMachine{t: t, binary: binary, dir: filepath.Join(t.TempDir(), "difyauth"), said: &bytes.Buffer{}}
	}
	decide := func(t *testing.T, b *apitest.Browser, act string) func(string, *os.Process) {
		return func(userCode string, _ *os.Process) {
			if got := b.Decide(act, userCode); got.Status != http.StatusOK {
				t.Errorf("%s: %d %s", act, got.Status, got.Body)
			}
		}
	}

	t.Run("PPL-05 PPL-08 PPL-11 from login to logout", func(t *testing.T) {
		s, b, m := begin(t)
		out, _ := m.login(0, decide(t, b, "approve"), "--host", s.URL, "--label", "Ada's laptop")
		if !strings.Contains(out, "\nType it at "+s.URL+"/device\n") || !strings.Contains(out, "\nSigned in as "+apitest.OwnerEmail+" on "+s.URL+"\n") {
			t.Fatal(out)
		}
		for path, want := range map[string]os.FileMode{m.dir: 0o700, filepath.Join(m.dir, "credentials.json"): 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v", path, info, err)
			}
		}
		printed, _ := m.run(0, "token")
		token := strings.TrimSuffix(printed, "\n")
		if !regexp.MustCompile(`^dfoa_[A-Za-z0-9_-]{43}$`).MatchString(token) {
			t.Fatalf("token printed %q", printed)
		}
		wantAnswer(t, s.Bearer(t, token, http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
		if out, _ := m.run(0, "whoami"); !strings.HasPrefix(out, apitest.OwnerEmail+" ("+apitest.OwnerName+") on "+s.URL+"\n") || !strings.Contains(out, apitest.Workspace+", owner (default)") {
			t.Fatal(out)
		}

		phone, phoneID := s.SignInDevice(t, b, "phone")
		tablet, _ := s.SignInDevice(t, b, "tablet")
		out, _ = m.run(0, "devices", "list", "-o", "json")
		var list []struct {
			ID      string `json:"id"`
			Label   string `json:"device_label"`
			Current bool   `json:"current"`
		}
		if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 3 {
			t.Fatal(err, out)
		}
		for _, d := range list {
			if d.Current != (d.Label == "Ada's laptop") {
				t.Fatal(out)
			}
		}
		m.run(0, "devices", "revoke", phoneID)
		wantAnswer(t, s.Bearer(t, phone, http.MethodGet, "/openapi/v1/account"), http.StatusUnauthorized, "invalid_token")
		wantAnswer(t, s.Bearer(t, tablet, http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
		if out, _ := m.run(0, "devices", "revoke", "--all"); out != "Ended on 1 device, not on this one\n" {
			t.Fatal(out)
		}
		wantAnswer(t, s.Bearer(t, tablet, http.MethodGet, "/openapi/v1/account"), http.StatusUnauthorized, "invalid_token")
		if _, errs := m.run(1, "devices", "revoke", "01900000-0000-7000-8000-000000000000"); !strings.Contains(errs, "no device of yours has that id") {
			t.Fatal(errs)
		}

		m.run(0, "token", "--check")
		m.run(0, "logout")
		wantAnswer(t, s.Bearer(t, token, http.MethodGet, "/openapi/v1/account"), http.StatusUnauthorized, "invalid_token")
		m.run(4, "token")
		m.run(4, "whoami")
		if said := m.said.String(); strings.Contains(said, "dfoa_") && strings.Contains(said, token) || strings.Contains(said, "dc_") || strings.Contains(said, "Bearer") {
			t.Errorf("a secret was printed:\n%s", said)
		}
	})
	t.Run("the person refuses", func(t *testing.T) {
		s, b, m := begin(t)
		_, errs := m.login(4, decide(t, b, "deny"), "--host", s.URL)
		if errs != "difyauth: the sign-in was refused in the browser: run difyauth login again if that was a mistake\n" {
			t.Fatal(errs)
		}
		m.run(4, "token")
	})
	t.Run("Ctrl-C leaves nothing behind", func(t *testing.T) {
		s, _, m := begin(t)
		_, errs := m.login(130, func(_ string, p *os.Process) {
			if err := p.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
		}, "--host", s.URL, "--no-browser")
		if _, err := os.Stat(m.dir); !strings.HasPrefix(errs, "difyauth: stopped: nobody is signed in") || !os.IsNotExist(err) || tokenRows(t, s) != 0 {
			t.Fatal(errs, err)
		}
	})
	t.Run("ended elsewhere", func(t *testing.T) {
		s, b, m := begin(t)
		m.login(0, decide(t, b, "approve"), "--host", s.URL)
		sqlExec(t, s, `UPDATE oauth_access_tokens SET revoked_at = $1, token_hash = NULL, revoke_reason = 'user' WHERE revoked_at IS NULL`, time.Now())
		if _, errs := m.run(4, "whoami"); !strings.Contains(errs, "run difyauth login --host "+s.URL) {
			t.Fatal(errs)
		}
		m.run(0, "logout")
	})
	t.Run("the version of the build", func(t *testing.T) {
		m := &daMachine{t: t, binary: binary, said: &bytes.Buffer{}}
		if out, _ := m.run(0, "version"); out != "difyauth 1.2.3\n" {
			t.Fatal(out)
		}
	})
}
