// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/cli"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/servertest"
)

func TestTheAccountIsNamedAfterTheLogin(t *testing.T) {
	const sentence = "Signed in as mallory@example.com on https://sso.example.com\n"
	t.Run("PPL-05 whoever approved as somebody else sees it at once", func(t *testing.T) {
		s := newStage(t)
		s.server.Email = "mallory@example.com"
		if r := s.expect(0, "login", "--host", servertest.Origin); !strings.Contains(r.out, "\n"+sentence) {
			t.Fatal(r.out)
		}
	})
	t.Run("PPL-05 and the account that was signed in before", func(t *testing.T) {
		s := newStage(t)
		s.login()
		s.server.Email = "mallory@example.com"
		if r := s.expect(0, "login"); !strings.Contains(r.out, "\n"+sentence) || !strings.HasSuffix(r.out, "\nThe earlier sign-in as ada@example.com was ended.\n") {
			t.Fatal(r.out)
		}
	})
	t.Run("PPL-05 a script reads it", func(t *testing.T) {
		s := newStage(t)
		s.server.Email = "mallory@example.com"
		r := s.expect(0, "login", "--host", servertest.Origin, "-o", "json")
		lines := strings.Split(strings.TrimSpace(r.out), "\n")
		var last struct{ Event, Email, Host string }
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Event != "signed_in" || last.Email != "mallory@example.com" || last.Host != servertest.Origin {
			t.Fatalf("%v %s", err, r.out)
		}
	})
	t.Run("PPL-05 an address cannot move the cursor", func(t *testing.T) {
		s := newStage(t)
		s.server.Email = "ada@example.com\r\x1b[2Kmallory@example.com"
		if r := s.expect(0, "login", "--host", servertest.Origin); strings.ContainsAny(r.out, "\r\x1b") {
			t.Fatalf("%q", r.out)
		}
	})
}

func TestLogoutEndsTheSessionWhateverTheFileDoes(t *testing.T) {
	t.Run("PPL-08 the file cannot be deleted", func(t *testing.T) {
		s := newStage(t)
		s.login()
		path := filepath.Join(s.dir, "credentials.json")
		s.server.On = func(r *http.Request) { // a full folder in its place: nobody can remove that by one call, not even root
			if r.Method == http.MethodDelete {
				_ = os.Remove(path)
				if err := os.MkdirAll(filepath.Join(path, "x"), 0o700); err != nil {
					t.Error(err)
				}
			}
		}
		r := s.expect(1, "logout")
		if len(s.server.Live()) != 0 {
			t.Fatal("the session lives on")
		}
		if !strings.Contains(r.err, path) || !strings.Contains(r.err, "remove it yourself, its token is ended on the server") {
			t.Fatal(r.err)
		}
	})
	t.Run("PPL-08 the server cannot be told: a warning, and the token is gone from here", func(t *testing.T) {
		for _, f := range []*servertest.Fault{servertest.Unavailable("2"), servertest.TooMany("5"), {Cut: true}, {Status: 200, Body: "<html>"}, {Status: 302}} {
			s := newStage(t)
			s.login()
			s.server.Fault = at("/self", 1, f)
			r := s.expect(0, "logout")
			if f.Status != 200 && !strings.Contains(r.err, "end it at https://sso.example.com/account/sessions") || s.stored() != "" {
				t.Fatalf("%+v: %s, stored %q", f, r.err, s.stored())
			}
		}
	})
	t.Run("PPL-08 it asks with the token and once", func(t *testing.T) {
		s := newStage(t)
		s.login()
		token := s.server.Live()[0].Token
		n := len(s.server.Requests())
		s.expect(0, "logout")
		all := s.server.Requests()[n:]
		if len(all) != 1 || all[0].Method != http.MethodDelete || all[0].Path != "/openapi/v1/account/sessions/self" || all[0].Header.Get("Authorization") != "Bearer "+token {
			t.Fatalf("%+v", all)
		}
	})
}

func TestNothingIsLeftBehind(t *testing.T) {
	t.Run("Ctrl-C while waiting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t)
			s.server.Decision, s.stop = servertest.Nothing, 7*time.Second
			s.expect(130, "login", "--host", servertest.Origin)
			if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
				t.Fatal("a folder was made", err)
			}
		})
	})
	t.Run("Ctrl-C while the winning answer arrives: the token is ended", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t)
			s.stop = time.Second
			s.server.On = func(r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/token") {
					time.Sleep(1500 * time.Millisecond)
				}
			}
			s.expect(130, "login", "--host", servertest.Origin)
			if len(s.server.Secrets()) != 2 || len(s.server.Live()) != 0 || s.stored() != "" {
				t.Fatalf("live %+v, stored %q", s.server.Live(), s.stored())
			}
		})
	})
	t.Run("a sign-in that cannot be stored is ended", func(t *testing.T) {
		s := newStage(t)
		s.server.On = func(r *http.Request) { // the folder turns into a file while the person decides
			if strings.HasSuffix(r.URL.Path, "/token") {
				if err := os.WriteFile(s.dir, nil, 0o600); err != nil {
					t.Error(err)
				}
			}
		}
		r := s.expect(1, "login", "--host", servertest.Origin)
		if len(s.server.Live()) != 0 || !strings.Contains(r.err, "was ended again") || strings.Contains(r.out, "Signed in") {
			t.Fatalf("live %+v: %s%s", s.server.Live(), r.out, r.err)
		}
		if entries, _ := os.ReadDir(filepath.Dir(s.dir)); len(entries) != 1 {
			t.Fatalf("left %v", entries)
		}
	})
	t.Run("a sign-in after another one of the same device keeps the one session", func(t *testing.T) {
		s := newStage(t)
		s.login()
		s.login()
		if live := s.server.Live(); len(live) != 1 || !strings.Contains(s.stored(), live[0].Token) {
			t.Fatalf("live %+v, stored %s", live, s.stored())
		}
	})
}

// A server that quotes what it was sent is the worst case of output pasted in public.
func TestNoOutputShowsASecret(t *testing.T) {
	t.Run("PPL-11 not even when the server quotes it", func(t *testing.T) {
		s := newStage(t)
		quote := func(r *http.Request) *servertest.Fault {
			body, _ := io.ReadAll(r.Body)
			text, _ := json.Marshal("you sent " + r.Header.Get("Authorization") + string(body))
			return &servertest.Fault{Status: 400, Body: `{"error":"invalid_grant","error_description":` + string(text) + `,"code":"bad_request","message":` + string(text) + `}`}
		}
		s.server.Fault = func(r *http.Request) *servertest.Fault {
			if strings.HasSuffix(r.URL.Path, "/token") {
				return quote(r)
			}
			return nil
		}
		s.expect(1, "login", "--host", servertest.Origin)
		s.expect(1, "login", "--host", servertest.Origin, "-o", "json")
		s.server.Fault = nil
		s.login()
		s.server.Fault = quote
		for _, args := range [][]string{{"whoami"}, {"devices", "list"}, {"devices", "revoke", "--all"}, {"whoami", "-o", "json"}, {"token", "--check"},
			{"workspaces", "list"}, {"members", "list"}, {"apps", "list", "-A"}, {"run", servertest.AppID(1), "x"}, {"run", servertest.AppID(1), "x", "--blocking", "-o", "json"},
			{"resume", servertest.AppID(1), "form", "--run", "r"}, {"run", servertest.AppID(1), "-f", "x=@safety_test.go"}} {
			if r := s.expect(1, args...); strings.Contains(r.out+r.err, "dfoa_") { // run looks for the rest
				t.Error(r.out, r.err)
			}
		}
		if r := s.expect(0, "logout"); strings.Contains(r.out+r.err, "dfoa_") {
			t.Error(r.out, r.err)
		}
	})
	t.Run("PPL-11 no flag shows headers", func(t *testing.T) {
		s := newStage(t)
		for _, flag := range []string{"--debug", "--verbose", "--trace", "-d"} {
			s.expect(2, "whoami", flag)
		}
	})
}

func TestCredentialsOpenToOthersAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		folder bool
		mode   os.FileMode
		says   string
	}{
		{name: "PPL-08 a file that the group can read", mode: 0o640, says: "can be read by others on this machine (mode 0640), so its token is not used: run difyauth logout and sign in again"},
		{name: "PPL-08 a file that everybody can read", mode: 0o604, says: "(mode 0604)"},
		{name: "PPL-08 a folder that everybody can enter", folder: true, mode: 0o755, says: "is open to others on this machine (mode 0755): run chmod 700"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.login()
			path := s.dir
			if !c.folder {
				path = filepath.Join(s.dir, "credentials.json")
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			n := len(s.server.Requests())
			for _, args := range [][]string{{"token"}, {"whoami"}, {"devices", "list"}, {"login"}, {"login", "--host", servertest.Origin}} {
				if r := s.expect(1, args...); r.out != "" || !strings.Contains(r.err, c.says) || !strings.Contains(r.err, path) {
					t.Fatal(r.out, r.err)
				}
			}
			if r := s.expect(1, "token", "-o", "json"); !strings.Contains(r.err, `"code":"credentials_exposed"`) {
				t.Fatal(r.err)
			}
			if len(s.server.Requests()) != n {
				t.Fatal("the server was asked with it")
			}
			// Ending what others may have seen is the cure, so that is not refused.
			if r := s.expect(0, "logout"); !strings.Contains(r.err, "warning") || len(s.server.Live()) != 0 || s.stored() != "" {
				t.Fatal(r.err, s.stored())
			}
		})
	}
}

func TestDamagedCredentials(t *testing.T) {
	for content, says := range map[string]string{"{": "is damaged", `{"hosts":{}}`: "is damaged", `{"version":3}`: "newer difyauth"} {
		s := newStage(t)
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.dir, "credentials.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := s.expect(1, "token"); !strings.Contains(r.err, says) {
			t.Error(content, r.err)
		}
	}
}

func TestWhereTheCredentialsAre(t *testing.T) {
	s := servertest.New()
	home := t.TempDir()
	run := func(environ ...string) {
		t.Helper()
		var out bytes.Buffer
		code := cli.Run([]string{"login", "--host", servertest.Origin}, cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Environ: environ, Transport: s.Transport(), Hostname: os.Hostname})
		if code != 0 {
			t.Fatal(out.String())
		}
	}
	run("XDG_CONFIG_HOME=" + home)
	run("XDG_CONFIG_HOME="+home, "DIFYAUTH_CONFIG_DIR="+filepath.Join(home, "own"))
	for _, path := range []string{"difyauth/credentials.json", "own/credentials.json"} {
		if _, err := os.Stat(filepath.Join(home, path)); err != nil {
			t.Error(err)
		}
	}
}

func TestTheRequestsOfALogin(t *testing.T) {
	s := newStage(t)
	s.expect(0, "login", "--host", servertest.Origin)
	r := s.server.Requests()
	if len(r) != 2 || r[0].Body != `{"client_id":"difyauth","device_label":"difyauth on laptop"}` || !strings.HasPrefix(r[0].Header.Get("User-Agent"), "difyauth/1.2.3 (") {
		t.Fatalf("%+v", r)
	}
	s.expect(0, "login", "--label", "build server 7")
	if r := s.server.Requests()[2]; !strings.Contains(r.Body, `"device_label":"build server 7"`) {
		t.Fatal(r.Body)
	}
}

func TestAllDevicesAreListed(t *testing.T) {
	s := newStage(t)
	s.login()
	for range 450 {
		s.server.Add("x")
	}
	r := s.expect(0, "devices", "list", "-o", "json")
	var list []map[string]any
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list) != 451 {
		t.Fatal(err, len(list))
	}
}
