// SPDX-License-Identifier: Apache-2.0

package idpsource

// Status is how the metadata of one address stands.
type Status struct {
	Current *Version // nil before the first load
	Pending *Version // nil when nothing waits; its Diff says what it would change
	// Failure says why the last try failed, in a sentence; empty after a good one. Of a
	// first load only this process knows.
	Failure string
}
