// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	cmdline "github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// flagged words a refusal of members as one of the flags that gave them, or of what
// names says instead, in the order in which they were found.
func flagged(err error, names map[string]string) error {
	f := fault.Of(err)
	if len(f.Details()) == 0 {
		return err
	}
	var parts []string
	for rest := f.Details(); len(rest) > 0; {
		said := rest[0].Msg
		var flags []string
		rest = slices.DeleteFunc(slices.Clone(rest), func(d fault.Detail) bool {
			if d.Msg == said {
				flags = append(flags, flagOf(d, names))
			}
			return d.Msg == said
		})
		parts = append(parts, strings.Join(flags, ", ")+": "+said)
	}
	return cmdline.Usage(errors.New(strings.Join(parts, "; ")))
}

// flagOf is what the person typed for a member: workspace_name is --workspace.
func flagOf(d fault.Detail, names map[string]string) string {
	if len(d.Loc) == 0 {
		return "the command"
	}
	member := fmt.Sprint(d.Loc[0])
	if name := names[member]; name != "" {
		return name
	}
	switch member {
	case "workspace_name":
		member = "workspace"
	case "account_id":
		member = "account"
	}
	return "--" + strings.ReplaceAll(member, "_", "-")
}

// yesFlag lets a person answer beforehand what sure would ask.
func (c *command) yesFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.yes, "yes", false, "do not ask")
}

// errNotSure: a person was asked and did not say yes.
var errNotSure = errors.New("nothing was done")

// sure asks before what cannot be taken back, where there is a person to ask: a script
// has decided already.
func (c *command) sure(question string) error {
	if c.yes || !c.Terminal || !c.Asks {
		return nil
	}
	if _, err := fmt.Fprintf(c.Stderr, "%s [y/N] ", question); err != nil {
		return err
	}
	line, _ := bufio.NewReader(io.LimitReader(c.Stdin, 64)).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return errNotSure
}

// oneArg and twoArgs refuse another number of arguments as a usage error.
func oneArg(cmd *cobra.Command, args []string) error  { return exactly(cmd, args, 1) }
func twoArgs(cmd *cobra.Command, args []string) error { return exactly(cmd, args, 2) }

func exactly(cmd *cobra.Command, args []string, n int) error {
	if len(args) != n {
		return cmdline.Usage(fmt.Errorf("%d arguments given, and it is: %s", len(args), cmd.UseLine()))
	}
	return nil
}
