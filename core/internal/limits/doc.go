// SPDX-License-Identifier: Apache-2.0

// Package limits holds every rate-limit policy of core by name. pkg/limits
// asks them; this package says what is limited, how much, and what happens when the
// counters cannot be asked.
package limits
