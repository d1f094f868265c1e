// SPDX-License-Identifier: Apache-2.0

// Package replay remembers, in the memory of one process, the ids of messages that are
// good once (envelope.Replay); package redisreplay does so for several processes, and
// package replaytest says what both promise.
package replay
