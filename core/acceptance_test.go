// SPDX-License-Identifier: Apache-2.0

// Package core_test holds what is checked about the module as a whole.
package core_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The specification promises by id, and every id has a test that begins with it or a
// line in later.md that says what is not built yet. This test keeps the three equal.
func TestEveryAcceptanceIDHasATestOrAReason(t *testing.T) {
	const specs = "../docs/specs/v1.0/server"
	spec, later := ids{}, ids{}
	files, err := filepath.Glob(filepath.Join(specs, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		into := spec
		if filepath.Base(path) == "later.md" {
			into = later
		}
		for _, problem := range readEntries(into, filepath.Base(path), string(text)) {
			t.Error(problem)
		}
	}
	if len(spec) < 250 || len(later) == 0 {
		t.Fatalf("%d entries and %d reasons found in %s: is that the folder?", len(spec), len(later), specs)
	}
	tests, err := readTests("..")
	if err != nil {
		t.Fatal(err)
	}
	if len(tests) == 0 {
		t.Fatal("no test of the repository names an id")
	}
	for _, problem := range compare(spec, later, tests) {
		t.Error(problem)
	}
}

// ids gives, for each id, the places where it stands.
type ids map[string][]string

func (m ids) add(id, place string) { m[id] = append(m[id], place) }

var (
	entryLine = regexp.MustCompile(`^- \*\*([A-Z]+-[0-9]+)\*\*(.*)$`)
	// An invariant is promised in a table and proven by the entries about it.
	invariantRow = regexp.MustCompile(`\bINV-[0-9]+\b`)
	idWord       = regexp.MustCompile(`^[A-Z]+-[0-9]+$`)
	// What looks like an id at the beginning of a name and is none.
	notAnID = regexp.MustCompile(`^(UTF|SHA|RFC|IPV|P)-`)
)

// readEntries collects the entries of one document and says which have no text.
func readEntries(into ids, file, text string) (problems []string) {
	for i, line := range strings.Split(text, "\n") {
		m := entryLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		place := fmt.Sprintf("%s:%d", file, i+1)
		if strings.TrimSpace(m[2]) == "" {
			problems = append(problems, fmt.Sprintf("%s: %s says nothing", place, m[1]))
		}
		into.add(m[1], place)
	}
	return problems
}

// compare gives everything that is wrong, in order.
func compare(spec, later, tests ids) []string {
	var problems []string
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for id, places := range spec {
		if len(places) > 1 {
			say("%s has two entries: %s", id, strings.Join(places, ", "))
		}
		if len(later[id]) == 0 && len(tests[id]) == 0 {
			say("%s (%s) has neither a test nor a line in later.md", id, places[0])
		}
	}
	for id, places := range later {
		if len(places) > 1 {
			say("%s has two lines: %s", id, strings.Join(places, ", "))
		}
		if len(spec[id]) == 0 {
			say("%s (%s) is no id of the specification", id, places[0])
		}
		if len(tests[id]) > 0 {
			say("%s (%s) is said to come later, but %s proves it", id, places[0], tests[id][0])
		}
	}
	for id, places := range tests {
		if len(spec[id]) == 0 && !invariantRow.MatchString(id) {
			say("%s (%s) is no id of the specification", id, places[0])
		}
	}
	slices.Sort(problems)
	return problems
}

// readTests collects the ids of every test below root. Suites that several packages
// run live in packages whose names end in "test".
func readTests(root string) (ids, error) {
	found := ids{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{".git", ".cache", "bin", "data", "testdata", "node_modules"}, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		suite := strings.HasSuffix(filepath.Base(filepath.Dir(path)), "test")
		if !strings.HasSuffix(path, "_test.go") && (!suite || !strings.HasSuffix(path, ".go")) {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return readNames(found, filepath.ToSlash(path), src)
	})
	return found, err
}

// readNames collects the ids at the beginning of the names of one file's subtests: the
// first argument of a call of Run, a table's name, and the first value of a table's row
// without field names.
func readNames(into ids, path string, src []byte) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, src, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	take := func(e ast.Expr) {
		for _, id := range leadingIDs(leadingText(e)) {
			into.add(id, fmt.Sprintf("%s:%d", path, set.Position(e.Pos()).Line))
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Run" && len(n.Args) == 2 {
				take(n.Args[0])
			}
		case *ast.CompositeLit:
			if n.Type == nil && len(n.Elts) > 1 {
				take(n.Elts[0])
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "name" {
				take(n.Value)
			}
		}
		return true
	})
	return nil
}

// leadingText is the literal with which an expression begins: of "a" + b it is a, of
// fmt.Sprintf("a", b) too.
func leadingText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, _ := strconv.Unquote(e.Value)
			return text
		}
	case *ast.BinaryExpr:
		return leadingText(e.X)
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Sprintf" && len(e.Args) > 0 {
			return leadingText(e.Args[0])
		}
	}
	return ""
}

func leadingIDs(name string) (found []string) {
	for _, word := range strings.Fields(name) {
		if !idWord.MatchString(word) || notAnID.MatchString(word) {
			break
		}
		found = append(found, word)
	}
	return found
}

func TestReadEntries(t *testing.T) {
	got := ids{}
	problems := readEntries(got, "a.md", "# T\n- **DF-1** asked → answered\n- DF-2 no entry\ntext **DF-3** no entry\n  - **DF-4** no entry\n- **DEV-01** [C†] attack → answer\n- **DF-1** again\n- **DF-5**  \n")
	want := ids{"DF-1": {"a.md:2", "a.md:7"}, "DEV-01": {"a.md:6"}, "DF-5": {"a.md:8"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("entries %v, want %v", got, want)
	}
	if len(problems) != 1 || problems[0] != "a.md:8: DF-5 says nothing" {
		t.Errorf("problems %q", problems)
	}
}

func TestReadNames(t *testing.T) {
	const src = `package x
import ("fmt"; "testing")
func TestX(t *testing.T) {
	// t.Run("DF-90 a comment", nil)
	t.Run("DF-1 DEV-02 both", func(t *testing.T) { t.Error("DF-91 a message") })
	t.Run("TK-3 " + kind(), nil)
	t.Run(fmt.Sprintf("TK-4 %d", 1), nil)
	t.Run("a case about DF-92", nil)
	t.Run("UTF-8 is no id", nil)
	t.Run("DF-5, with a comma", nil)
	other("DF-93 not run", nil)
	for _, c := range []struct{ name, want string }{
		{name: "W-1 in a table", want: "DF-94"},
		{name: ` + "`W-2 INV-3 raw`" + `},
	} { t.Run(c.name, nil) }
	for _, c := range []struct{ name, want string }{{"W-3 by place", "DF-95"}} { t.Run(c.name, nil) }
	_ = []string{"DF-96 in a list"}
}`
	got := ids{}
	if err := readNames(got, "x_test.go", []byte(src)); err != nil {
		t.Fatal(err)
	}
	want := ids{"DF-1": {"x_test.go:5"}, "DEV-02": {"x_test.go:5"}, "TK-3": {"x_test.go:6"}, "TK-4": {"x_test.go:7"},
		"W-1": {"x_test.go:13"}, "W-2": {"x_test.go:14"}, "INV-3": {"x_test.go:14"}, "W-3": {"x_test.go:16"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("names\n%v, want\n%v", got, want)
	}
	if err := readNames(got, "x_test.go", []byte("package")); err == nil {
		t.Error("a file that does not parse was passed over")
	}
}

func TestReadTestsTakesTestFilesAndSuites(t *testing.T) {
	dir := t.TempDir()
	for path, id := range map[string]string{
		"a/a_test.go": "DF-1", "a/a.go": "DF-90", "a/storetest/suite.go": "DF-2", "testdata/a_test.go": "DF-91", "bin/a_test.go": "DF-92",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(`package a; func f() { x.Run("`+id+` text", nil) }`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readTests(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || len(got["DF-1"]) != 1 || len(got["DF-2"]) != 1 {
		t.Errorf("found %v", got)
	}
}

func TestCompare(t *testing.T) {
	one := func(list ...string) ids {
		m := ids{}
		for _, id := range list {
			m.add(id, "place of "+id)
		}
		return m
	}
	for _, c := range []struct {
		name               string
		spec, later, tests ids
		want               []string
	}{
		{name: "each entry is proven or waits", spec: one("A-1", "A-2"), later: one("A-2"), tests: one("A-1", "INV-1")},
		{name: "an entry without either", spec: one("A-1"), want: []string{"A-1 (place of A-1) has neither a test nor a line in later.md"}},
		{name: "an entry with both", spec: one("A-1"), later: one("A-1"), tests: one("A-1"), want: []string{"A-1 (place of A-1) is said to come later, but place of A-1 proves it"}},
		{name: "two entries", spec: one("A-1", "A-1"), tests: one("A-1"), want: []string{"A-1 has two entries: place of A-1, place of A-1"}},
		{name: "two lines", spec: one("A-1"), later: one("A-1", "A-1"), want: []string{"A-1 has two lines: place of A-1, place of A-1"}},
		{name: "an unknown id waits", later: one("A-9"), want: []string{"A-9 (place of A-9) is no id of the specification"}},
		{name: "a test names an unknown id", tests: one("A-9"), want: []string{"A-9 (place of A-9) is no id of the specification"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := compare(c.spec, c.later, c.tests); !slices.Equal(got, c.want) {
				t.Errorf("problems %q, want %q", got, c.want)
			}
		})
	}
}
