// SPDX-License-Identifier: Apache-2.0

// Package redisdb is the one seam over Redis: a single server, one behind Sentinel, or
// a cluster, by configuration. It owns connections, time-outs, the prefix and hash tag
// of every key, and the rule that nothing is sent twice in silence; it owns no key
// name and no script.
package redisdb
