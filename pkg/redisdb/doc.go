// SPDX-License-Identifier: Apache-2.0

// Package redisdb is the one seam over Redis: a single server, one behind Sentinel, or
// a cluster, by configuration. It owns connections, time-outs, the prefix and hash tag
// of every key, and the rule that nothing is sent twice in silence; it owns no key
// name and no script.
//
// go-redis is held at 9.20: from 9.22 on its automatic pipelines keep a method for every
// command there is in the program, which makes it 2 to 3 MB larger.
package redisdb
