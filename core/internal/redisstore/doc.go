// SPDX-License-Identifier: Apache-2.0

// Package redisstore implements the short-lived stores on Redis: grants of the device
// flow, and what is known of bearers. Every move is one script on keys of one hash tag,
// so that a cluster serves it; a value that is not ours counts as missing.
package redisstore
