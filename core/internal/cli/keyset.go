// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	cmdline "github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/keyset"
)

// keptFor is how long a former entry verifies unless told otherwise: a day leaves time to
// notice a replica that has not read the file.
const keptFor = 24 * time.Hour

func (c *command) keyset() *cobra.Command {
	return cmdline.Group(&cobra.Command{Use: "keyset", Short: "Make and rotate the secrets that core and sso-bridge share",
		Long: `KEYSET_FILE holds the secrets with which core and sso-bridge sign what they say to each
other. Every process of both has a copy with the same content. These commands change the
one file that they are told of, whole, and speak to no process; you copy it to the others.

Begin, once, and copy the file to every process:

  core keyset new --keyset-file /etc/dify-sso/keyset.json

Rotate without ending a login that is under way:

  1. core keyset add                          a new entry: it verifies and does not sign yet
     copy the file everywhere, send SIGHUP to every process
  2. core keyset check                        shows the fingerprint; /readyz of every process,
                                              of core and of sso-bridge, has to show the same
  3. core keyset activate KID --seen FINGERPRINT
                                              KID signs; the former one verifies for a day
     copy the file everywhere, send SIGHUP
  4. core keyset retire KID                   once the former one is past its verify_until
     copy the file everywhere, send SIGHUP

A command that would skip a step refuses. --dry-run shows what would be done and writes
nothing. No command shows a secret. The file keeps its owner and a mode of 0640 or tighter.`},
		c.keysetNew(), c.keysetAdd(), c.keysetActivate(), c.keysetRetire(), c.keysetCheck())
}

func (c *command) keysetNew() *cobra.Command {
	var dry bool
	cmd := c.out.On(&cobra.Command{Use: "new [KID]", Short: "Make a key set with one entry, which is active", Args: atMostKID,
		Long: `Make the file that KEYSET_FILE names, with one random secret, for its owner alone (0600);
chmod 640 lets a group read it too. KID is the id of the entry; without it, it is the month
and a letter, such as 2026-11-a. A file that exists is never overwritten.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := c.keysetPath(cmd)
			if err != nil {
				return err
			}
			now := time.Now()
			f, err := keyset.NewFile(kidOf(args, keyset.File{}, now), now)
			if err != nil {
				return err
			}
			if !dry {
				if err := keyset.Create(path, f); errors.Is(err, fs.ErrExist) {
					return fmt.Errorf("%s exists: what its secrets have signed would be refused; core keyset add rotates", path)
				} else if err != nil {
					return err
				}
			}
			return c.printKeyset(path, f, now, dry, "A key set with the entry "+f.Active+" is in "+path+". Copy it to every process of core and of sso-bridge.")
		}})
	return dryFlag(cmd, &dry)
}

func (c *command) keysetAdd() *cobra.Command {
	var dry bool
	cmd := c.out.On(&cobra.Command{Use: "add [KID]", Short: "Add an entry that verifies and does not sign yet", Args: atMostKID,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.editKeyset(cmd, dry, func(f keyset.File, now time.Time) (keyset.File, string, error) {
				kid := kidOf(args, f, now)
				f, err := f.Add(kid, now)
				return f, "Added " + kid + ", which signs nothing yet. Copy the file everywhere and send SIGHUP; when /readyz of every process\nshows the fingerprint below: core keyset activate " + kid + " --seen FINGERPRINT", err
			})
		}})
	return dryFlag(cmd, &dry)
}

func (c *command) keysetActivate() *cobra.Command {
	var dry bool
	var seen, until string
	cmd := c.out.On(&cobra.Command{Use: "activate KID", Short: "Let an entry sign, and the one before it verify for a while", Args: oneKID,
		Long: `Let KID sign. The entry that signed until now goes on verifying until --keep-until, for
what it has signed is still under way, and for processes that read the file later; one hour
from now at least.

--seen is the fingerprint that /readyz of every process shows, as keyset_fingerprint. It
has to be the file's own: a process that does not hold KID yet would refuse everything that
the others sign with it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if seen == "" {
				return cmdline.Usage(errors.New("--seen is required: the keyset_fingerprint that /readyz of every process shows"))
			}
			return c.editKeyset(cmd, dry, func(f keyset.File, now time.Time) (keyset.File, string, error) {
				keep := now.Add(keptFor)
				if until != "" {
					var err error
					if keep, err = time.Parse(time.RFC3339, until); err != nil {
						return f, "", cmdline.Usage(errors.New("--keep-until takes a time such as 2026-11-01T00:00:00Z"))
					}
				}
				former := f.Active
				f, err := f.Activate(args[0], seen, keep, now)
				return f, args[0] + " signs, " + former + " verifies until " + keep.UTC().Format(time.RFC3339) + ". Copy the file everywhere and send SIGHUP.\nAfter that time: core keyset retire " + former, err
			})
		}})
	cmd.Flags().StringVar(&seen, "seen", "", "fingerprint that every process shows in /readyz")
	cmd.Flags().StringVar(&until, "keep-until", "", "when the former entry ceases to verify, such as 2026-11-01T00:00:00Z (a day from now)")
	return dryFlag(cmd, &dry)
}

func (c *command) keysetRetire() *cobra.Command {
	var dry bool
	cmd := c.out.On(&cobra.Command{Use: "retire KID", Short: "Remove an entry that is past its verify_until", Args: oneKID,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.editKeyset(cmd, dry, func(f keyset.File, now time.Time) (keyset.File, string, error) {
				f, err := f.Retire(args[0], now)
				return f, "Removed " + args[0] + ". Copy the file everywhere and send SIGHUP.", err
			})
		}})
	return dryFlag(cmd, &dry)
}

func (c *command) keysetCheck() *cobra.Command {
	return c.out.On(&cobra.Command{Use: "check", Short: "Judge the file and show its entries, without their secrets", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, f, now, err := c.openKeyset(cmd)
			if err != nil {
				return err
			}
			return c.printKeyset(path, f, now, false, path+" holds.")
		}})
}

// dryFlag adds --dry-run.
func dryFlag(cmd *cobra.Command, dry *bool) *cobra.Command {
	cmd.Flags().BoolVar(dry, "dry-run", false, "show what would be done, and write nothing")
	return cmd
}

func atMostKID(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return cmdline.Usage(errors.New("give one KID at most"))
	}
	return nil
}

func oneKID(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return cmdline.Usage(errors.New("give the KID of one entry; core keyset check lists them"))
	}
	return nil
}

func kidOf(args []string, f keyset.File, now time.Time) string {
	if len(args) > 0 {
		return args[0]
	}
	return f.NextKID(now)
}

// keysetPath is where the file is. The rest of the settings may be incomplete: the key
// set is made before them.
func (c *command) keysetPath(cmd *cobra.Command) (string, error) {
	s, err := c.databaseSettings(cmd)
	if err != nil {
		return "", err
	}
	if s.KeysetFile == "" {
		return "", config.Problems{{Key: "KEYSET_FILE", Text: "names no file; --keyset-file does it too"}}
	}
	return s.KeysetFile, nil
}

// openKeyset reads the file, with every problem of one that does not hold.
func (c *command) openKeyset(cmd *cobra.Command) (path string, f keyset.File, now time.Time, err error) {
	if path, err = c.keysetPath(cmd); err != nil {
		return path, f, now, err
	}
	now = time.Now()
	content, err := keyset.Read(path)
	if err == nil {
		_, err = keyset.Parse(content, now)
	}
	if err != nil {
		var problems config.Problems
		for _, p := range keyset.Problems(err) {
			problems.Add("KEYSET_FILE", "%s", p)
		}
		return path, f, now, problems
	}
	f, err = keyset.Decode(content)
	return path, f, now, err
}

func (c *command) editKeyset(cmd *cobra.Command, dry bool, edit func(f keyset.File, now time.Time) (keyset.File, string, error)) error {
	path, f, now, err := c.openKeyset(cmd)
	if err != nil {
		return err
	}
	f, text, err := edit(f, now)
	if err != nil {
		return err
	}
	if !dry {
		if err := keyset.Replace(path, f); err != nil {
			return err
		}
	}
	return c.printKeyset(path, f, now, dry, text)
}

// keysetJSON is what the commands show of a file.
type keysetJSON struct {
	File        string            `json:"file"`
	Active      string            `json:"active"`
	Fingerprint string            `json:"keyset_fingerprint"`
	DryRun      bool              `json:"dry_run"`
	Keys        []keysetEntryJSON `json:"keys"`
}

type keysetEntryJSON struct {
	KID         string       `json:"kid"`
	State       keyset.State `json:"state"`
	CreatedAt   string       `json:"created_at"`
	VerifyUntil *string      `json:"verify_until"`
}

func (c *command) printKeyset(path string, f keyset.File, now time.Time, dry bool, text string) error {
	fingerprint, err := f.Fingerprint(now)
	if err != nil {
		return err
	}
	out := keysetJSON{File: path, Active: f.Active, Fingerprint: fingerprint, DryRun: dry, Keys: []keysetEntryJSON{}}
	var b strings.Builder
	if dry {
		b.WriteString("Nothing is written (--dry-run). Without it:\n")
	}
	b.WriteString(text + "\n\nfingerprint " + fingerprint + "\n")
	for _, e := range f.Keys {
		state := f.State(e.KID, now)
		out.Keys = append(out.Keys, keysetEntryJSON{KID: e.KID, State: state, CreatedAt: e.CreatedAt, VerifyUntil: e.VerifyUntil})
		until := ""
		if e.VerifyUntil != nil {
			until = ", verifies until " + *e.VerifyUntil
		}
		fmt.Fprintf(&b, "%-10s %s, made %s%s\n", state, e.KID, e.CreatedAt, until)
	}
	return c.out.Print(out, "%s", b.String())
}
