// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"cmp"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
)

// Both documents are generated: UPDATE=1 go test -run Reference ./sso-bridge/internal/app
func compareReference(t *testing.T, name, want string) {
	t.Helper()
	path := "../../../docs/reference/" + name
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("docs/reference/%s is out of date; make reference writes it anew", name)
	}
}

func TestTheConfigurationReferenceIsUpToDate(t *testing.T) {
	defaults := app.Defaults()
	var b strings.Builder
	b.WriteString(`# Configuration of sso-bridge

Generated from the code; a test compares the two. Sources, the last wins: ` + "`sso-bridge.yaml`" + ` (keys in lower case; ` + "`--config`" + `
names another file), the environment, flags (` + "`--listen`" + ` for ` + "`LISTEN`" + `). A secret has no flag; it is also read from the file
that ` + "`KEY_FILE`" + ` names, such as ` + "`SECRET_KEY_FILE`" + `. An unknown key of the file and every bad value fail the start, all listed
at once; ` + "`sso-bridge config check`" + ` does the same without starting, ` + "`sso-bridge config print`" + ` shows what holds.

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
	compareReference(t, "sso-bridge-config.md", b.String())
}

func TestTheAuditReferenceIsUpToDate(t *testing.T) {
	kinds := app.AuditKinds()
	slices.SortFunc(kinds, func(a, b audit.Kind) int { return cmp.Compare(a.Of.EventName(), b.Of.EventName()) })
	var b strings.Builder
	b.WriteString("# Audit events of sso-bridge\n\nGenerated from the code; a test compares the two. `sso-bridge audit list` shows events. The members of every event are those of\n" +
		"[core's](audit-events.md); people are known by a hash alone, and `attempt` is the reference that a person read.\n\n| Event | When | Own fields |\n| --- | --- | --- |\n")
	seen := map[string]bool{}
	for _, k := range kinds {
		name := k.Of.EventName()
		if seen[name] {
			t.Errorf("%s is in the list twice", name)
		}
		seen[name] = true
		if k.When == "" || strings.Contains(k.When, "|") {
			t.Errorf("%s has no description, or one that breaks the table", name)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, k.When, strings.Join(members(reflect.TypeOf(k.Of)), ", "))
	}
	compareReference(t, "sso-bridge-audit-events.md", b.String())
}

// members names what a value encodes to; one that may be absent is marked.
func members(of reflect.Type) (names []string) {
	for i := range of.NumField() {
		name, options, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		name = "`" + name + "`"
		if strings.Contains(options, "omitempty") {
			name += "?"
		}
		names = append(names, name)
	}
	return names
}
