// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"time"

	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// ErrNotEmbedded: what a command asks is for installations that are kept in DATA_DIR.
var ErrNotEmbedded = fault.New(fault.Conflict, "not_embedded", "This installation is kept in Postgres, and nothing was done.").
	Hinted("Copy it with pg_dump, and its keys apart from that (docs/operating/fleet.md).")

// SecretKey is what became of SECRET_KEY.
type SecretKey struct {
	// Changed is false when there was nothing to do.
	Changed bool `json:"changed"`
	// Restart: the process that serves goes on with the former key until it is restarted.
	Restart bool `json:"restart_needed"`
	// Previous is the file with the former key; empty where core does not keep it.
	Previous string `json:"previous_file,omitempty"`
}

// SealingKey is what became of the sealing key.
type SealingKey struct {
	// Key is the id of the key that seals, Others those of the keys that open too.
	Key    string   `json:"key_id"`
	Others []string `json:"other_key_ids"`
	// New: the key was drawn now.
	New     bool                    `json:"new"`
	Columns []installation.Resealed `json:"columns"`
}

// Snapshot is a copy of an installation in a directory beside it. Who has asked for it
// takes it away.
type Snapshot struct {
	Dir     string    `json:"dir"`
	Files   []string  `json:"files"`
	Schema  int64     `json:"schema"`
	Version string    `json:"version"`
	MadeAt  time.Time `json:"made_at"`
}
