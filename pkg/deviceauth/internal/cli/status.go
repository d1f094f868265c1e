// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/api"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/credentials"
)

// What status finds.
const (
	stateSignedIn    = "signed_in"
	stateSignedOut   = "not_signed_in"
	stateEnded       = "ended"       // the server does not accept the token
	stateUnreachable = "unreachable" // so nobody knows
	stateTrouble     = "trouble"     // the server answers, but not with yes or no
)

// skewed is how far two clocks may differ before it is worth a line.
const skewed = 5 * time.Minute

// report is the answer of status.
type report struct {
	State       string `json:"state"`
	Host        any    `json:"host"`
	Server      any    `json:"server"` // reachable, unreachable; null when there is none to ask
	Version     any    `json:"server_version"`
	Email       any    `json:"email"`
	Issuer      any    `json:"issuer"`
	SubjectType any    `json:"subject_type"`
	TokenID     any    `json:"token_id"`
	ExpiresAt   any    `json:"expires_at"`
	TokenFrom   any    `json:"token_from"` // keyring, file, environment
	File        any    `json:"file"`       // what is not secret of it, and the token if token_from is file
}

func (c *command) status() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show who is signed in, where, until when, and whether it still holds", Args: noArgs,
		Long: `status asks the server whether it accepts the token, and shows whose it is, until
when, and where it is kept. Its exit code tells a script what is wrong:

  0  signed in, and the server accepts the token
  4  not signed in
  5  the server does not accept the token any more, or its time is over
  6  the server cannot be reached, so nobody knows`,
		Example: `  difyauth status
  difyauth status --host https://sso.example.com
  difyauth status -o json | jq -r .state`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.look(cmd.Context()) },
	}
}

// look asks also with a token whose time is over: the clock that says so may be wrong.
func (c *command) look(ctx context.Context) error {
	entry, from, err := c.known()
	r := report{State: stateSignedOut, Host: orNil(entry.Host), TokenFrom: orNil(from), TokenID: orNil(entry.TokenID), ExpiresAt: stamp(entry.ExpiresAt),
		Email: orNil(entry.Email), Issuer: orNil(entry.Issuer), SubjectType: orNil(entry.SubjectType)}
	v, e := c.vault()
	if e != nil {
		return e
	}
	if from == credentials.InFile || from == credentials.InKeyring {
		r.File = v.Path()
	}
	var absent notSignedIn
	if err != nil && !errors.As(err, &absent) {
		return err
	}
	if err != nil {
		if c.at = absent.host; c.at != "" {
			r.Host = c.at
			version, asked := c.serverVersion(ctx)
			if r.Version = orNil(version); asked != nil {
				r.Server = stateUnreachable
			} else {
				r.Server = "reachable"
			}
		}
		return c.tell(r, entry, nil, err)
	}
	a, err := c.api(entry)
	if err != nil {
		return err
	}
	who, err := a.Identity(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var said *deviceauth.Error
	switch {
	case err == nil:
		r.State, r.Server = stateSignedIn, "reachable"
		r.Email, r.SubjectType, r.Issuer = who.Email, who.SubjectType, who.Issuer
	case errors.Is(err, deviceauth.ErrUnauthorized):
		r.State, r.Server = stateEnded, "reachable"
	case errors.As(err, &said) && said.Status == 0:
		r.State, r.Server = stateUnreachable, stateUnreachable
	default:
		r.State, r.Server = stateTrouble, "reachable"
	}
	if ahead := time.Since(a.Date); !a.Date.IsZero() && ahead.Abs() > skewed {
		way := "ahead of"
		if ahead < 0 {
			way = "behind"
		}
		c.warn("clock", "the clock of this machine is %s %s the server's: set it right, for it decides when a sign-in counts as over", spell(ahead.Abs()), way)
	}
	return c.tell(r, entry, &who, err)
}

// known gives the sign-in that session would use, ended or not, and where its token is
// from.
func (c *command) known() (entry credentials.Entry, from string, err error) {
	if strings.TrimSpace(c.env("DIFYAUTH_TOKEN")) != "" {
		entry, err := c.session()
		if err == nil && entry.Host == "" {
			err = errTokenAlone
		}
		return entry, "environment", err
	}
	entry, err = c.session()
	var absent notSignedIn
	if errors.As(err, &absent) && absent.ended {
		v, e := c.vault()
		if e != nil {
			return entry, "", e
		}
		entry, err = c.unlock(v, entry)
	}
	return entry, entry.Kept, err
}

// tell prints the report, then the failure that it amounts to.
func (c *command) tell(r report, entry credentials.Entry, who *api.Identity, err error) error {
	if e := c.print(r, "%s", reportText(r, entry, who)); e != nil {
		return e
	}
	if err == nil {
		return nil
	}
	f := c.explain(err)
	switch r.State {
	case stateEnded:
		f.exit = exitTokenDead
	case stateUnreachable:
		f.exit = exitUnreachable
	}
	return stated{f}
}

// stated is a failure that has its words already.
type stated struct{ failure }

func (e stated) Error() string { return e.Message }

func reportText(r report, entry credentials.Entry, who *api.Identity) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name+":", fmt.Sprintf(format, args...))
	}
	if r.Host != nil {
		reach := map[any]string{"reachable": "answers", stateUnreachable: "cannot be reached"}[r.Server]
		if r.Version != nil {
			reach += ", version " + plain(fmt.Sprint(r.Version))
		}
		line("Server", "%v, %s", r.Host, reach)
	}
	if r.State == stateSignedOut {
		line("Signed in", "no")
		return b.String()
	}
	email := plain(entry.Email)
	issuer := plain(entry.Issuer)
	if who != nil && who.Email != "" {
		if email = plain(who.Email); who.Account != nil && who.Account.Name != "" {
			email += " (" + plain(who.Account.Name) + ")"
		}
		if issuer = ""; who.Issuer != nil && who.Account == nil {
			issuer = plain(*who.Issuer)
		}
	}
	if issuer != "" {
		email += " of " + issuer
	}
	if email == "" {
		email = "not known"
	}
	line("Signed in", "%s%s", map[string]string{stateEnded: "no more, was "}[r.State], email)
	if !entry.ExpiresAt.IsZero() {
		left := time.Until(entry.ExpiresAt)
		about := "in " + spell(left)
		if left <= 0 {
			about = "over by this machine's clock"
		}
		line("Until", "%s (%s)", entry.ExpiresAt.UTC().Format("2006-01-02 15:04 UTC"), about)
	}
	line("Token", "%s, from %s", map[string]string{stateSignedIn: "accepted", stateEnded: "not accepted"}[r.State]+map[bool]string{true: "not checked"}[r.State == stateUnreachable || r.State == stateTrouble], source(r))
	return b.String()
}

func source(r report) string {
	switch r.TokenFrom {
	case "environment":
		return "DIFYAUTH_TOKEN, stored nowhere"
	case credentials.InKeyring:
		return "the keyring of this machine"
	}
	return fmt.Sprint(r.File)
}

// serverVersion asks a server that nobody is signed in on who it is.
func (c *command) serverVersion(ctx context.Context) (string, error) {
	client := c.client(c.at, true) // nothing secret goes there
	return api.Version(ctx, client)
}
