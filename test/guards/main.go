// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const document = "docs/reference/guards.md"

func main() {
	only := flag.String("only", "", "a pattern of names")
	missing := flag.Bool("missing", false, "only what has no test in "+document)
	list := flag.Bool("list", false, "names, and nothing is run")
	flag.Parse()
	if err := run(*only, *missing, *list); err != nil {
		fmt.Fprintln(os.Stderr, "guards:", err)
		os.Exit(1)
	}
}

func run(only string, missing, list bool) error {
	root, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	guards, err := find(root)
	if err != nil {
		return err
	}
	pattern, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	known, err := read(filepath.Join(root, filepath.FromSlash(document)))
	if err != nil {
		return err
	}
	b, err := newBench(root, guards)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(b.dir) }()
	unnoticed := 0
	for i, g := range guards {
		if _, has := known[g.name()]; g.second != "" || !pattern.MatchString(g.name()) || missing && has {
			continue
		}
		if list {
			fmt.Println(g.name())
			continue
		}
		start := time.Now()
		noticed, err := b.remove(i+1, g)
		switch {
		case err != nil:
			unnoticed++
			delete(known, g.name())
			noticed = "ERROR " + err.Error()
		case noticed == "":
			unnoticed++
			delete(known, g.name())
			noticed = "NOT NOTICED"
		default:
			known[g.name()] = noticed
		}
		fmt.Printf("%d/%d %s\n\t%s (%s)\n", i+1, len(guards), g.name(), noticed, time.Since(start).Round(100*time.Millisecond))
		if err := write(filepath.Join(root, filepath.FromSlash(document)), guards, known); err != nil {
			return err
		}
	}
	// Also where nothing was new: a guard may stand elsewhere, or say now what is behind it.
	if err := write(filepath.Join(root, filepath.FromSlash(document)), guards, known); err != nil {
		return err
	}
	if unnoticed > 0 {
		return fmt.Errorf("%d guards can be taken away and no test says so", unnoticed)
	}
	return nil
}

// read gives the tests that the document names, by guard.
func read(path string) (map[string]string, error) {
	known := map[string]string{}
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return known, nil
	}
	place := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if title, ok := strings.CutPrefix(line, "## "); ok {
			place = title
		}
		if cells := strings.Split(line, " | "); len(cells) == 2 && place != "" && strings.HasPrefix(line, "| `") && !strings.HasPrefix(cells[1], "none: ") {
			what := strings.Trim(cells[0], "| `")
			known[place+": "+plain(what)] = strings.Trim(cells[1], "| `")
		}
	}
	return known, err
}

// A cell ends at a bar, and so does code within it.
func cell(s string) string  { return strings.ReplaceAll(s, "|", "¦") }
func plain(s string) string { return strings.ReplaceAll(s, "¦", "|") }

const heading = `# Guards and the tests that notice when one is gone

Written by ` + "`make guards`" + `, which takes each of these away by itself, builds, and runs tests until one fails. A guard is an entry of a route's
chain, a condition that ends in a return, or a part of a statement; ` + "`test/guards/list.go`" + ` says where they stand. After a change ` + "`go run ./test/guards -missing`" + `
runs those that are new. "none" stands where something else refuses the same, and says what: such a guard is kept for its reader, or saves work.
`

func write(path string, guards []guard, known map[string]string) error {
	var b strings.Builder
	b.WriteString(heading)
	place := ""
	for _, g := range guards {
		test, ok := known[g.name()]
		if g.second == "" && !ok {
			continue
		}
		if g.place != place {
			place = g.place
			_, _ = fmt.Fprintf(&b, "\n## %s\n\n| guard | noticed by |\n| --- | --- |\n", place)
		}
		if g.second != "" {
			_, _ = fmt.Fprintf(&b, "| `%s` | none: %s |\n", cell(g.what), g.second)
			continue
		}
		_, _ = fmt.Fprintf(&b, "| `%s` | `%s` |\n", cell(g.what), cell(test))
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
