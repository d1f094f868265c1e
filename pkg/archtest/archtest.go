// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Workspace begins the import path of every package of this repository.
const Workspace = "github.com/dify-sso/dify-sso/"

// Package is what the go command says of one package; paths of the workspace are
// without its prefix.
type Package struct {
	Path    string
	Imports []string // of its own files, tests not included
	Deps    []string // everything reachable from them
}

// Row is one package and the arrows that leave it.
type Row struct {
	// Package names the package below the module, such as internal/token.
	Package string
	// May lists the packages of the workspace that it imports, each an arrow of
	// docs/architecture.md. A name that it does not import fails too: the picture
	// shows what is, not what was.
	May []string
}

// Ban keeps something out of reach.
type Ban struct {
	// From is a prefix of package paths of the workspace.
	From string
	// Never lists prefixes of import paths that must not be reachable from there.
	Never []string
	// But lists import paths that are no harm although Never names what is above them.
	But []string
	Why string
}

// Load lists the packages of the module in the working directory, or of those that
// patterns name.
func Load(t testing.TB, patterns ...string) []Package {
	t.Helper()
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	out := goCommand(t, nil, append([]string{"list", "-json=ImportPath,GoFiles,Imports,Deps"}, patterns...)...)
	var list []Package
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath             string
			GoFiles, Imports, Deps []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) == 0 {
			continue // a folder of tests
		}
		list = append(list, Package{Path: short(p.ImportPath), Imports: shorten(p.Imports), Deps: shorten(p.Deps)})
	}
	if len(list) == 0 {
		t.Fatal("archtest: no packages found")
	}
	return list
}

// Arrows compares each package's imports inside the workspace with its row. A
// package without a row, and a row without its package, fail. Packages for tests need
// none: they may look at everything, and TestsOnly keeps them out of the product.
func Arrows(t testing.TB, module string, packages []Package, rows []Row) {
	t.Helper()
	for _, problem := range arrows(module, packages, rows) {
		t.Error(problem)
	}
}

func arrows(module string, packages []Package, rows []Row) (problems []string) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	byPath := map[string]Package{}
	for _, p := range packages {
		byPath[p.Path] = p
	}
	known := map[string]bool{}
	for _, row := range rows {
		path := strings.TrimSuffix(module+"/"+row.Package, "/")
		known[path] = true
		p, ok := byPath[path]
		if !ok {
			say("%s has a row and is no package any more", path)
			continue
		}
		for _, i := range p.Imports {
			if ours(i) && !slices.Contains(row.May, i) {
				say("%s imports %s, an arrow that its row does not have", path, i)
			}
		}
		for _, may := range row.May {
			if !slices.Contains(p.Imports, may) {
				say("%s does not import %s; take the arrow out of its row", path, may)
			}
		}
	}
	for path := range byPath {
		if !known[path] && !forTests(path) {
			say("%s has no row: say what it may import", path)
		}
	}
	slices.Sort(problems)
	return problems
}

// Bans checks what must not be reachable. A ban whose packages are gone fails.
func Bans(t testing.TB, packages []Package, bans []Ban) {
	t.Helper()
	for _, problem := range broken(packages, bans) {
		t.Error(problem)
	}
}

func broken(packages []Package, bans []Ban) (problems []string) {
	for _, b := range bans {
		found := false
		for _, p := range packages {
			if !within(p.Path, b.From) {
				continue
			}
			found = true
			for _, dep := range p.Deps {
				if !slices.Contains(b.But, dep) && slices.ContainsFunc(b.Never, func(never string) bool { return within(dep, never) }) {
					problems = append(problems, fmt.Sprintf("%s reaches %s: %s", p.Path, dep, b.Why))
				}
			}
		}
		if !found {
			problems = append(problems, fmt.Sprintf("no package is called %s any more, and a ban speaks of it", b.From))
		}
	}
	return problems
}

// TestsOnly fails when a package whose name ends in "test" or "testserver" is imported
// by a file that is no test and belongs to no such package.
func TestsOnly(t testing.TB, packages []Package) {
	t.Helper()
	for _, problem := range leaked(packages) {
		t.Error(problem)
	}
}

func leaked(packages []Package) (problems []string) {
	for _, p := range packages {
		for _, i := range p.Imports {
			if ours(i) && forTests(i) && !forTests(p.Path) {
				problems = append(problems, fmt.Sprintf("%s imports %s, which is for tests", p.Path, i))
			}
		}
	}
	return problems
}

// forTests reports a package of test helpers by its name.
func forTests(path string) bool {
	return strings.HasSuffix(path, "test") || strings.HasSuffix(path, "/testserver")
}

func within(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
}

// ours reports whether a shortened path lies in the workspace.
func ours(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return slices.Contains([]string{"core", "sso-bridge", "pkg", "migrations"}, first)
}

func short(path string) string { return strings.TrimPrefix(path, Workspace) }

func shorten(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = short(p)
	}
	return out
}

func goCommand(t testing.TB, env []string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out
}
