// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/probe"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/settings"
)

// probed is the answer of a probe for scripts.
type probed struct {
	OK      bool         `json:"ok"`
	Address string       `json:"address"`
	Account bool         `json:"signed_in"` // false: as far as a stranger can go
	Millis  int64        `json:"ms"`
	Steps   []probe.Step `json:"steps"`
}

func (c *command) probe() *cobra.Command {
	t := probe.Target{Version: c.Version}
	var emailFile, passwordFile, caFile string
	var limit time.Duration
	cmd := c.out.On(&cobra.Command{
		Use: "probe ADDRESS", Short: "Sign a client in and out at a public address, to see whether that works", Args: oneArg,
		Long: `Sign a client in at a public address as a person would, use its token, sign it out and
make sure that the token is dead. It needs no settings and no store, so it runs from
anywhere: after an installation, and again and again as a monitor. Each step is told
with its time; the first that fails ends the probe with a sentence about where to look.

Without --email it goes as far as a stranger can: health, version, metadata, a code, one
poll. It always makes sure that what serves operators (/inner/, /metrics, /healthz,
/readyz) is not reachable at the public address.

--via sends the requests to another address under the name of the first, such as that of
the Service behind an ingress.

  core probe https://sso.example.com
  core probe https://sso.example.com --email probe@example.com --password-file probe.txt
  core probe https://sso.example.com --via http://sso-dify-sso-core.sso.svc -o json

Exit codes: 0 every step went well, 1 one did not, 2 wrong arguments.`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			t.Address = args[0]
			if emailFile != "" {
				email, err := c.line("--email-file", emailFile)
				if err != nil {
					return err
				}
				t.Email = email.Reveal()
			}
			if (t.Email == "") != (passwordFile == "") {
				return cmdline.Usage(errors.New("--email and --password-file are given together or not at all"))
			}
			if limit <= 0 {
				return cmdline.Usage(errors.New("--timeout must be a time such as 60s"))
			}
			t.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
			if caFile != "" {
				if t.Transport.TLSClientConfig.RootCAs, err = settings.Roots(caFile); err != nil {
					return cmdline.Usage(fmt.Errorf("--ca-file: %w", err))
				}
			}
			if passwordFile != "" {
				if t.Password, err = c.line("--password-file", passwordFile); err != nil {
					return err
				}
			}
			return c.runProbe(cmd.Context(), t, limit)
		},
	})
	cmd.Flags().StringVar(&t.Email, "email", "", "e-mail of the account that signs in")
	cmd.Flags().StringVar(&emailFile, "email-file", "", "file whose first line is that e-mail")
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "file whose first line is its password, or -")
	cmd.Flags().StringVar(&t.Via, "via", "", "origin to send the requests to in place of ADDRESS")
	cmd.Flags().StringVar(&t.ClientID, "client-id", "difyctl", "client that asks for the code")
	cmd.Flags().StringVar(&caFile, "ca-file", "", "PEM file of roots to trust beside the system's")
	cmd.Flags().DurationVar(&limit, "timeout", time.Minute, "time for all steps together")
	return cmd
}

// line is reveal for a file that a flag names and that must not be empty.
func (c *command) line(flag, file string) (secret.Text, error) {
	text, err := c.reveal(file)
	if err == nil && text.IsZero() {
		err = errors.New("the first line is empty")
	}
	if err != nil {
		return secret.Text{}, cmdline.Usage(fmt.Errorf("%s: %w", flag, err))
	}
	return text, nil
}

func (c *command) runProbe(ctx context.Context, t probe.Target, limit time.Duration) error {
	p, err := probe.New(t)
	if err != nil {
		return cmdline.Usage(err)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	all := probed{Address: t.Address, Account: t.Email != "", Steps: []probe.Step{}}
	all.OK = p.Run(ctx, func(s probe.Step) {
		all.Steps = append(all.Steps, s)
		if !c.out.JSON() {
			c.tell(s)
		}
	})
	all.Millis = time.Since(began).Milliseconds()
	text := "The probe failed.\n"
	switch {
	case all.OK && all.Account:
		text = fmt.Sprintf("Signed in and out in %d ms.\n", all.Millis)
	case all.OK:
		text = fmt.Sprintf("All that a stranger can try went well, in %d ms. With --email and --password-file the probe signs in.\n", all.Millis)
	}
	if err := c.out.Print(all, "%s", text); err != nil {
		return err
	}
	if !all.OK {
		return fmt.Errorf("%s does not work as it should at step %s", t.Address, all.Steps[len(all.Steps)-1].Name)
	}
	return nil
}

// tell shows a step as it ends.
func (c *command) tell(s probe.Step) {
	mark, said := "ok", s.Detail
	if !s.OK {
		mark, said = "FAIL", s.Error+"\n                        "+s.Look
	}
	line := fmt.Sprintf("%-4s %-9s %5d ms  %s", mark, s.Name, s.Millis, said)
	_, _ = fmt.Fprintln(c.Stdout, strings.TrimRight(line, " "))
}
