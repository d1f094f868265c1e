// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// checkLimit bounds the call of a runtime, below what a command waits.
const checkLimit = 20 * time.Second

// The phases at which a call of a runtime may end; another is of an answer that is none.
const (
	CallRefused  = "refused" // by the guard of addresses
	CallName     = "dns"
	CallConnect  = "connect"
	CallTLS      = "tls"
	CallTimeout  = "timeout"
	CallRedirect = "redirect"
)

// Unreached is a call that has come to no answer that counts. Package app reads it out of
// the failure of whatever has called.
type Unreached struct {
	Phase string
	// Why is the guard's reason, which does not repeat the address.
	Why string
}

// AppChecked is what became of a call of an app's runtime.
type AppChecked struct {
	ID        string       `json:"app_id"`
	Name      string       `json:"name"`
	Workspace string       `json:"workspace"`
	Runtime   apps.Runtime `json:"runtime"`
	OK        bool         `json:"ok"`
	// Problem is a stable word, empty when there is none, and Text a sentence about it.
	Problem string `json:"problem,omitempty"`
	Text    string `json:"text"`
	// Hint says what to do.
	Hint string `json:"hint,omitempty"`
	// Warnings do not keep the app from running as it is asked to, but from being run.
	Warnings []string `json:"warnings"`
}

// CheckApp calls an app's runtime from this process, whose network and settings are those
// of runs when it is the one that serves.
func (a acts) CheckApp(ctx context.Context, r AppRef) (AppChecked, error) {
	found, err := a.find(ctx, r)
	if err != nil {
		return AppChecked{}, err
	}
	c := AppChecked{ID: found.ID, Name: found.Name, Workspace: found.WorkspaceName, Runtime: found.Runtime, Warnings: warnings(found)}
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	if found.Runtime == apps.RuntimeDify && found.RuntimeURL == "" {
		return c.say("address_missing", "The app has no address of a runtime.", "Give it one: core app set "+found.ID+" --runtime-url URL"), nil
	}
	said, err := a.Runtimes.Check(ctx, found.App)
	switch {
	case err == nil && said.Mode != "" && said.Mode != found.Mode:
		return c.say("mode_mismatch", fmt.Sprintf("The app is %s here and %s at its runtime, so no run would work.", found.Mode, said.Mode),
			fmt.Sprintf("Name the key of another app, or: core app set %s --mode %s", found.ID, said.Mode)), nil
	case err == nil:
		c.OK, c.Text = true, "The runtime answers and takes the app's key."
		if found.Runtime == apps.RuntimeEcho {
			c.Text = "The app runs on the echo runtime of this process."
		}
		return c, nil
	}
	problem, text, hint, ours := a.diagnose(err, found)
	if ours {
		return AppChecked{}, err
	}
	return c.say(problem, text, hint), nil
}

func (c AppChecked) say(problem, text, hint string) AppChecked {
	c.Problem, c.Text, c.Hint = problem, text, hint
	return c
}

// warnings are about what is in order at the runtime and not here.
func warnings(e apps.Entry) []string {
	list := []string{}
	if !e.APIEnabled {
		list = append(list, "Its API is off, so nobody runs it: core app set "+e.ID+" --api")
	}
	if e.Status != apps.StatusNormal {
		list = append(list, "It is archived, so nobody sees it: core app set "+e.ID+" --status normal")
	}
	if !e.Mode.Runnable() {
		list = append(list, "Apps of mode "+string(e.Mode)+" are listed and never run.")
	}
	return list
}

// diagnose words the failure of a runtime. A failure that is ours is no finding.
func (a acts) diagnose(err error, e apps.Entry) (problem, text, hint string, ours bool) {
	call, unreached := a.Unreached(err)
	switch {
	case errors.Is(err, run.ErrKeyRejected):
		if !e.Key.Set {
			return "key_missing", "The runtime asks for a key, and the app has none.", "Set the app's API key at its runtime: core app set " + e.ID + " --key-file F", false
		}
		return "key_refused", "The runtime answers and refuses the app's key.", "Make a new API key there, then: core app set " + e.ID + " --key-file F", false
	case errors.Is(err, run.ErrNotConfigured):
		return "not_configured", "The runtime knows the app, which is not set up there.", "Set it up and publish it at its runtime.", false
	case errors.Is(err, run.ErrAppUnavailable):
		return "mode_mismatch", fault.Of(err).Text(), "See that its mode here is the one that it has at its runtime, and that it is published there.", false
	case unreached:
		problem, text, hint = call.say()
		return problem, text, hint, false
	case errors.Is(err, run.ErrTimeout):
		return "timeout", "The runtime takes longer than it may before it answers.", slow, false
	case errors.Is(err, run.ErrUnavailable):
		return "no_answer", "What answers at the address is not a runtime: it does not answer as one.", "The address is the one before /v1 of the API that the runtime shows for the app.", false
	case fault.Of(err).Kind() == fault.Internal, fault.Of(err).Kind() == fault.Unavailable:
		return "", "", "", true
	}
	return "refused_by_runtime", fault.Of(err).Text(), "", false
}

const slow = "See RUNTIME_CONNECT_TIMEOUT and RUNTIME_HEADER_TIMEOUT, and that nothing on the way drops the connection."

// say words a call that has come to no answer.
func (u Unreached) say() (problem, text, hint string) {
	switch u.Phase {
	case CallRefused:
		return "address_refused", "The address is not called: " + u.Why + ".",
			"RUNTIME_ALLOWED_HOSTS opens it: name the host or address there. Where it is set, what it does not name is never called."
	case CallName:
		return "name_unknown", "The name of the host does not resolve from here.", "See the spelling, and the name servers of the machine that serves."
	case CallTLS:
		return "tls", "The runtime is reached, and TLS with it fails.", "See that its certificate names this host, has not expired and is of an authority that this machine trusts."
	case CallTimeout:
		return "timeout", "The runtime takes longer than it may before it answers.", slow
	case CallConnect:
		return "connection_refused", "Nothing takes the connection at the address, or it broke.", "See that the runtime is running, and its port."
	case CallRedirect:
		return "redirect", "The runtime sends the call elsewhere, where it is not followed.", "Set the address that it redirects to, perhaps https in place of http."
	}
	return "no_answer", "What answers at the address does not answer as a runtime.", "The address is the one before /v1 of the API that the runtime shows for the app."
}
