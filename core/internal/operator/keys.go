// SPDX-License-Identifier: Apache-2.0

package operator

import "github.com/dify-sso/dify-sso/core/internal/installation"

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
