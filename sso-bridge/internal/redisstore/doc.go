// SPDX-License-Identifier: Apache-2.0

// Package redisstore implements the short-lived store on Redis, for replicas that share
// it. Every step is one command or one script on one key, sent once; entries end by
// Redis's clock, and a value that is not ours counts as missing.
package redisstore
