// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// maxAppsFile bounds a file of declarations, in bytes.
const maxAppsFile = 1 << 20

// appsFile is a file of declarations.
type appsFile struct {
	Version int         `yaml:"version"`
	Apps    []appInFile `yaml:"apps"`
}

// appInFile is one of its apps. A key stands in a file of its own.
type appInFile struct {
	apps.Declaration `yaml:",inline"`
	KeyFile          *string `yaml:"runtime_key_file"`
}

// declaredApps reads a file of declarations and the keys that it names.
func (c *command) declaredApps(path string) (list []operator.AppWanted, err error) {
	text, err := c.content(path, maxAppsFile)
	if err != nil {
		return nil, err
	}
	var f appsFile
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&f); err != nil {
		return nil, errors.New(whereInYAML(err))
	}
	if f.Version != 1 {
		return nil, errors.New("version must be 1")
	}
	for i, a := range f.Apps {
		w := operator.AppWanted{App: a.Declaration}
		if a.KeyFile != nil {
			if *a.KeyFile == "-" || *a.KeyFile == "" {
				return nil, fmt.Errorf("app %d: runtime_key_file must name a file", i+1)
			}
			key, err := c.reveal(*a.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("app %d: runtime_key_file: %w", i+1, err)
			}
			if key.Reveal() == "" {
				return nil, fmt.Errorf("app %d: runtime_key_file: the file's first line is empty", i+1)
			}
			passed := operator.Pass(key)
			w.Key = &passed
		}
		list = append(list, w)
	}
	if len(list) == 0 {
		return nil, errors.New("it declares no app")
	}
	return list, nil
}

// whereInYAML says where a file is wrong and not what stands there: the decoder's own
// words repeat parts of it, which may be a key that has slipped.
func whereInYAML(err error) string {
	e, ok := errors.AsType[yaml.Error](err)
	if !ok || e.GetToken() == nil || e.GetToken().Position == nil {
		return "it cannot be read as YAML"
	}
	at := e.GetToken().Position
	if _, ok := errors.AsType[*yaml.UnknownFieldError](err); ok {
		return fmt.Sprintf("line %d, column %d: this member is not known", at.Line, at.Column)
	}
	return fmt.Sprintf("line %d, column %d: it cannot be read; each key may stand once, with a value of its type", at.Line, at.Column)
}

func (c *command) importApps() *cobra.Command {
	var dryRun bool
	cmd := c.out.On(&cobra.Command{
		Use: "import FILE", Short: "Make apps what a file declares", Args: oneArg,
		Long: `Make apps what a YAML file declares: all of it, or nothing. An app is the one of its
workspace with exactly this name, or with the id that the file gives. Members that the
file does not name stay as they are, and apps that it does not name too: nothing is
removed, but for the key of an app whose runtime_url gets another scheme, host or port and
that the file gives no key. A second run changes nothing. "-" reads standard input.

  core app import apps.yaml --dry-run
  core app import apps.yaml

  version: 1
  apps:
    - workspace: Engines
      name: Help desk
      mode: chat
      runtime_url: https://dify.example.com
      runtime_key_file: /etc/dify-sso/help-desk.key
      access_mode: internal
      allowed: [ada@example.com]

docs/operating/apps.md has every member.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := c.declaredApps(args[0])
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				done, err := by.DeclareApps(ctx, operator.AppsWanted{Apps: list, DryRun: dryRun})
				if err != nil {
					return inFile(err, list)
				}
				if c.out.JSON() {
					return c.out.Print(done, "")
				}
				return c.plannedText(done)
			})
		},
	})
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would change, and change nothing")
	return cmd
}

// inFile names the apps of a refusal as the file does.
func inFile(err error, list []operator.AppWanted) error {
	var lines []string
	for _, d := range fault.Of(err).Details() {
		place := make([]string, 0, len(d.Loc))
		for i, l := range d.Loc {
			var n int
			if _, err := fmt.Sscan(fmt.Sprint(l), &n); err == nil && i == 1 && n >= 0 && n < len(list) {
				place[0] = fmt.Sprintf("app %d (%s)", n+1, strings.TrimSpace(list[n].App.Name+list[n].App.ID))
				continue
			}
			place = append(place, fmt.Sprint(l))
		}
		lines = append(lines, strings.Join(place, ": ")+": "+d.Msg)
	}
	if lines == nil {
		return err
	}
	return errors.New("nothing was done:\n  " + strings.Join(lines, "\n  "))
}

// plannedText says for people what became of declared apps, or would.
func (c *command) plannedText(p operator.AppsPlanned) error {
	count := map[string]int{}
	for _, a := range p.Apps {
		count[a.Action]++
		if a.Action == apps.PlanNone {
			continue
		}
		id := ""
		if a.AppID != "" {
			id = " " + a.AppID
		}
		if _, err := fmt.Fprintf(c.Stdout, "%s %s (%s)%s\n", a.Action, a.Name, a.Workspace, id); err != nil {
			return err
		}
		for _, m := range a.Changes {
			line := fmt.Sprintf("  %s: %s -> %s\n", m.Member, shown(m.From), shown(m.To))
			if a.Action == apps.PlanCreate {
				line = fmt.Sprintf("  %s: %s\n", m.Member, shown(m.To))
			}
			if _, err := fmt.Fprint(c.Stdout, line); err != nil {
				return err
			}
		}
	}
	if count[apps.PlanNone] == len(p.Apps) {
		return c.out.Print(p, "Nothing changes: %s as declared.\n", are(len(p.Apps)))
	}
	verb := ""
	if p.DryRun {
		verb = "would be "
	}
	text := fmt.Sprintf("%d %screated, %d %supdated, %d unchanged.", count[apps.PlanCreate], verb, count[apps.PlanUpdate], verb, count[apps.PlanNone])
	if p.DryRun {
		text += " Nothing was done."
	}
	return c.out.Print(p, "%s\n", text)
}

func are(n int) string {
	if n == 1 {
		return "1 app is"
	}
	return fmt.Sprintf("%d apps are", n)
}

// shown writes a value of a difference on one line.
func shown(s string) string {
	const most = 120
	if s == "" {
		return `""`
	}
	s = strings.ReplaceAll(s, "\n", " ")
	if r := []rune(s); len(r) > most {
		s = string(r[:most-1]) + "…"
	}
	return s
}
