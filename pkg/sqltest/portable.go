// SPDX-License-Identifier: Apache-2.0

package sqltest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// dialect is what one of the engines does not take, or takes otherwise.
var dialect = []struct {
	what  string
	found *regexp.Regexp
}{
	{"a placeholder of one engine", regexp.MustCompile(`\?|:\w+\b|@\w+`)},
	{"LIKE, whose case differs", regexp.MustCompile(`(?i)\bI?LIKE\b`)},
	{"GLOB or REGEXP", regexp.MustCompile(`(?i)\b(GLOB|REGEXP)\b|~\*?`)},
	{"the engine's clock", regexp.MustCompile(`(?i)\bnow\s*\(|\bCURRENT_(TIMESTAMP|TIME|DATE)\b|\b(strftime|datetime|julianday|unixepoch|clock_timestamp)\s*\(`)},
	{"the engine's chance", regexp.MustCompile(`(?i)\b(random|randomblob|gen_random_uuid|uuid_generate_v4)\s*\(`)},
	{"an array", regexp.MustCompile(`(?i)\b(ANY|ALL|ARRAY|unnest|json_each)\s*[\[(]|\[\]`)},
	{"a cast of one engine", regexp.MustCompile(`::`)},
	{"a row-locking clause", regexp.MustCompile(`(?i)\bFOR\s+(UPDATE|SHARE|NO\s+KEY)\b|\bSKIP\s+LOCKED\b`)},
	{"a bounded DELETE or UPDATE", regexp.MustCompile(`(?is)^\s*(DELETE|UPDATE)\b[^()]*\bLIMIT\b`)},
	{"all columns by a star", regexp.MustCompile(`(?i)\bSELECT\s+(\w+\.)?\*|\bRETURNING\s+\*`)},
	{"a conflict clause of one engine", regexp.MustCompile(`(?i)\bINSERT\s+OR\b|\bREPLACE\s+INTO\b|\bON\s+CONFLICT\s+DO\b`)},
	{"a hidden column", regexp.MustCompile(`(?i)\b(rowid|ctid|xmin)\b`)},
	{"a boolean as a number", regexp.MustCompile(`(?i)\b(current|remember|deployment_admin|listed|is_default)\s*=\s*[01]\b`)},
	{"an identifier in quotes", regexp.MustCompile("\"|`")},
}

// isSQL tells statements and their parts from other texts of a source file.
var isSQL = regexp.MustCompile(`(?s)^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|RETURNING|WHERE|ORDER|FROM|AND)\b|\b(FROM|WHERE|RETURNING|VALUES|LIMIT) |\w+\.\w+ (=|IS)|^\w+(\.\w+)?, \w|\$[0-9]`)

// statements gives the SQL of a source file: each text, and each sum of texts whose
// other parts are taken as "…".
func statements(t testing.TB, path string) (found map[string]string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found = map[string]string{}
	take := func(e ast.Expr) {
		if text := joined(e); isSQL.MatchString(text) {
			found[set.Position(e.Pos()).String()] = text
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.BinaryExpr:
			take(n)
			return false
		case *ast.BasicLit:
			take(n)
		}
		return true
	})
	return found
}

func joined(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, _ := strconv.Unquote(e.Value)
			return text
		}
		return ""
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return ""
		}
		return joined(e.X) + joined(e.Y)
	case *ast.ParenExpr:
		return joined(e.X)
	}
	return " … "
}

// problems gives what is wrong with a statement.
func problems(sql string) (out []string) {
	for _, d := range dialect {
		if m := d.found.FindString(sql); m != "" {
			out = append(out, d.what+": "+strings.TrimSpace(m))
		}
	}
	return out
}

// Portable reads the statements in the Go files of folders, tests left out, and fails the
// test for each that is not of every engine, or when there are fewer than least.
func Portable(t testing.TB, least int, folders ...string) {
	t.Helper()
	n := 0
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(folder, files, err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			for at, sql := range statements(t, path) {
				n++
				for _, p := range problems(sql) {
					t.Errorf("%s: %s\n%s", at, p, sql)
				}
			}
		}
	}
	if n < least {
		t.Fatalf("%d statements found: is the search broken?", n)
	}
}
