// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/api"
)

const runHelp = `run asks an app and prints its answer as it comes. The app is named by its id, or by
its exact name where only one has it.

Inputs are what the app's form asks for (difyauth apps describe shows it): -i gives a
text, -i 'key:=…' anything in JSON, --inputs an object from a file. -f uploads a file
for an input, or names one by its address; the same key again makes a list; without a
key the file goes with the message. A query of - is read from stdin.

A workflow prints its outputs: a single text as it is, else JSON. On a terminal stderr
shows what the app is doing. Ctrl-C stops the work on the server too.

With -o json stdout has the events of the run, one JSON object a line, as the server
sends them; with --blocking it has one object, the whole answer. A run that ends badly
leaves its error on stderr as every command does.

A run may wait for a person: its form, its actions and the command that answers it are
printed, and difyauth resume goes on.

Exit codes, beside those that difyauth --help lists:
  3    the run waits for a person
  8    the run came to its end and failed, or was stopped
  9    the server or the app broke the run off with an error
  10   the connection ended in the middle: what the run did is not known
  130  stopped by Ctrl-C; the work was stopped too`

// runFlags are those of a run.
type runFlags struct {
	pairs, files                       []string
	from, workspace, conversation, wid string
	blocking                           bool
}

func (c *command) run() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use: "run <app> [query]", Short: "Run an app and print its answer as it comes", Long: runHelp,
		Example: `  difyauth run "Support bot" "How do I reset my password?"
  difyauth run "Support bot" "And on a phone?" --conversation 0190…
  git diff | difyauth run "Reviewer" -
  difyauth run "Invoice check" -i customer=ACME -i 'months:=3' -f invoice=@may.pdf
  difyauth run "Translate" --inputs words.json -o json | jq -r 'select(.event == "workflow_finished") | .data.outputs'`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) < 1:
				return usagef("run takes an app, by id or name: difyauth apps list shows them")
			case len(args) > 2:
				return usagef("run takes an app and one query: put the query in quotes")
			case len(args) == 2 && args[1] == "-" && f.from == "-":
				return usagef("stdin is either the query or the inputs, not both")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.start(cmd.Context(), f, args) },
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.pairs, "input", "i", nil, "an input: `key=text`, or key:=JSON; may be given again")
	flags.StringVar(&f.from, "inputs", "", "JSON object of inputs, from a `file` or - for stdin; -i goes before it")
	flags.StringArrayVarP(&f.files, "file", "f", nil, "a file for an input: `key=@path` or key=https://…; without key= it goes with the message")
	flags.StringVar(&f.conversation, "conversation", "", "go on with a conversation, by its `id`")
	flags.StringVar(&f.wid, "workflow", "", "run this version of the workflow, by its `id`")
	flags.StringVar(&f.workspace, "workspace", "", "where to look for the app's name (default every workspace of yours)")
	flags.BoolVar(&f.blocking, "blocking", false, "wait for the whole answer in place of printing it as it comes")
	return cmd
}

// start gathers what the run is given, then follows it.
func (c *command) start(ctx context.Context, f runFlags, args []string) error {
	r := api.Run{ConversationID: f.conversation, WorkflowID: f.wid}
	given, err := c.inputs(f.from, f.pairs)
	if err != nil {
		return err
	}
	r.Inputs = given
	attached, err := attachments(f.files)
	if err != nil {
		return err
	}
	if len(args) == 2 {
		if r.Query = &args[1]; args[1] == "-" {
			text, err := c.stdin("the query")
			if err != nil {
				return err
			}
			query := strings.TrimRight(string(text), "\r\n") // as echo ends it
			r.Query = &query
		}
	}
	a, entry, err := c.open()
	if err != nil {
		return err
	}
	app, err := c.appID(ctx, a, entry, args[0], f.workspace)
	if err != nil {
		return err
	}
	if err := attach(ctx, a, app, attached, &r); err != nil {
		return err
	}
	t := c.telling(a, app)
	if f.blocking {
		answer, err := a.Block(ctx, app, r)
		if err != nil {
			return dropped(ctx, err)
		}
		return t.whole(answer)
	}
	return t.follow(ctx, func(ctx context.Context) (*api.Stream, error) { return a.Start(ctx, app, r) })
}

// dropped tells a person who pressed Ctrl-C what that did.
func dropped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return leftover{": the connection is dropped, at which the server ends the work", context.Canceled}
	}
	return err
}

func (c *command) resume() *cobra.Command {
	var run, action, from string
	var pairs []string
	cmd := &cobra.Command{
		Use: "resume <app> <form> --run <id>", Short: "Answer the form that a run waits for, and follow the run",
		Long: `resume answers the form of a run that waits for a person, then prints what the run does
from there, as difyauth run does and with its exit codes. run prints the command to give
when it comes to a form. A form is answered once.

Without --action the form's only action is taken; where it has several they are listed
and nothing is sent.`,
		Example: `  difyauth resume 01939e8a-6c1e-7a0b-9c39-2f6d1f0c8a11 Wn3… --run 0193a1… --action approve
  difyauth resume "Leave request" Wn3… --run 0193a1… --action reject -i reason="too short"`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) != 2:
				return usagef("resume takes an app and a form, as difyauth run prints them")
			case run == "":
				return usagef("resume takes --run, as difyauth run prints it")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			given, err := c.inputs(from, pairs)
			if err != nil {
				return err
			}
			a, entry, err := c.open()
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			app, err := c.appID(ctx, a, entry, args[0], "")
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("action") {
				if action, err = onlyAction(ctx, a, app, args[1]); err != nil {
					return err
				}
			}
			if err := a.Submit(ctx, app, args[1], action, given); err != nil {
				return err
			}
			return c.telling(a, app).follow(ctx, func(ctx context.Context) (*api.Stream, error) { return a.Follow(ctx, app, run) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&run, "run", "", "the workflow run that waits, by its `id`")
	flags.StringVar(&action, "action", "", "what to do, by the action's `id`")
	flags.StringArrayVarP(&pairs, "input", "i", nil, "a field of the form: `key=text`, or key:=JSON; may be given again")
	flags.StringVar(&from, "inputs", "", "JSON object of fields, from a `file` or - for stdin; -i goes before it")
	return cmd
}

// onlyAction is what a form leaves to choose where there is nothing to choose.
func onlyAction(ctx context.Context, a *api.API, app, form string) (string, error) {
	f, err := a.Form(ctx, app, form)
	if err != nil {
		return "", err
	}
	switch len(f.Actions) {
	case 0:
		return "", nil
	case 1:
		return f.Actions[0].ID, nil
	}
	names := make([]string, len(f.Actions))
	for i, v := range f.Actions {
		names[i] = word(v.ID)
	}
	return "", usagef("the form has several actions: name one with --action (%s)", strings.Join(names, ", "))
}

// asked reads a form as an event shows it.
type asked struct {
	Node    string          `json:"node_title"`
	Content string          `json:"form_content"`
	Inputs  json.RawMessage `json:"inputs"`
	Actions []api.Action    `json:"actions"`
	Token   *string         `json:"form_token"`
	Ends    json.RawMessage `json:"expiration_time"`
}
