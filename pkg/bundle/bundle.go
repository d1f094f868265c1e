// SPDX-License-Identifier: Apache-2.0

// Package bundle has what the support bundles of both services share: parts that may be handed
// to anybody, and how a bundle is written.
package bundle

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/dify-sso/dify-sso/pkg/config"
)

// Finding is one of doctor's without its words, which may hold names and addresses.
type Finding struct {
	Check  string `json:"check"`
	Status string `json:"status"`
}

// Setting is a setting, with its value only where that is a number, a duration, a switch or one
// of a few words.
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
	// Given: it differs from the default.
	Given bool `json:"given"`
}

// Check is the answer of a store to "are you there".
type Check struct {
	Name   string `json:"name"`
	Answer string `json:"answer"`
}

// Schema are versions of the database's schema.
type Schema struct {
	Database int64 `json:"database"`
	Program  int64 `json:"program"`
}

// Event is an audit event without what it tells.
type Event struct {
	At    time.Time `json:"at"`
	Event string    `json:"event"`
}

// A bundle goes to strangers, so what it shows is listed: settings whose type has room for
// no name and no secret, and those texts that are a few words of ours. A prefix or a contact
// may look like a number and still be somebody's.
var (
	plainTypes = []string{"bool", "int", "Duration"}
	plainTexts = []string{"LOG_LEVEL", "LOG_FORMAT", "REDIS_MODE", "RATE_LIMITS", "OTEL_TRACES_SAMPLER_ARG"}
)

// Settings tells of settings what tells nothing of an installation's secrets and addresses.
// defaults are settings of the same type.
func Settings(given, defaults any) (list []Setting) {
	usual := map[string]string{}
	for _, f := range config.Fields(defaults) {
		usual[f.Key] = f.Value
	}
	for _, f := range config.Fields(given) {
		s := Setting{Key: f.Key, Given: f.Value != usual[f.Key]}
		if !f.Secret && (!s.Given || slices.Contains(plainTypes, f.Type) || slices.Contains(plainTexts, f.Key)) {
			s.Value = f.Value
		}
		list = append(list, s)
	}
	return list
}

// Write writes a bundle to a file that only its owner reads, and says so; or, where to is -, to
// standard output.
func Write(stdout io.Writer, to string, bundle any) error {
	content, err := json.MarshalIndent(bundle, "", "  ")
	if err != nil {
		return err
	}
	content = append(content, '\n')
	if to == "-" {
		_, err := stdout.Write(content)
		return err
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	_, err = fmt.Fprintf(stdout, "%s is written. Read it before you send it.\n", to)
	return err
}
