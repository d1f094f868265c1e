// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/sqltest"
)

func TestOneSQLTextServesEveryEngine(t *testing.T) {
	sqltest.Portable(t, 25, ".", "../../../pkg/sqlaudit", "../../../pkg/sqllease", "../../../pkg/sqlseal")
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

func TestTheSearchFindsWhatTouchesAuditRows(t *testing.T) {
	for sql, want := range map[string]bool{
		"UPDATE audit_events SET at = $1": true, "delete from\n audit_events": true, "INSERT INTO audit_events (id) VALUES ($1)": false,
		"INSERT INTO audit_events (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET at = $2": true, "SELECT id FROM audit_events": false,
	} {
		if got := len(touches(sql)) > 0; got != want {
			t.Errorf("%s: %t", sql, got)
		}
	}
}
