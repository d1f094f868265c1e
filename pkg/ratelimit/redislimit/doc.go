// SPDX-License-Identifier: Apache-2.0

// Package redislimit counts in Redis what package ratelimit counts in memory: the same
// algorithm in one script, for processes that share a limit. Its Lua is exported, so
// that a script that does more than count does it in the same trip.
package redislimit
