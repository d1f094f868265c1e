// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/operator"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
)

func (c *command) rotateSecretKey() *cobra.Command {
	return c.out.On(&cobra.Command{
		Use: "rotate-secret-key", Short: "Change SECRET_KEY; what was made under the former one holds meanwhile", Args: cmdline.NoArgs,
		Long: `Change the key that CSRF tokens and user-code digests derive from. Nobody is signed
out: tokens, browsers and passwords do not depend on it.

Where core keeps the key itself, in DATA_DIR, this draws a new one and puts the former
beside it as secret.key.previous; then restart core, and both are accepted. The former
key goes by itself with the first start a day later; remove the file and restart core to
be rid of it sooner.

  core admin rotate-secret-key && systemctl restart core

Where you give SECRET_KEY yourself, first start every process with the new key and the
former one in SECRET_KEY_PREVIOUS_FILE, then call this once, with the same settings. From
then on no process starts with the former key alone, and after a day
SECRET_KEY_PREVIOUS_FILE can go. docs/operating/keys.md has the order for a fleet.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				done, err := by.RotateSecretKey(ctx)
				if err != nil {
					return err
				}
				switch {
				case done.Changed && done.Restart:
					return c.out.Print(done, "A new secret key is in place. Restart core now, if it is running, to use it.\nUntil a day later the former one is accepted too; it is in %s.\n", done.Previous)
				case done.Restart:
					return c.out.Print(done, "Nothing was done: a rotation waits for its restart. Restart core first.\n")
				case done.Changed:
					return c.out.Print(done, "The database is under the present SECRET_KEY now. SECRET_KEY_PREVIOUS can go when pages that were loaded before are closed: after a day.\n")
				}
				return c.out.Print(done, "Nothing was done: the database is under the present SECRET_KEY already.\nTo change it, start core with the new one and the former in SECRET_KEY_PREVIOUS_FILE, then call this again.\n")
			})
		},
	})
}

func (c *command) rotateSealingKey() *cobra.Command {
	return c.out.On(&cobra.Command{
		Use: "rotate-sealing-key", Short: "Seal everything anew with the first sealing key", Args: cmdline.NoArgs,
		Long: `Seal every sealed value of the database anew with the first key of the sealing keys.

Where core keeps them itself, in DATA_DIR, a new key is drawn first; no restart is
needed. The one before it stays in sealing.key, for copies made before; a second call
removes it.

Where you give SEALING_KEY_FILE yourself, add the new key as its last line and restart
every process; move it to the front and restart them again; then call this, with the same
settings. The other lines can go when it is done.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				done, err := by.RotateSealingKey(ctx)
				if err != nil {
					return err
				}
				var values, sealed int
				for _, column := range done.Columns {
					values, sealed = values+column.Values, sealed+column.Sealed
				}
				text := "Of " + plural(values, "sealed value") + " " + fmt.Sprint(sealed) + " sealed anew: all are under " + done.Key + " now.\n"
				if len(done.Others) > 0 {
					text += "Nothing in the database needs " + strings.Join(done.Others, ", ") + " any more; copies made before do.\n"
				}
				return c.out.Print(done, "%s", text)
			})
		},
	})
}
