// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/servertest"
)

// at gives requests to a path a fault, those before the nth excepted.
func at(path string, from int, f *servertest.Fault) func(*http.Request) *servertest.Fault {
	n := 0
	return func(r *http.Request) *servertest.Fault {
		if !strings.HasSuffix(r.URL.Path, path) {
			return nil
		}
		if n++; n < from {
			return nil
		}
		return f
	}
}

// Every word that the command says stands in testdata/golden.
func TestTranscripts(t *testing.T) {
	const host = servertest.Origin
	transcripts(t, map[string]func(*stage){
		"login": func(s *stage) {
			s.server.After = 12 * time.Second
			s.expect(0, "login", "--host", host)
			s.expect(0, "whoami")
		},
		"login-json": func(s *stage) {
			s.server.Complete = true
			s.expect(0, "login", "--host", "SSO.example.com", "-o", "json")
			s.expect(0, "whoami", "-o", "json")
			s.expect(0, "devices", "list", "-o", "json")
			s.expect(0, "token", "-o", "json")
			s.expect(0, "devices", "revoke", "--all", "-o", "json")
			s.expect(0, "logout", "-o", "json")
			s.expect(4, "logout", "-o", "json")
		},
		"login-terminal": func(s *stage) {
			s.server.Complete = true
			s.screen, s.server.After, s.typed = true, 4*time.Second, []typed{{2500 * time.Millisecond, "\n"}}
			s.expect(0, "login", "--host", host)
			if len(s.opened) != 1 || s.opened[0] != host+"/device" { // never with the code in it
				s.t.Errorf("opened %q", s.opened)
			}
		},
		"login-terminal-without-browser": func(s *stage) {
			s.screen, s.noOpen, s.environ = true, true, []string{"NO_COLOR=1"}
			s.server.After, s.typed = 2*time.Second, []typed{{1500 * time.Millisecond, "\n"}}
			s.expect(0, "login", "--host", host)
		},
		"login-terminal-no-browser": func(s *stage) {
			s.screen, s.server.After, s.typed = true, time.Second, []typed{{500 * time.Millisecond, "\n"}}
			s.expect(0, "login", "--host", host, "--no-browser")
			if len(s.opened) != 0 {
				s.t.Errorf("opened %q", s.opened)
			}
		},
		"login-dumb-terminal": func(s *stage) {
			s.screen, s.environ, s.server.After = true, []string{"TERM=dumb"}, 3*time.Second
			s.expect(0, "login", "--host", host)
		},
		"login-terminal-trouble": func(s *stage) {
			s.screen, s.server.After = true, time.Second
			s.server.Fault = at("/token", 1, &servertest.Fault{Cut: true})
			s.server.ExpiresIn = 3 * time.Second
			s.expect(4, "login", "--host", host, "--no-browser")
		},
		"login-refused": func(s *stage) {
			s.server.Decision, s.server.After = servertest.Refuse, 3*time.Second
			s.expect(4, "login", "--host", host)
			s.expect(4, "login", "--host", host, "-o", "json")
		},
		"login-expired": func(s *stage) {
			s.server.Decision, s.server.ExpiresIn = servertest.Nothing, 90*time.Second
			s.expect(4, "login", "--host", host)
		},
		"login-unreachable": func(s *stage) {
			s.server.Fault = at("/code", 1, &servertest.Fault{Cut: true})
			s.expect(1, "login", "--host", host)
			s.server.Fault = at("/token", 2, &servertest.Fault{Cut: true})
			s.server.Decision = servertest.Nothing
			s.expect(4, "login", "--host", host)
			s.expect(4, "login", "--host", host, "-o", "json")
		},
		"login-outage-survived": func(s *stage) {
			n := 0
			s.server.Fault = func(r *http.Request) *servertest.Fault {
				if n++; n > 1 && n < 5 {
					return servertest.Unavailable("2")
				}
				return nil
			}
			s.expect(0, "login", "--host", host)
		},
		"login-rejected": func(s *stage) {
			s.server.Fault = at("/code", 1, servertest.TooMany("60"))
			s.expect(7, "login", "--host", host)
			s.expect(7, "login", "--host", host, "-o", "json")
			s.server.Fault = at("/code", 1, servertest.Unavailable("2"))
			s.expect(1, "login", "--host", host)
			s.server.Fault = at("/code", 1, &servertest.Fault{Status: 400, Body: `{"error":"unsupported_client"}`})
			s.expect(1, "login", "--host", host)
			s.server.Fault = at("/code", 1, &servertest.Fault{Status: 404, Body: `<html>`})
			s.expect(1, "login", "--host", host)
			s.server.Fault = at("/code", 1, &servertest.Fault{Status: 302, Header: http.Header{"Location": {"https://www.example.com/welcome"}}})
			s.expect(1, "login", "--host", host)
			s.server.Fault = nil
			s.expect(1, "login", "--host", host, "--label", strings.Repeat("x", 256))
			s.server.Fault = at("/token", 1, &servertest.Fault{Status: 400, Body: `{"error":"invalid_grant"}`})
			s.expect(1, "login", "--host", host, "-o=json")
		},
		"login-interrupted": func(s *stage) {
			s.server.Decision, s.stop = servertest.Nothing, 7*time.Second
			s.expect(130, "login", "--host", host)
			s.screen = true
			s.expect(130, "login", "--host", host)
			s.expect(130, "login", "--host", host, "--output=json")
		},
		"login-again": func(s *stage) {
			s.login()
			s.server.Email = "bob@example.com"
			s.expect(0, "login")
			if live := s.server.Live(); len(live) != 1 || live[0].Email != "bob@example.com" {
				s.t.Errorf("live %+v", live)
			}
			s.server.Fault = at("/self", 1, servertest.Unavailable("2"))
			s.expect(0, "login")
		},
		"external": func(s *stage) {
			s.server.External = true
			s.expect(0, "login", "--host", host)
			s.expect(0, "whoami")
		},
		"login-interrupted-by-the-answer": func(s *stage) {
			s.stop = time.Second
			s.server.On = func(r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/token") {
					time.Sleep(1500 * time.Millisecond)
				}
			}
			s.expect(130, "login", "--host", host)
			s.server.Fault = at("/self", 1, servertest.Unavailable("2"))
			s.expect(130, "login", "--host", host)
		},
		"login-after-a-restart": func(s *stage) { // codes in memory do not live through one
			s.server.Decision = servertest.Nothing
			n := 0
			s.server.Fault = func(r *http.Request) *servertest.Fault {
				switch n++; {
				case n > 3 && n < 7:
					return &servertest.Fault{Cut: true}
				case n == 7:
					return &servertest.Fault{Status: 400, Body: `{"error":"expired_token"}`}
				}
				return nil
			}
			s.expect(4, "login", "--host", host)
			n = 0
			s.expect(4, "login", "--host", host, "-o", "json")
		},
		"login-terminal-outage": func(s *stage) {
			s.screen, s.server.After, s.server.Interval = true, 6*time.Second, time.Second
			n := 0
			s.server.Fault = func(*http.Request) *servertest.Fault {
				if n++; n == 3 {
					return &servertest.Fault{Cut: true}
				}
				return nil
			}
			s.expect(0, "login", "--host", host, "--no-browser")
		},
		"login-qr": func(s *stage) {
			s.expect(0, "login", "--host", host, "--qr")
			s.expect(0, "login", "--qr", "-o", "json")
			s.screen, s.width = true, 80
			s.expect(0, "login", "--qr", "--no-browser")
			s.environ = []string{"NO_COLOR=1"}
			s.expect(0, "login", "--qr", "--no-browser")
			s.server.Complete, s.width = true, 20
			s.expect(0, "login", "--qr", "--no-browser")
		},
		"keyring": func(s *stage) {
			s.ring = &ring{items: map[string]string{}}
			s.expect(0, "login", "--host", host)
			s.expect(0, "token")
			s.expect(0, "status")
			s.expect(0, "status", "-o", "json")
			s.expect(0, "login", "--store", "file")
			s.expect(0, "login", "-o", "json")
			s.expect(0, "logout")
			s.environ = []string{"DIFYAUTH_STORE=file"}
			s.expect(0, "login", "--host", host)
			s.environ = []string{"DIFYAUTH_STORE=keyring"}
			s.expect(0, "token")
			s.environ = []string{"DIFYAUTH_STORE=vault"}
			s.expect(2, "token")
		},
		"keyring-trouble": func(s *stage) {
			s.ring = &ring{items: map[string]string{}}
			s.login()
			for item := range s.ring.items {
				delete(s.ring.items, item)
			}
			s.expect(4, "token")
			s.login()
			s.ring.silent.Store(true)
			s.expect(1, "token")
			s.expect(1, "token", "-o", "json")
			s.expect(1, "login", "--store", "keyring")
			s.expect(0, "login") // an earlier one in the keyring, this one in the file
			s.expect(0, "token")
			s.expect(0, "logout")
			s.ring.silent.Store(false)
			s.login()
			s.ring.silent.Store(true)
			s.expect(0, "logout")
			time.Sleep(time.Hour) // the keyring does in the end what it was asked for
		},
		"status": func(s *stage) {
			s.expect(4, "status")
			s.expect(4, "status", "--host", host)
			s.server.Fault = at("/_version", 1, &servertest.Fault{Cut: true})
			s.expect(4, "status", "--host", host, "-o", "json")
			s.server.Fault = nil
			s.login()
			s.expect(0, "status")
			s.server.Fault = at("/account", 1, &servertest.Fault{Cut: true})
			s.expect(6, "status")
			s.expect(6, "status", "-o", "json")
			s.server.Fault = at("/account", 1, servertest.Unavailable("2"))
			s.expect(1, "status")
			s.server.Fault = nil
			s.environ = []string{"DIFYAUTH_TOKEN=" + s.server.Live()[0].Token}
			s.expect(2, "status")
			s.expect(0, "status", "--host", host)
			s.environ = []string{"DIFYAUTH_TOKEN=dfoa_dead", "DIFYAUTH_HOST=" + host}
			s.expect(5, "status")
			s.environ = nil
			s.server.Date = func() time.Time { return time.Now().Add(-10 * 24 * time.Hour) }
			s.expect(0, "status")
			s.server.Date = nil
			time.Sleep(14 * 24 * time.Hour)
			s.expect(5, "status")
			s.expect(5, "status", "-o", "json")
		},
		"completion": func(s *stage) {
			s.login()
			s.server.Add("phone")
			s.expect(0, "__complete", "whoami", "--host", "")
			s.expect(0, "__complete", "devices", "revoke", "")
			s.expect(0, "__complete", "login", "--store", "")
			s.server.Fault = at("/sessions", 1, &servertest.Fault{Cut: true})
			s.expect(0, "__complete", "devices", "revoke", "")
			s.expect(2, "completion")
			s.expect(2, "completion", "tcsh")
		},
		"signed-out": func(s *stage) {
			for _, args := range [][]string{{"token"}, {"whoami"}, {"devices", "list"}, {"devices", "revoke", "--all"}, {"logout"}} {
				s.expect(4, args...)
			}
			s.expect(4, "token", "--host", host)
			s.expect(4, "whoami", "-o", "json")
			s.environ = []string{"DIFYAUTH_HOST=https://other.example.com"}
			s.expect(4, "whoami")
		},
		"session-over": func(s *stage) {
			s.login()
			time.Sleep(14*24*time.Hour - time.Second)
			s.expect(0, "token")
			time.Sleep(time.Second)
			s.expect(4, "token")
			s.expect(4, "whoami")
			s.expect(0, "logout")
			s.login()
			s.server.Fault = at("/account", 1, &servertest.Fault{Status: 401, Body: `{"code":"invalid_token","message":"The access token is not valid","status":401}`})
			s.expect(0, "token")
			s.expect(4, "token", "--check")
			s.expect(4, "whoami")
		},
		"devices": func(s *stage) {
			s.server.Add("phone\x1b[31m\u202e")
			time.Sleep(90 * time.Minute)
			s.login()
			s.server.Add("build server 7")
			s.expect(0, "devices", "list")
			s.expect(0, "devices", "revoke", "01900000-0000-7000-8000-000000000001")
			s.expect(1, "devices", "revoke", "01900000-0000-7000-8000-000000000009")
			s.expect(0, "devices", "revoke", "--all")
			s.expect(0, "devices", "list")
			s.expect(0, "devices", "revoke", "01900000-0000-7000-8000-000000000002")
			s.expect(4, "devices", "list")
		},
		"server-trouble": func(s *stage) {
			s.login()
			s.server.Fault = at("/account", 1, &servertest.Fault{Cut: true})
			s.expect(1, "whoami")
			s.server.Fault = at("/account", 1, servertest.Unavailable(""))
			s.expect(1, "whoami", "-o", "json")
			s.server.Fault = at("/account", 1, servertest.TooMany("90"))
			s.expect(7, "whoami")
			s.expect(7, "whoami", "-o", "json")
			s.server.Fault = at("/account", 1, &servertest.Fault{Status: 200, Body: "<html>"})
			s.expect(1, "whoami")
			s.server.Fault = at("/account", 1, &servertest.Fault{Status: 403, Body: `{"code":"insufficient_scope","message":"Not with this token","status":403}`})
			s.expect(1, "whoami")
		},
		"logout-without-server": func(s *stage) {
			s.login()
			s.server.Fault = at("/self", 1, servertest.Unavailable("2"))
			s.expect(0, "logout")
			s.expect(4, "token")
			s.server.Fault = nil
			s.login()
			s.server.Fault = at("/self", 1, &servertest.Fault{Cut: true})
			s.expect(0, "logout", "-o", "json")
		},
		"two-hosts": func(s *stage) {
			s.expect(0, "login", "--host", host)
			time.Sleep(time.Second)
			s.expect(0, "login", "--host", "https://other.example.com")
			s.expect(0, "token")
			s.expect(0, "token", "--host", host)
			s.environ = []string{"DIFYAUTH_HOST=" + host}
			s.expect(0, "token")
			s.environ = nil
			s.expect(0, "logout")
			s.expect(0, "token")
			s.expect(0, "logout")
			s.expect(4, "token")
		},
		"token-of-the-environment": func(s *stage) {
			v := s.server.Add("CI")
			s.login()
			s.environ = []string{"DIFYAUTH_TOKEN=" + v.Token}
			s.expect(0, "token")
			s.expect(2, "whoami")
			s.expect(0, "whoami", "--host", host)
			s.expect(0, "token", "--check", "--host", host)
			s.expect(2, "whoami", "--host", "http://sso.example.com")
			s.expect(0, "login")
			s.expect(0, "logout")
		},
		"usage": func(s *stage) {
			for _, args := range [][]string{
				{"login"}, {"login", "now"}, {"login", "--hosst", "x"}, {"logn"}, {"devices", "rm"}, {"devices", "revoke"}, {"devices", "revoke", "self"}, {"devices", "revoke", "--all", "x"},
				{"login", "--host", "http://sso.example.com"}, {"login", "--host", "https://ada:pw@sso.example.com"}, {"login", "--host", "ftp://x"}, {"version", "-o", "xml"}, {"login", "--bogus", "-o", "json"}, {"whoami", "x", "-ojson"},
			} {
				s.expect(2, args...)
			}
			if len(s.server.Requests()) != 0 {
				s.t.Error("the server was asked")
			}
			s.expect(0, "login", "--host", "http://sso.example.com", "--insecure")
			s.expect(0, "whoami") // allowed once, at the login
		},
		"help": func(s *stage) {
			s.expect(0, "--help")
			s.expect(0, "login", "--help")
			s.expect(0, "token", "--help")
			s.expect(0, "devices")
			s.expect(0, "status", "--help")
			s.expect(0, "logout", "--help")
			s.expect(0, "completion", "--help")
			s.expect(0, "man", "--help")
			s.expect(2, "man")
			s.expect(0, "version")
			s.expect(0, "--version")
		},
	})
}
