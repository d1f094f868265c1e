// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/pkg/config"
)

const reference = "../../../docs/config.md"

// docs/config.md is generated: UPDATE=1 go test -run Reference ./core/internal/app
func TestTheConfigurationReferenceIsUpToDate(t *testing.T) {
	defaults := app.Defaults()
	var b strings.Builder
	b.WriteString(`# Configuration of core

Generated from the code; a test compares the two. Sources, the last wins: ` + "`core.yaml`" + ` (keys in lower case; ` + "`--config`" + `
names another file), the environment, flags (` + "`--listen`" + ` for ` + "`LISTEN`" + `). A secret has no flag; it is also read from the file
that ` + "`KEY_FILE`" + ` names, such as ` + "`SECRET_KEY_FILE`" + `. An unknown key of the file and every bad value fail the start, all listed
at once; ` + "`core config check`" + ` does the same without starting, ` + "`core config print`" + ` shows what holds.

| Key | Default | Type | What it does |
| --- | --- | --- | --- |
`)
	for _, f := range config.Fields(&defaults) {
		value := "empty"
		if f.Value != "" {
			value = "`" + f.Value + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Key, value, f.Type, f.Doc)
		if f.Doc == "" {
			t.Errorf("%s has no description", f.Key)
		}
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(reference, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	if string(content) != b.String() {
		t.Error("docs/config.md is out of date: UPDATE=1 go test -run Reference ./core/internal/app")
	}
}
