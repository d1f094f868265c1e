// SPDX-License-Identifier: Apache-2.0

// Package followed executes the commands of the operator's documents as they stand there,
// on an installation of two processes of each service that people use meanwhile, so that a
// document whose commands do not work is a red test.
package followed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// Document is a file of docs/operating.
type Document struct {
	name  string
	steps map[string][]string
	marks []string
}

// Read takes the blocks out of a document that begin with "```sh MARK", each with its mark
// and in the document's order.
func Read(t testing.TB, name string) *Document {
	t.Helper()
	root, err := process.Root()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, "docs", "operating", name))
	if err != nil {
		t.Fatal(err)
	}
	d, err := parse(name, string(content))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func parse(name, content string) (*Document, error) {
	d := &Document{name: name, steps: map[string][]string{}}
	mark, open := "", false
	var block strings.Builder
	for line := range strings.Lines(content) {
		text := strings.TrimSpace(line)
		switch {
		case !open && strings.HasPrefix(text, "```"):
			open = true
			_, mark, _ = strings.Cut(text, "```sh ")
			block.Reset()
		case open && text == "```":
			open = false
			if mark != "" {
				if d.steps[mark] == nil {
					d.marks = append(d.marks, mark)
				}
				d.steps[mark] = append(d.steps[mark], block.String())
			}
		case open:
			block.WriteString(line)
		}
	}
	if open {
		return nil, fmt.Errorf("%s: a block is not closed", name)
	}
	return d, nil
}

// Marks are those of a kind, such as "rotate:", in the document's order.
func (d *Document) Marks(kind string) (list []string) {
	for _, m := range d.marks {
		if strings.HasPrefix(m, kind) {
			list = append(list, m)
		}
	}
	return list
}

// Steps are the scripts under a mark. A document that has lost them fails the test.
func (d *Document) Steps(t testing.TB, mark string) []string {
	t.Helper()
	if len(d.steps[mark]) == 0 {
		t.Fatalf("%s has no commands marked %q", d.name, mark)
	}
	return d.steps[mark]
}

// stepLimit bounds one block; a rolling restart on a busy machine is in it.
const stepLimit = 3 * time.Minute

// execute runs one block in bash, which ends at the first command that fails.
func execute(ctx context.Context, environ []string, script string) (string, error) {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", "umask 077\n"+script)
	cmd.Env, cmd.WaitDelay = environ, time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}
