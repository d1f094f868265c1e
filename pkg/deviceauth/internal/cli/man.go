// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (c *command) man() *cobra.Command {
	dir := ""
	cmd := &cobra.Command{
		Use: "man --dir DIR", Short: "Write the manual pages", Args: noArgs,
		Long: `man writes a manual page for each command into a folder, which is made when it is
not there. man finds them in a folder man1 of its path.`,
		Example: "  difyauth man --dir ~/.local/share/man/man1 && man difyauth-login",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usagef("man takes the folder to write to: difyauth man --dir DIR")
			}
			if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // pages for everybody
				return err
			}
			written := []string{}
			for _, at := range visible(cmd.Root()) {
				name := pageName(at) + ".1"
				if err := os.WriteFile(filepath.Join(dir, name), []byte(page(at, c.Version)), 0o644); err != nil { //nolint:gosec // as above
					return err
				}
				written = append(written, name)
			}
			return c.print(map[string]any{"dir": dir, "pages": written}, "Wrote %d manual pages into %s\n", len(written), dir)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder to write to")
	_ = cmd.MarkFlagDirname("dir")
	return cmd
}

// visible lists a command and all under it that --help shows.
func visible(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, under := range cmd.Commands() {
		if under.IsAvailableCommand() {
			all = append(all, visible(under)...)
		}
	}
	return all
}

func split(path string) []string { return strings.Fields(path) }

func pageName(cmd *cobra.Command) string { return strings.Join(split(cmd.CommandPath()), "-") }

// page writes one command in the macros of man(7). It carries no date, so that two builds
// of one version write one page.
func page(cmd *cobra.Command, version string) string {
	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	name := pageName(cmd)
	put(`.TH "%s" "1" "" "difyauth %s" "difyauth"`, roff(strings.ToUpper(name)), roff(version))
	put(".SH NAME\n%s \\- %s", roff(name), roff(cmd.Short))
	put(".SH SYNOPSIS\n.B %s", roff(strings.TrimSpace(cmd.UseLine())))
	about := cmd.Long
	if about == "" {
		about = cmd.Short
	}
	put(".SH DESCRIPTION\n.nf\n%s\n.fi", roff(about))
	if cmd.Example != "" {
		put(".SH EXAMPLES\n.nf\n%s\n.fi", roff(cmd.Example))
	}
	cmd.InitDefaultHelpFlag()
	options(&b, "OPTIONS", cmd.NonInheritedFlags())
	options(&b, "OPTIONS OF EVERY COMMAND", cmd.InheritedFlags())
	var also []string
	if cmd.HasParent() {
		also = append(also, pageName(cmd.Parent()))
	}
	for _, under := range cmd.Commands() {
		if under.IsAvailableCommand() {
			also = append(also, pageName(under))
		}
	}
	if len(also) > 0 {
		put(".SH SEE ALSO")
		for i, name := range also {
			put(".BR %s (1)%s", roff(name), map[bool]string{true: ","}[i < len(also)-1])
		}
	}
	return b.String()
}

func options(b *strings.Builder, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		names := "--" + f.Name
		if f.Shorthand != "" {
			names = "-" + f.Shorthand + ", " + names
		}
		if kind != "" {
			names += " " + kind
		}
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(names), roff(usage))
	})
}

// roff keeps a text from being read as requests: backslashes, hyphens that are meant as
// they stand, dots and quotes at the beginning of a line.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
