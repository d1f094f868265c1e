// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// appFlags are the flags that add and set share. One that was not given leaves its member
// as it is.
type appFlags struct {
	cmd                                                           *cobra.Command
	name, description, mode, author, runtime, url, access, status string
	configFile, keyFile                                           string
	tags, allow                                                   []string
	api, dsl, humanInput, noKey                                   bool
	maxActive                                                     int
}

func flagsOfApp(cmd *cobra.Command) *appFlags {
	f := &appFlags{cmd: cmd}
	flags := cmd.Flags()
	flags.StringVar(&f.mode, "mode", "", "chat, agent-chat, advanced-chat, completion or workflow; agent, channel and rag-pipeline are listed and never run")
	flags.StringVar(&f.description, "description", "", "what it is for")
	flags.StringArrayVar(&f.tags, "tag", nil, "a tag by which it is found; repeat for more, --tag \"\" for none")
	flags.StringVar(&f.author, "author", "", "who has made it")
	flags.StringVar(&f.runtime, "runtime", "", "dify, which a new app is on unless it is said otherwise, or echo, which answers what it was asked")
	flags.StringVar(&f.url, "runtime-url", "", "base address of its runtime, with or without /v1")
	flags.StringVar(&f.keyFile, "key-file", "", "file whose first line is its API key at the runtime, or -")
	flags.StringVar(&f.configFile, "runtime-config", "", "file of a JSON object that the echo runtime reads (its form, how it answers), or -")
	flags.BoolVar(&f.dsl, "dsl", false, "its runtime imports and exports apps")
	flags.BoolVar(&f.humanInput, "human-input", false, "its runtime pauses for people")
	flags.BoolVar(&f.api, "api", true, "it can be run; --api=false keeps it from that")
	flags.StringVar(&f.access, "access", "", "internal_all (every member, as a new app has it), internal (owner, admins and --allow) or, in the Enterprise Edition, public or sso_verified")
	flags.StringArrayVar(&f.allow, "allow", nil, "who may run it with --access internal, by e-mail; repeat for more, --allow \"\" for nobody")
	flags.IntVar(&f.maxActive, "max-active", 0, "runs at once; 0 takes APP_DEFAULT_ACTIVE_REQUESTS")
	return f
}

// given is what a flag was set to, or nil.
func given[T any](f *appFlags, name string, value T) *T {
	if !f.cmd.Flags().Changed(name) {
		return nil
	}
	return &value
}

// list takes one empty value for none.
func (f *appFlags) list(name string, values []string) *[]string {
	if slices.Equal(values, []string{""}) {
		values = []string{}
	}
	return given(f, name, values)
}

// wanted gives the declaration that the flags make; before are the features that the app
// has.
func (c *command) wanted(f *appFlags, before apps.DeclarationsFeatures) (w operator.AppWanted, err error) {
	w.App = apps.Declaration{
		Description: given(f, "description", f.description), Mode: given(f, "mode", apps.Mode(f.mode)), Tags: f.list("tag", f.tags), Author: given(f, "author", f.author),
		Runtime: given(f, "runtime", apps.Runtime(f.runtime)), RuntimeURL: given(f, "runtime-url", f.url), APIEnabled: given(f, "api", f.api),
		Access: given(f, "access", apps.Access(f.access)), MaxActive: given(f, "max-active", f.maxActive), Allowed: f.list("allow", f.allow),
	}
	if dsl, human := given(f, "dsl", f.dsl), given(f, "human-input", f.humanInput); dsl != nil || human != nil {
		if dsl != nil {
			before.DSL = *dsl
		}
		if human != nil {
			before.HumanInput = *human
		}
		w.App.Features = &before
	}
	switch {
	case f.noKey && f.keyFile != "":
		return w, cmdline.Usage(errors.New("--no-key does not go with --key-file"))
	case f.configFile == "-" && f.keyFile == "-":
		return w, cmdline.Usage(errors.New("--key-file and --runtime-config cannot both be read from standard input"))
	case f.configFile != "":
		if w.App.RuntimeConfig, err = c.configFile(f.configFile); err != nil {
			return w, fmt.Errorf("--runtime-config: %w", err)
		}
	}
	switch {
	case f.noKey:
		none := operator.Pass(secret.New(""))
		w.Key = &none
	case f.keyFile != "":
		key, err := c.reveal(f.keyFile)
		if err != nil {
			return w, fmt.Errorf("--key-file: %w", err)
		}
		if key.Reveal() == "" {
			return w, errors.New("--key-file: its first line is empty")
		}
		passed := operator.Pass(key)
		w.Key = &passed
	}
	return w, nil
}

// configFile reads a runtime_config.
func (c *command) configFile(path string) (config map[string]any, err error) {
	text, err := c.content(path, 2*apps.MaxConfig)
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(text, &config) != nil || config == nil {
		return nil, errors.New("it is no JSON object")
	}
	return config, nil
}

// content reads a whole file, or standard input for "-".
func (c *command) content(path string, most int64) ([]byte, error) {
	in := c.Stdin
	if path != "-" {
		f, err := os.Open(path) //nolint:gosec // the operator names the file
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("it is longer than %d bytes", most)
	}
	return text, err
}

// memberFlags are the flags of members that are called otherwise.
var memberFlags = map[string]string{
	"name": "the first argument", "tags": "--tag", "access_mode": "--access", "max_active_requests": "--max-active", "api_enabled": "--api",
	"runtime_key": "--key-file", "runtime_features": "--dsl, --human-input", "allowed": "--allow",
}

// ofOne words a refusal of the one declaration that flags have made.
func ofOne(err error, names map[string]string) error {
	f := fault.Of(err)
	details := make([]fault.Detail, 0, len(f.Details()))
	for _, d := range f.Details() {
		if len(d.Loc) > 2 && fmt.Sprint(d.Loc[0]) == "apps" {
			d.Loc = d.Loc[2:]
		}
		details = append(details, d)
	}
	if len(details) == 0 {
		return err
	}
	return flagged(f.Detailed(details...), names)
}

func (c *command) addApp() *cobra.Command {
	var workspace string
	cmd := &cobra.Command{
		Use: "add NAME --mode MODE [--runtime-url URL --key-file F]", Short: "Add an app to a workspace", Args: oneArg,
		Long: `Add an app to a workspace. Its runtime is one that speaks Dify's Service API, at
--runtime-url; the key is the API key that the runtime shows for the app, and is the first
line of --key-file, or of standard input for "-". Every member of the workspace may run
it, unless --access says otherwise. "core app check" tells whether its runtime answers.

  core app add "Help desk" --mode chat --runtime-url https://dify.example.com --key-file key.txt
  core app add Echo --mode workflow --runtime echo --runtime-config form.json

Without --workspace it is added to the only one there is.`,
	}
	f := flagsOfApp(cmd)
	cmd.Flags().StringVar(&workspace, "workspace", "", "id or name of its workspace")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.mode == "" {
			return cmdline.Usage(errors.New("--mode is required"))
		}
		w, err := c.wanted(f, apps.DeclarationsFeatures{})
		if err != nil {
			return err
		}
		w.App.Name, w.App.Workspace = args[0], workspace
		return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
			made, err := by.DeclareApps(ctx, operator.AppsWanted{Apps: []operator.AppWanted{w}, New: true})
			if err != nil {
				return ofOne(err, memberFlags)
			}
			if len(made.Apps) != 1 {
				return errors.New("the service has not said what it did")
			}
			a := made.Apps[0]
			return c.out.Print(a, "App %s created in %s: %s.\n", a.AppID, a.Workspace, a.Name)
		})
	}
	return c.out.On(cmd)
}

func (c *command) setApp() *cobra.Command {
	var r operator.AppRef
	var dryRun bool
	cmd := &cobra.Command{
		Use: "set APP [flags of what changes]", Short: "Change an app", Args: oneArg,
		Long: `Change an app, named by its id or its exact name. What no flag names stays as it is;
--tag and --allow replace the whole list. A key is the first line of --key-file, or of
standard input for "-"; --no-key takes it away, and so does a --runtime-url with another
scheme, host or port, unless --key-file comes with it.

  core app set "Help desk" --key-file new.txt
  core app set "Help desk" --access internal --allow ada@example.com --allow bob@example.com
  core app set "Help desk" --status archived --dry-run`,
	}
	f := flagsOfApp(cmd)
	flags := cmd.Flags()
	flags.Lookup("api").DefValue = "false" // pflag then shows no default: what is not named stays
	flags.StringVar(&f.name, "name", "", "another name")
	flags.StringVar(&f.status, "status", "", "normal or archived")
	flags.BoolVar(&f.noKey, "no-key", false, "take the key away")
	flags.BoolVar(&dryRun, "dry-run", false, "say what would change, and change nothing")
	names := map[string]string{}
	for member, flag := range memberFlags {
		names[member] = flag
	}
	names["name"] = "--name"
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r.App = args[0]
		if err := r.Check(); err != nil {
			return flagged(err, nameArgument)
		}
		return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
			was, err := by.ShowApp(ctx, r)
			if err != nil {
				return err
			}
			w, err := c.wanted(f, was.Features)
			if err != nil {
				return err
			}
			w.App.ID, w.App.Name, w.App.Status = was.ID, was.Name, given(f, "status", apps.Status(f.status))
			if name := given(f, "name", f.name); name != nil {
				w.App.Name = *name
			}
			done, err := by.DeclareApps(ctx, operator.AppsWanted{Apps: []operator.AppWanted{w}, DryRun: dryRun})
			if err != nil {
				return ofOne(err, names)
			}
			if c.out.JSON() {
				return c.out.Print(done, "")
			}
			return c.plannedText(done)
		})
	}
	return ofWorkspace(c.out.On(cmd), &r)
}
