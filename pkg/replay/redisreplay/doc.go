// SPDX-License-Identifier: Apache-2.0

// Package redisreplay remembers in Redis which messages were used, for processes that
// share it.
package redisreplay
