// SPDX-License-Identifier: Apache-2.0

// Package testserver gives tests real servers: a fresh database on Postgres, a key
// prefix of their own on Redis, and Redis processes to stop, fail over and cluster.
// What answers on this machine is used; what does not is started from its binaries.
// It is imported from tests alone.
package testserver
