// SPDX-License-Identifier: Apache-2.0

package operator

import "time"

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

	Settings []BundleSetting `json:"settings"`
	Warnings int             `json:"warnings"` // how many the settings gave
	Checks   []BundleCheck   `json:"checks"`
	Schema   BundleSchema    `json:"schema"`
	// Events are the newest of the audit trail, by time and name alone.
	Events []BundleEvent `json:"events"`
}

// BundleSetting is a setting, with its value only where that is a number, a duration, a
// switch or one of a few words.
type BundleSetting struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
	// Given: it differs from the default.
	Given bool `json:"given"`
}

// BundleCheck is the answer of a store to "are you there".
type BundleCheck struct {
	Name   string `json:"name"`
	Answer string `json:"answer"`
}

// BundleSchema are versions of the database's schema.
type BundleSchema struct {
	Database int64 `json:"database"`
	Program  int64 `json:"program"`
}

// BundleEvent is an audit event without what it tells.
type BundleEvent struct {
	At    time.Time `json:"at"`
	Event string    `json:"event"`
}
