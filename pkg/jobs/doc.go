// SPDX-License-Identifier: Apache-2.0

// Package jobs is the background work that no request waits for: the sweeps of what
// one process keeps in memory, and the deletion of rows that are over, done by one
// process of all that share a database. Expiry never depends on it; it only frees
// memory and disk.
package jobs
