// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/pkg/audit"
)

const auditReference = "../../../docs/reference/audit-events.md"

// docs/reference/audit-events.md is generated: UPDATE=1 go test -run AuditReference ./core/internal/app
func TestTheAuditReferenceIsUpToDate(t *testing.T) {
	kinds := app.AuditKinds()
	slices.SortFunc(kinds, func(a, b audit.Kind) int { return cmp.Compare(a.Of.EventName(), b.Of.EventName()) })
	var b strings.Builder
	b.WriteString("# Audit events\n\nGenerated from the code; a test compares the two. `core audit list` shows events, `core audit export` writes them as JSON lines.\n" +
		"Every event has these members; those marked ? are absent where there is nothing to say:\n\n" +
		"| Member | What it is |\n| --- | --- |\n" +
		"| `id` | UUID of the event, the same in the table and in the log |\n" +
		"| `at` | RFC 3339 in UTC, microseconds |\n" +
		"| `event` | a name of the table below |\n" +
		"| `actor_type`, `actor_id`? | who did it: `account` with the account's id, `anonymous`, `operator` (with `cli:` and the user's name for a command), `system` |\n" +
		"| `subject_key`? | whom it concerns: SHA-256 of an account's or an external subject's identity |\n" +
		"| `workspace_id`?, `token_id`? | the workspace and the session it concerns |\n" +
		"| `request_id` | of the request, as answers and log lines carry it |\n" +
		"| `ip`?, `user_agent`? | of the request |\n" +
		"| `fields` | an object with the own fields below |\n\n" +
		"| Event | When | Own fields |\n| --- | --- | --- |\n")
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
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, k.When, strings.Join(auditFields(reflect.TypeOf(k.Of)), ", "))
	}
	b.WriteString("\nNo event holds a token, a code, a cookie, a password or a key.\n")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(auditReference, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(auditReference)
	if err != nil {
		t.Fatal(err)
	}
	if string(content) != b.String() {
		t.Error("docs/reference/audit-events.md is out of date: UPDATE=1 go test -run AuditReference ./core/internal/app")
	}
}

// auditFields describes the members that a value encodes to.
func auditFields(of reflect.Type) (fields []string) {
	for i := range of.NumField() {
		f := of.Field(i)
		if f.Anonymous && f.Tag.Get("json") == "" {
			fields = append(fields, auditFields(f.Type)...)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		maybe := ""
		if strings.Contains(options, "omitempty") {
			maybe = "?"
		}
		fields = append(fields, fmt.Sprintf("`%s`%s %s", name, maybe, auditType(f.Type)))
	}
	return fields
}

func auditType(of reflect.Type) string {
	switch {
	case of == reflect.TypeFor[time.Time]():
		return "time"
	case of.Kind() == reflect.Int:
		return "number"
	default:
		return of.Kind().String()
	}
}

var (
	auditMethod = regexp.MustCompile(`\) EventName\(\) string`)
	auditNamed  = regexp.MustCompile(`\) EventName\(\) string \{ return "([a-z_.]+)" \}`)
)

// An event that the code can write and nobody has described is found in the sources.
func TestEveryAuditEventIsInTheList(t *testing.T) {
	listed := map[string]bool{}
	for _, k := range app.AuditKinds() {
		listed[k.Of.EventName()] = true
	}
	found := 0
	for _, root := range []string{"../../../core", "../../../pkg"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && (d.Name() == "storetest" || d.Name() == "node_modules") {
				return cmp.Or(err, fs.SkipDir)
			}
			if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			names := auditNamed.FindAllStringSubmatch(string(source), -1)
			if len(names) != len(auditMethod.FindAll(source, -1)) {
				t.Errorf("%s: an event's name is a literal on the line of its method", path)
			}
			for _, n := range names {
				if found++; !listed[n[1]] {
					t.Errorf("%s: %s is not in AuditKinds of its package", path, n[1])
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found != len(listed) {
		t.Errorf("%d events in the sources, %d in the list", found, len(listed))
	}
}
