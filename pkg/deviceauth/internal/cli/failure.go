// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/api"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/credentials"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/keyring"
)

// Exit codes, as --help lists them.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotSignedIn = 4
	exitTokenDead   = 5 // status alone
	exitUnreachable = 6 // status alone
	exitRateLimited = 7 // 3 and 8 to 10 are of run and resume
	exitInterrupted = 130
	exitTerminated  = 143 // SIGTERM, by the shell's custom
)

// failure is an error in the words of the command: a code for scripts, and one sentence
// that says what to do next.
type failure struct {
	Code       string `json:"code"`
	Message    string `json:"message"`
	Status     int    `json:"status,omitempty"`      // of the server's answer
	RetryAfter int    `json:"retry_after,omitempty"` // seconds
	exit       int
}

// interrupted is a command that a signal ended.
type interrupted struct {
	terminated bool
	left       leftover
}

func (interrupted) Error() string { return "interrupted" }

// notSignedIn says that there is no token to use.
type notSignedIn struct {
	host  string // empty: nowhere at all
	ended bool   // there is one, but its time is over
}

func (notSignedIn) Error() string { return "not signed in" }

// leftover is what a signal would leave behind where err happened.
type leftover struct {
	text string
	err  error
}

func (e leftover) Error() string { return e.err.Error() }
func (e leftover) Unwrap() error { return e.err }

// told is an error whose sentence is known where it happens.
type told struct {
	code string
	text string
	exit int // exitFailure if 0
}

func (e told) Error() string { return e.text }

// explain finds the words for an error.
func (c *command) explain(err error) failure {
	var ready stated
	if errors.As(err, &ready) {
		return ready.failure
	}
	f := failure{exit: exitFailure}
	wait := "in a minute"
	var said *deviceauth.Error
	detail := ""
	if errors.As(err, &said) {
		f.Status = said.Status
		if said.RetryAfter > 0 {
			f.RetryAfter = int(said.RetryAfter.Seconds())
			wait = "in " + spell(said.RetryAfter)
		}
		detail = said.Said()
	}
	say := func(code, format string, args ...any) failure {
		f.Code, f.Message = code, fmt.Sprintf(format, args...)
		return f
	}
	var usage usageError
	var stopped interrupted
	var absent notSignedIn
	var known told
	var exposed *credentials.Exposed
	var locked *credentials.Locked
	if code, text, ok := c.network(err); ok && !errors.Is(err, deviceauth.ErrExpired) {
		return say(code, "%s", text)
	}
	switch {
	case errors.As(err, &usage):
		f.exit = exitUsage
		return say("usage", "%v; difyauth --help shows the commands", usage)
	case errors.As(err, &stopped):
		if f.exit = exitInterrupted; stopped.terminated {
			f.exit = exitTerminated
		}
		return say("interrupted", "stopped%s", stopped.left.text)
	case errors.As(err, &known):
		f.exit = max(known.exit, exitFailure)
		return say(known.code, "%s", known.text)
	case errors.As(err, &absent):
		f.exit = exitNotSignedIn
		switch {
		case absent.host == "":
			return say("not_signed_in", "not signed in: run difyauth login --host https://your-server")
		case absent.ended:
			return say("session_ended", "the sign-in on %s has run out: run difyauth login --host %s", absent.host, absent.host)
		}
		return say("not_signed_in", "not signed in on %s: run difyauth login --host %s", absent.host, absent.host)
	case errors.As(err, &exposed):
		return say("credentials_exposed", "%v", exposed)
	case errors.As(err, &locked) && errors.Is(err, keyring.ErrAbsent):
		f.exit = exitNotSignedIn
		return say("not_in_keyring", "the keyring of this machine no longer has the token of %s: run difyauth login --host %s", locked.Host, locked.Host)
	case errors.As(err, &locked):
		return say("keyring", "the token of %s is in the keyring of this machine, which does not give it (%s): unlock the keyring and try again, or run difyauth login --store file", locked.Host, plain(locked.Err.Error()))
	case errors.Is(err, deviceauth.ErrHost):
		f.exit = exitUsage
		return say("usage", "the host is no address of a server: write it as https://sso.example.com, without a path")
	case errors.Is(err, deviceauth.ErrInsecureHost):
		f.exit = exitUsage
		return say("insecure_host", "an http:// address would send the token over the network in clear: use https://, or --insecure if you trust every part of that network")
	case errors.Is(err, deviceauth.ErrAccessDenied):
		f.exit = exitNotSignedIn
		return say("access_denied", "the sign-in was refused in the browser: run difyauth login again if that was a mistake")
	case errors.Is(err, deviceauth.ErrExpired) && errors.Is(err, deviceauth.ErrUnreachable):
		f.exit = exitNotSignedIn
		return say("expired_token", "%s did not answer until the code ended: check your network, then run difyauth login again", c.at)
	case errors.Is(err, deviceauth.ErrForgotten):
		f.exit = exitNotSignedIn
		return say("expired_token", "%s does not know the code any more, though its time is not over, as after a restart: run difyauth login again for a new one", c.at)
	case errors.Is(err, deviceauth.ErrExpired):
		f.exit = exitNotSignedIn
		return say("expired_token", "the code ended before it was allowed: run difyauth login again for a new one")
	case errors.Is(err, deviceauth.ErrUnauthorized) && c.env("DIFYAUTH_TOKEN") != "":
		f.exit = exitNotSignedIn
		return say("session_ended", "%s does not accept the token of DIFYAUTH_TOKEN: set another one, or unset it and run difyauth login", c.at)
	case errors.Is(err, deviceauth.ErrUnauthorized):
		f.exit = exitNotSignedIn
		return say("session_ended", "%s does not accept this sign-in any more, it was ended or has run out: run difyauth login --host %s", c.at, c.at)
	case errors.Is(err, deviceauth.ErrRateLimited) && said != nil && said.Code == "rate_limit_error":
		f.exit = exitRateLimited
		return say("rate_limited", "what the app runs on has reached a limit of its own: try again %s", wait)
	case errors.Is(err, deviceauth.ErrRateLimited):
		f.exit = exitRateLimited
		return say("rate_limited", "%s has had too many requests: try again %s", c.at, wait)
	case errors.Is(err, deviceauth.ErrUnsupportedClient):
		return say("unsupported_client", "%s does not take difyauth as a client: ask who runs it to add difyauth to OPENAPI_KNOWN_CLIENT_IDS", c.at)
	case errors.Is(err, deviceauth.ErrDisabled):
		return say("bearer_auth_disabled", "%s has sign-in by token switched off: ask who runs it to set ENABLE_OAUTH_BEARER=true", c.at)
	case said != nil && words[said.Code] != "":
		return say(said.Code, "%s", words[said.Code])
	case errors.Is(err, api.ErrOlder):
		return say("older_server", "%s knows nothing of this: it is older than this difyauth, or has no apps; ask who runs it to update it", c.at)
	case errors.Is(err, deviceauth.ErrUnavailable):
		return say("unavailable", "%s cannot serve this at the moment (%s): try again %s", c.at, detail, wait)
	case said != nil && said.Code == "session_not_found":
		return say(said.Code, "no device of yours has that id: difyauth devices list shows them")
	case said != nil && said.Status == http.StatusProxyAuthRequired:
		return say("proxy", "the proxy on the way to %s wants a name and a password: put them into HTTP_PROXY, or %s into NO_PROXY", c.at, c.name())
	case said != nil && said.Status == http.StatusNotFound:
		return say("no_api", "there is no sign-in API at %s: check the address, or ask who runs it whether OPENAPI_ENABLED is true", c.at)
	case said != nil && said.Status == http.StatusBadRequest && said.Code == "" && strings.HasPrefix(c.at, "http://"):
		return say("bad_answer", "%s refuses a request without encryption: write https:// in place of http://", c.at)
	case errors.Is(err, deviceauth.ErrBadAnswer):
		return say("bad_answer", "%s does not answer as a dify-sso server does%s: check the address", c.at, after(err, deviceauth.ErrBadAnswer))
	case said != nil:
		if said.Code != "" {
			f.Code = said.Code
		} else {
			f.Code = "refused"
		}
		return say(f.Code, "%s refuses (%s): check what you asked for", c.at, detail)
	}
	if code, text, ok := disk(err); ok {
		return say(code, "%s", text)
	}
	return say("failed", "%s", plain(err.Error()))
}

// after gives what an error says beyond its sentinel, in parentheses.
func after(err, sentinel error) string {
	_, cause, ok := strings.Cut(err.Error(), sentinel.Error()+": ")
	if !ok {
		return ""
	}
	return " (" + plain(cause) + ")"
}

// short says in a few words why a request failed.
func short(err error) string {
	var said *deviceauth.Error
	if errors.As(err, &said) && said.Status != 0 {
		return said.Said()
	}
	return strings.Trim(after(err, deviceauth.ErrUnreachable), " ()")
}

// spell writes a duration for people.
func spell(d time.Duration) string {
	count := func(n time.Duration, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return count(d.Round(day)/day, "day")
	case d >= 2*time.Hour:
		return count(d.Round(time.Hour)/time.Hour, "hour")
	case d >= 2*time.Minute:
		return count(d.Round(time.Minute)/time.Minute, "minute")
	}
	return count(d.Round(time.Second)/time.Second, "second")
}
