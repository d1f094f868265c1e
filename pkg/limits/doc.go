// SPDX-License-Identifier: Apache-2.0

// Package limits asks rate-limit policies by name. Each service names its own and says
// what happens to each when the counters cannot be asked; the counting itself is
// pkg/ratelimit.
package limits
