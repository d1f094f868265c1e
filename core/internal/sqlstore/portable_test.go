// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	{"a boolean as a number", regexp.MustCompile(`(?i)\b(current|remember|deployment_admin)\s*=\s*[01]\b`)},
	{"an identifier in quotes", regexp.MustCompile("\"|`")},
}

// isSQL tells statements and their parts from other texts of a source file.
var isSQL = regexp.MustCompile(`(?s)^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|RETURNING|WHERE|ORDER|FROM|AND)\b|\b(FROM|WHERE|RETURNING|VALUES|LIMIT) |\w+\.\w+ (=|IS)|^\w+(\.\w+)?, \w|\$[0-9]`)

// statements gives the SQL of a source file: each text, and each sum of texts whose
// other parts are taken as "…".
func statements(t *testing.T, path string) (found map[string]string) {
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

func TestOneSQLTextServesEveryEngine(t *testing.T) {
	var files []string
	for _, place := range []string{"", "../../../pkg/sqlaudit/", "../../../pkg/sqllease/"} {
		found, err := filepath.Glob(place + "*.go")
		if err != nil || len(found) == 0 {
			t.Fatal(place, found, err)
		}
		files = append(files, found...)
	}
	n := 0
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
	if n < 25 {
		t.Fatalf("%d statements found: is the search broken?", n)
	}
}

// Audit rows are appended and never changed; the one statement that deletes them is
// that of core audit prune, and a server has no way to it.
func TestOnlyThePruningOfAuditTouchesAuditRows(t *testing.T) {
	t.Run("LOG-04 one statement deletes audit rows, none changes them, one caller has it", func(t *testing.T) {
		var touching, naming []string
		for _, root := range []string{"../..", "../../../pkg"} {
			err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
				if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
					return err
				}
				if strings.Contains(path, "storetest") { // which no program contains
					return nil
				}
				src, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				for range touches(string(src)) {
					touching = append(touching, filepath.Base(path))
				}
				if strings.Contains(string(src), "AuditPrune{") {
					naming = append(naming, filepath.Base(path))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if want := []string{"prune.go"}; !slices.Equal(touching, want) {
			t.Errorf("audit rows are touched in %v, want %v", touching, want)
		}
		// Where it is defined, and where the command gets it.
		slices.Sort(naming)
		if want := []string{"auditprune.go", "prune.go"}; !slices.Equal(naming, want) {
			t.Errorf("made in %v, want %v", naming, want)
		}
		src, err := os.ReadFile("prune.go")
		if err != nil {
			t.Fatal(err)
		}
		if got := touches(string(src)); len(got) != 1 || !strings.HasPrefix(got[0], "DELETE FROM") {
			t.Errorf("prune.go: %q", got)
		}
	})
}

// auditTouch finds a statement that changes or deletes rows of the audit stream.
var auditTouch = regexp.MustCompile(`(?is)\b(UPDATE|DELETE\s+FROM|TRUNCATE(\s+TABLE)?|ALTER\s+TABLE|DROP\s+TABLE|REPLACE\s+INTO|MERGE\s+INTO)\s+(ONLY\s+)?(public\.)?audit_events\b` +
	"|\\bINTO\\s+audit_events\\b[^;\"`]*?\\bON\\s+CONFLICT\\b")

func touches(src string) []string { return auditTouch.FindAllString(src, -1) }

func TestTheSearchFindsEachDialect(t *testing.T) {
	for _, sql := range []string{
		"SELECT id FROM t WHERE id = ?", "SELECT id FROM t WHERE id = :id", "SELECT id FROM t WHERE name LIKE $1", "SELECT id FROM t WHERE name ilike $1",
		"UPDATE t SET at = now()", "UPDATE t SET at = CURRENT_TIMESTAMP", "SELECT id FROM t WHERE id = ANY($1)", "SELECT id FROM t WHERE id = ANY ($1::text[])",
		"DELETE FROM t WHERE at < $1 LIMIT 500", "SELECT id FROM t FOR UPDATE", "SELECT id FROM t FOR UPDATE SKIP LOCKED", "SELECT * FROM t", "SELECT t.* FROM t",
		"INSERT OR IGNORE INTO t (id) VALUES ($1)", "INSERT INTO t (id) VALUES ($1) RETURNING *", "SELECT rowid FROM t", "SELECT id FROM t WHERE current = 1",
		`SELECT "id" FROM t`, "SELECT gen_random_uuid()", "INSERT INTO t (id) VALUES ($1) ON CONFLICT DO NOTHING",
	} {
		if len(problems(sql)) == 0 {
			t.Errorf("passed: %s", sql)
		}
		if !isSQL.MatchString(sql) {
			t.Errorf("not taken for SQL: %s", sql)
		}
	}
	for _, sql := range []string{"DELETE FROM t WHERE id IN (SELECT id FROM t WHERE at < $1 LIMIT 500)", "SELECT count(*) FROM t", "INSERT INTO t (id) VALUES ($1) ON CONFLICT (id) DO NOTHING"} {
		if got := problems(sql); len(got) > 0 {
			t.Errorf("%s: %v", sql, got)
		}
	}
	for sql, want := range map[string]bool{
		"UPDATE audit_events SET at = $1": true, "delete from\n audit_events": true, "INSERT INTO audit_events (id) VALUES ($1)": false,
		"INSERT INTO audit_events (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET at = $2": true, "SELECT id FROM audit_events": false,
	} {
		if got := len(touches(sql)) > 0; got != want {
			t.Errorf("%s: %t", sql, got)
		}
	}
	src := "package x\nconst a = `id, name`\nfunc f() { q(`SELECT `+a+` FROM t WHERE id = `+b, \"some text\") }"
	path := filepath.Join(t.TempDir(), "x.go")
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, sql := range statements(t, path) {
		got = append(got, sql)
	}
	slices.Sort(got)
	if want := []string{"SELECT  …  FROM t WHERE id =  … ", "id, name"}; !slices.Equal(got, want) {
		t.Errorf("found %q", got)
	}
}
