// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// guard is one place to take away: the bytes from..to of a file.
type guard struct {
	place    string // file and function
	what     string // the guard, as the code spells it
	file     string
	from, to int
	// instead stands there without the guard, after a build of its own. Most guards are
	// taken away while the program runs: lead and end are put around them.
	instead   string
	lead, end string
	suites    []suite
	// second says what else refuses the same, so that no test can notice.
	second string
}

// cut reports a guard that only a build of its own can take away.
func (g guard) cut() bool { return g.lead == "" }

// name tells guards apart and stays as long as their code does: it holds no line.
func (g guard) name() string { return g.place + ": " + g.what }

// find gives every guard of the list in the tree at root.
func find(root string) ([]guard, error) {
	var all []guard
	for _, p := range places {
		some, err := p.find(root)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	seen := map[string]int{}
	for i, g := range all {
		if seen[g.name()]++; seen[g.name()] > 1 {
			all[i].what += " (" + strconv.Itoa(seen[g.name()]) + ")"
		}
	}
	return all, nil
}

var errMoved = errors.New("the code has moved on, and the list of guards has to follow")

func (p place) find(root string) ([]guard, error) {
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p.file)))
	if err != nil {
		return nil, err
	}
	if p.cut != "" {
		if n := bytes.Count(source, []byte(p.cut)); n != 1 {
			return nil, fmt.Errorf("%s holds %q %d times: %w", p.file, p.cut, n, errMoved)
		}
		at := bytes.Index(source, []byte(p.cut))
		return []guard{{place: p.file, what: p.what, file: p.file, from: at, to: at + len(p.cut), instead: p.instead, suites: p.suites}}, nil
	}
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, p.file, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	f := finder{place: p, fset: fset, source: source}
	for _, name := range strings.Fields(p.funcs) {
		body := funcNamed(tree, name)
		if body == nil {
			return nil, fmt.Errorf("%s has no function %s: %w", p.file, name, errMoved)
		}
		f.name = name
		if p.chain {
			f.chains(body)
		} else {
			f.conditions(body)
		}
	}
	for _, s := range p.skip {
		if !slices.Contains(f.skipped, s) {
			return nil, fmt.Errorf("%s: nothing like %q is left to pass over in %s: %w", p.file, s, p.funcs, errMoved)
		}
	}
	if len(f.strange) > 0 {
		return nil, fmt.Errorf("%s: the list names no tests for %s: %w", p.file, strings.Join(f.strange, ", "), errMoved)
	}
	for what := range p.second {
		if !slices.Contains(f.explained, what) {
			return nil, fmt.Errorf("%s: there is no %q: %w", p.file, what, errMoved)
		}
	}
	return f.found, nil
}

func funcNamed(tree *ast.File, name string) *ast.BlockStmt {
	for _, d := range tree.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name {
			return f.Body
		}
	}
	return nil
}

// finder walks the functions of one place.
type finder struct {
	place
	fset    *token.FileSet
	source  []byte
	name    string
	found   []guard
	strange []string // entries of chains that the list does not know
	skipped []string
	// explained are the entries of second that a guard was found for.
	explained []string
}

func (f *finder) at(p token.Pos) int { return f.fset.Position(p).Offset }

// text gives a node on one line.
func (f *finder) text(n ast.Node) string {
	var b bytes.Buffer
	_ = format.Node(&b, f.fset, n)
	return strings.ReplaceAll(strings.Join(strings.Fields(b.String()), " "), "`", "'") // a cell of the document ends code with it
}

// passedOn reports a failure that is handed to the caller and is no refusal: that it is,
// is the matter of the tests in which stores fail.
func (f *finder) passedOn(what string) bool {
	if what != "err != nil" && !strings.HasSuffix(what, "; err != nil") {
		return false
	}
	for _, e := range strings.Fields(f.errs) {
		if e == "*" || strings.Contains(what, e) {
			return false
		}
	}
	return true
}

// longest is how much of a statement a name holds.
const longest = 90

// add notes a node as a guard; lead and end hold a %d for its number.
func (f *finder) add(n ast.Node, what, lead, end string) {
	if f.passedOn(what) {
		return
	}
	if before, cond, ok := strings.Cut(what, "; "); ok && len(before) > longest {
		what = strings.ToValidUTF8(before[:longest], "") + " …; " + cond[max(0, strings.LastIndex(cond, "; ")+1):]
	}
	if slices.Contains(f.skip, what) {
		f.skipped = append(f.skipped, what)
		return
	}
	g := guard{place: f.file + " " + f.name, what: what, file: f.file, from: f.at(n.Pos()), to: f.at(n.End()), lead: lead, end: end, suites: f.suites}
	nth := 1
	for _, other := range f.found {
		if other.name() == g.name() {
			nth++
		}
	}
	for _, key := range []string{f.name + ": " + what, f.name + ": " + what + " (" + strconv.Itoa(nth) + ")"} {
		if why, ok := f.second[key]; ok {
			g.second, f.explained = why, append(f.explained, key)
		}
	}
	f.found = append(f.found, g)
}

// chains finds the entries that a switch over callers appends to a chain of handlers.
func (f *finder) chains(body *ast.BlockStmt) {
	var caller string
	ast.Inspect(body, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.CaseClause:
			if len(x.List) > 0 {
				caller = f.text(x.List[0])
			}
		case *ast.CallExpr:
			if fun, ok := x.Fun.(*ast.Ident); !ok || fun.Name != "append" || caller == "" {
				return true
			}
			for i, arg := range x.Args[1:] {
				what := caller + ": " + f.text(arg)
				if strings.HasSuffix(what, ".handle") { // the handler itself
					continue
				}
				entry, _, _ := strings.Cut(f.text(arg), "(")
				var known bool
				if f.suites, known = f.entries[entry]; !known {
					f.strange = append(f.strange, what)
				}
				if x.Ellipsis.IsValid() && i == len(x.Args)-2 {
					f.add(arg, what, "guardsUnless(%d, ", ")")
				} else {
					f.add(arg, what, "guardUnless(%d, ", ")")
				}
			}
		}
		return true
	})
}

// conditions finds what decides whether a branch is left with a return, and each part of
// a truth that is returned.
func (f *finder) conditions(body *ast.BlockStmt) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.BlockStmt:
			f.block(x.List)
		case *ast.CaseClause:
			f.block(x.Body)
		case *ast.SwitchStmt:
			if x.Tag != nil {
				break
			}
			for _, c := range x.Body.List {
				clause, _ := c.(*ast.CaseClause)
				for _, cond := range clause.List {
					if leaves(clause.Body) {
						f.either(cond, "", token.LOR)
					}
				}
			}
		}
		return true
	})
}

func (f *finder) block(list []ast.Stmt) {
	for i, s := range list {
		switch x := s.(type) {
		case *ast.IfStmt:
			if !leaves(x.Body.List) {
				continue
			}
			before := ""
			if x.Init != nil {
				before = f.text(x.Init) + "; "
			} else if i > 0 && f.text(x.Cond) == "err != nil" { // whose error it is
				before = f.text(list[i-1]) + "; "
			}
			f.either(x.Cond, before, token.LOR)
		case *ast.ReturnStmt:
			for _, r := range x.Results {
				if b, ok := r.(*ast.BinaryExpr); ok && (b.Op == token.LAND || b.Op == token.LOR || b.Op == token.EQL || b.Op == token.LSS) {
					f.either(r, "return ", token.LAND)
				}
			}
		}
	}
}

// leaves reports a branch that ends by leaving the function, or the round of a loop.
func leaves(body []ast.Stmt) bool {
	if len(body) == 0 {
		return false
	}
	switch x := body[len(body)-1].(type) {
	case *ast.ReturnStmt:
		return true
	case *ast.BranchStmt:
		return x.Tok == token.CONTINUE
	}
	return false
}

// either takes each operand of a chain of one operator for a guard of its own: without
// it a part of an "or" is false, and one of an "and" is true.
func (f *finder) either(e ast.Expr, before string, op token.Token) {
	if b, ok := e.(*ast.BinaryExpr); ok && b.Op == op {
		f.either(b.X, before, op)
		f.either(b.Y, before, op)
		return
	}
	lead := "(guardOff != %d && ("
	if op == token.LAND {
		lead = "(guardOff == %d || ("
	}
	f.add(e, before+f.text(e), lead, "))")
}
