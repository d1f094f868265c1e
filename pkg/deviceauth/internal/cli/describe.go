// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/api"
)

func (c *command) appsDescribe() *cobra.Command {
	var in string
	cmd := &cobra.Command{
		Use: "describe <id or name>", Short: "Show what an app is and which inputs it takes",
		Long: `describe shows an app: what it is called and does, how it begins a conversation, and
which inputs a run takes. With -o json it gives the server's answer: info, parameters,
and input_schema, a JSON Schema (2020-12) of the body of a run.`,
		Example: "  difyauth apps describe \"Support bot\"\n  difyauth apps describe 01939e8a-6c1e-7a0b-9c39-2f6d1f0c8a11 -o json | jq .input_schema",
		Args:    exactly(1, "describe takes one app, by id or name: difyauth apps list shows them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, entry, err := c.open()
			if err != nil {
				return err
			}
			id, err := c.appID(cmd.Context(), a, entry, args[0], in)
			if err != nil {
				return err
			}
			d, err := a.Describe(cmd.Context(), id)
			if err != nil {
				return err
			}
			if c.output == "json" {
				return c.line(d.Raw)
			}
			return c.print(nil, "%s", description(d))
		},
	}
	cmd.Flags().StringVar(&in, "workspace", "", "where to look for the name (default every workspace of yours)")
	return cmd
}

// line writes JSON from elsewhere on one line.
func (c *command) line(raw []byte) error {
	text, err := oneLine(raw)
	if err != nil {
		return err
	}
	_, err = c.Stdout.Write(text)
	return err
}

func description(d api.Description) string {
	var b strings.Builder
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%-13s %s\n", name+":", text)
		}
	}
	line("App", plain(d.Info.Name))
	line("Id", plain(d.Info.ID))
	line("Mode", plain(d.Info.Mode))
	line("About", brief(orElse(d.Info.Description, ""), 400))
	line("Author", plain(orElse(d.Info.Author, "")))
	line("Tags", tags(d.Info.Tags))
	line("Changed", minute(orElse(d.Info.UpdatedAt, "")))
	if !d.Info.Enabled {
		line("Runs", "switched off for programs; an owner or admin of the workspace can switch it on")
	}
	var p struct {
		Opening   string   `json:"opening_statement"`
		Questions []string `json:"suggested_questions"`
	}
	_ = json.Unmarshal(d.Parameters, &p)
	line("Begins with", brief(p.Opening, 400))
	for _, q := range p.Questions {
		line("Try", brief(q, 200))
	}
	rows := inputs(d.Schema)
	if len(rows) == 0 {
		b.WriteString("\nIt takes no inputs.\n")
		return b.String()
	}
	b.WriteString("\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "INPUT\tKIND\tNEEDED\tABOUT")
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	_ = w.Flush()
	return b.String()
}

// property is what is read of a schema.
type property struct {
	Type       string          `json:"type"`
	Title      string          `json:"title"`
	Enum       []string        `json:"enum"`
	MaxLength  int             `json:"maxLength"`
	Items      *property       `json:"items"`
	Properties json.RawMessage `json:"properties"`
	Required   []string        `json:"required"`
}

// inputs gives a row for each thing that a run takes, in the order of the app's form.
func inputs(schema json.RawMessage) (rows [][]string) {
	var top property
	_ = json.Unmarshal(schema, &top)
	for _, m := range members(top.Properties) {
		var v property
		_ = json.Unmarshal(m.Value, &v)
		if m.Key != "inputs" {
			rows = append(rows, row("<"+m.Key+">", v, slices.Contains(top.Required, m.Key), "what you ask, as the second argument"))
			continue
		}
		for _, in := range members(v.Properties) {
			var w property
			_ = json.Unmarshal(in.Value, &w)
			rows = append(rows, row(in.Key, w, slices.Contains(v.Required, in.Key), ""))
		}
	}
	return rows
}

func row(name string, v property, needed bool, about string) []string {
	kind := map[string]string{"string": "text", "object": "file"}[v.Type]
	switch {
	case len(v.Enum) > 0:
		kind = "choice"
	case v.Type == "array":
		kind = "files"
	case kind == "":
		kind = v.Type
	}
	var says []string
	if v.Title != "" && v.Title != name {
		says = append(says, brief(v.Title, 80))
	}
	if about != "" {
		says = append(says, about)
	}
	if len(v.Enum) > 0 {
		says = append(says, "one of: "+brief(strings.Join(v.Enum, ", "), 200))
	}
	if v.MaxLength > 0 {
		says = append(says, fmt.Sprintf("at most %d characters", v.MaxLength))
	}
	return []string{plain(name), plain(kind), map[bool]string{true: "yes", false: "no"}[needed], strings.Join(says, "; ")}
}
