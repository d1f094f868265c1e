// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// form shows what a run asks of a person.
func (t *telling) form(data json.RawMessage) error {
	var f asked
	decode(data, &f)
	if len(t.forms) >= maxForms {
		return nil
	}
	kept := f
	kept.Content, kept.Inputs, kept.Actions = "", nil, nil // shown now, and needed no more
	t.forms = append(t.forms, kept)
	if t.output == "json" {
		return nil
	}
	t.endLine()
	var b strings.Builder
	fmt.Fprintf(&b, "\nThe run waits for a person: %s\n\n", brief(f.Node, 120))
	if text := strings.TrimSpace(f.Content); text != "" {
		b.WriteString(prose(text) + "\n\n")
	}
	fields := fieldsOf(f.Inputs)
	for i, name := range fields {
		if i == 0 {
			b.WriteString("It asks for:\n")
		}
		fmt.Fprintf(&b, "  %s\n", plain(name))
	}
	if len(f.Actions) > 0 {
		b.WriteString("What can be done:\n")
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, a := range f.Actions {
			fmt.Fprintf(w, "  %s\t%s\n", plain(a.ID), brief(a.Title, 80))
		}
		_ = w.Flush() // into memory
	}
	if ends := until(f.Ends); ends != "" {
		fmt.Fprintf(&b, "It can be answered until %s.\n", ends)
	}
	if f.Token == nil || *f.Token == "" {
		b.WriteString("It is answered where the app has sent it, not from here.\n")
	} else {
		b.WriteString("Answer it with\n\n    " + t.answerWith(t.app, t.run, f, fields) + "\n\n")
	}
	return t.answer(b.String())
}

// answerWith is the command that answers a form.
func (c *command) answerWith(app, run string, f asked, fields []string) string {
	flags := " --run " + word(run)
	if len(f.Actions) > 0 {
		flags += " --action " + word(f.Actions[0].ID)
	}
	for _, name := range fields {
		flags += " -i " + word(name+"=…")
	}
	token := orElse(f.Token, "")
	if strings.HasPrefix(token, "-") { // would be read as a flag
		return "difyauth resume" + flags + " -- " + word(app) + " " + word(token)
	}
	return "difyauth resume " + word(app) + " " + word(token) + flags
}

// fieldsOf names the fields of a form, in whichever of its shapes the app's version
// writes them.
func fieldsOf(raw json.RawMessage) (names []string) {
	var list []map[string]any
	decode(raw, &list)
	for _, v := range list {
		for _, key := range []string{"output_variable_name", "variable", "name"} {
			if name, ok := v[key].(string); ok && name != "" {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

// until reads an instant in seconds or in RFC 3339.
func until(raw json.RawMessage) string {
	text := strings.Trim(string(raw), `"`)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
		return time.Unix(n, 0).UTC().Format("2006-01-02 15:04 UTC")
	}
	if _, err := time.Parse(time.RFC3339, text); err == nil {
		return minute(text) + " UTC"
	}
	return ""
}

// waiting is the end of a run that goes on only when somebody has answered.
func (t *telling) waiting() error {
	text := "the run waits for a person, and goes on when its form is answered"
	for _, f := range t.forms {
		if f.Token != nil && *f.Token != "" && t.output == "json" {
			text = "the run waits for a person: answer its form with " + t.answerWith(t.app, t.run, f, nil)
			break
		}
	}
	return told{code: "run_paused", exit: exitPaused, text: text}
}
