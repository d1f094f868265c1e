// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"time"

	"github.com/dify-sso/dify-sso/pkg/bundle"
)

// Bundle is what an operator may hand to somebody who helps. It is an allow-list: nothing
// is in it that has no member here, so no environment, no memory, no log line, no name or
// address of a person.
type Bundle struct {
	Format  int       `json:"format"`
	MadeAt  time.Time `json:"made_at"`
	Version string    `json:"version"`
	Go      string    `json:"go"`
	System  string    `json:"system"` // operating system and architecture
	Edition string    `json:"edition"`
	// Embedded: kept in DATA_DIR, not in Postgres.
	Embedded bool `json:"embedded"`
	// Serving is whether the process that answered serves, and since when.
	Serving    bool      `json:"serving"`
	Since      time.Time `json:"since"`
	Goroutines int       `json:"goroutines"`
	HeapBytes  uint64    `json:"heap_bytes"`

	Settings []bundle.Setting `json:"settings"`
	Warnings int              `json:"warnings"` // how many the settings gave
	Checks   []bundle.Check   `json:"checks"`
	Schema   bundle.Schema    `json:"schema"`
	// Events are the newest of the audit trail, by time and name alone.
	Events []bundle.Event `json:"events"`
	// Doctor is what "core doctor" has found, by check and status alone. The command adds
	// it, from where it runs.
	Doctor []bundle.Finding `json:"doctor"`
}
