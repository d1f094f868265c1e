// SPDX-License-Identifier: Apache-2.0

// Package jobs is the background work that no request waits for: today the sweeps
// of what is kept in process. Expiry never depends on it; it only frees memory.
package jobs
