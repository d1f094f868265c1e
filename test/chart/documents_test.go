// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// setting is a row of a document of settings.
type setting struct{ key, value, kind string }

var settingRow = regexp.MustCompile("(?m)^\\| `([A-Z][A-Z0-9_]*)` \\| (?:`([^`]*)`|empty) \\| ([A-Za-z]+) \\|")

const (
	coreDocument   = "docs/config.md"
	bridgeDocument = "docs/reference/sso-bridge-config.md"
)

func settingsOf(t testing.TB, document string) map[string]setting {
	t.Helper()
	all := map[string]setting{}
	for _, row := range settingRow.FindAllStringSubmatch(read(t, filepath.Join(root(), document)), -1) {
		all[row[1]] = setting{row[1], row[2], row[3]}
	}
	if len(all) < 30 {
		t.Fatalf("%s has %d settings", document, len(all))
	}
	return all
}

// secretSettings are the settings of either service that no environment may have. The keys that seal, and the key
// set, are known by their files alone.
func secretSettings(t testing.TB) []string {
	t.Helper()
	names := []string{"SEALING_KEY", "KEYSET"}
	for _, document := range []string{coreDocument, bridgeDocument} {
		for _, s := range settingsOf(t, document) {
			if s.kind == "secret" {
				names = append(names, s.key)
			}
		}
	}
	return names
}

func read(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
