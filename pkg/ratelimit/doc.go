// SPDX-License-Identifier: Apache-2.0

// Package ratelimit limits by the generic cell rate algorithm: one counter, the
// theoretical arrival time, per policy and scope. Checking and counting are one step
// of the store, so that callers at once never exceed a limit. Which policies exist is
// a service's business.
package ratelimit
