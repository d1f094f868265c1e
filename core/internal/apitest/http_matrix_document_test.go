// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const mxHeading = `# Who is answered what

Every route of the public listener with every caller, as ` + "`TestEveryRouteForEveryCaller`" + ` asks them (` + "`UPDATE=1 go test -run MatrixDocument ./core/internal/apitest`" + ` writes
this file). A cell is the status and, where a guard of the route refuses, its code. The request of a row is one that the fitting caller is served, or that fails for
a reason of its own: a code or an id that nobody knows, an installation that is set up already. From "owner" on callers bring a bearer: four live ones, then tokens of a
banned account, revoked and expired ones, the kinds that this edition does not serve, and garbage; "external" is a live token of a person without
an account, on the Enterprise Edition, who names an app that is for them, and then one that is not. An app that the others name is one that every member of its workspace may
run, which "no member" is not; an app or a workspace that does not exist answers alike. Where a route takes a bearer, a cookie counts for nothing, and the reverse.

A GET row answers HEAD alike, without a body, unless it answers with events. Rows of permitted-external-apps exist in the Enterprise Edition alone. Every method that a path has no row for draws 405 for every caller, with the path's methods in Allow; a preflight does too while
no origin is listed.

`

// The document for readers is computed from the same rules as the test, and cannot lag behind.
func TestMatrixDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString(mxHeading)
	b.WriteString("| route | class |")
	for _, who := range mxCallers {
		b.WriteString(" " + who.name + " |")
	}
	b.WriteString("\n| --- | --- |" + strings.Repeat(" --- |", len(mxCallers)) + "\n")
	for _, route := range mxRoutes() {
		key := route.Method + " " + route.Path
		b.WriteString("| `" + key + "` | " + route.Caller + " |")
		for _, who := range mxCallers {
			word := mxWant(t, route, mxLine(t, route), who)
			b.WriteString(strings.TrimRight(" "+htItoa(word.status)+" "+word.code, " ") + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n| path | Allow |\n| --- | --- |\n")
	seen := map[string]bool{}
	for _, route := range mxRoutes() {
		if !seen[route.Path] {
			b.WriteString("| `" + route.Path + "` | " + strings.Join(mxTaken(mxRoutes())[route.Path], ", ") + " |\n")
		}
		seen[route.Path] = true
	}
	path := filepath.Join("..", "..", "..", "docs", "reference", "matrix.md")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != b.String() {
		t.Errorf("docs/reference/matrix.md is out of date (%v): UPDATE=1 go test -run MatrixDocument ./core/internal/apitest", err)
	}
}
