// SPDX-License-Identifier: Apache-2.0

//go:build ignore

// Command schema brings the settings that the chart's values.schema.json knows by name up to date with the two
// generated documents of settings. "make chart-docs" runs it from the root of the repository:
//
//	go run deploy/helm/schema.go
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
)

const file = "deploy/helm/dify-sso/values.schema.json"

// components say where the settings of each stand, and which of them are no values because the chart sets them: from
// other values, or so that listeners, volumes and probes fit.
var components = []struct {
	definition, document string
	own                  []string
}{
	{"coreConfig", "docs/config.md", nil},
	{"bridgeConfig", "docs/reference/sso-bridge-config.md", []string{"CONSOLE_API_URL", "CONSOLE_WEB_URL", "CORE_INNER_URL"}},
}

var ours = []string{"LISTEN", "INNER_LISTEN", "DATA_DIR"}

// row is a setting of the table: key, default, type, and what it does.
var row = regexp.MustCompile("^\\| `([A-Z][A-Z0-9_]*)` \\| [^|]* \\| ([A-Za-z]+) \\| (.*) \\|$")

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var schema map[string]any
	if err := json.Unmarshal(content, &schema); err != nil {
		return err
	}
	for _, c := range components {
		document, err := os.ReadFile(c.document)
		if err != nil {
			return err
		}
		settings := properties(string(document), append(c.own, ours...))
		if len(settings) == 0 {
			return fmt.Errorf("%s has no settings", c.document)
		}
		schema["$defs"].(map[string]any)[c.definition] = map[string]any{
			"type": "object", "additionalProperties": false, "properties": settings,
		}
	}
	out, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(out, '\n'), 0o644) //nolint:gosec // a file of the repository
}

// properties gives the schema of each setting that may be a value. Secrets and files are none: those are mounted.
func properties(document string, own []string) map[string]any {
	out := map[string]any{}
	for line := range strings.Lines(document) {
		m := row.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil || m[2] == "secret" || strings.HasSuffix(m[1], "_FILE") || contains(own, m[1]) {
			continue
		}
		out[m[1]] = map[string]any{"$ref": "#/$defs/" + kind(m[2])}
	}
	return out
}

// kind is the shape that a value may have. Every setting may also be text, for that is what the environment is.
func kind(of string) string {
	switch of {
	case "bool":
		return "boolSetting"
	case "int":
		return "intSetting"
	case "list", "networks":
		return "listSetting"
	case "Duration":
		return "durationSetting"
	default:
		return "textSetting"
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
