// SPDX-License-Identifier: Apache-2.0

// Package sqldb is the one seam over the SQL engines: the same statements and the
// same repository code on each of them. It owns connections, transactions, the
// conversion of times and the classification of driver errors; it owns no
// statement.
//
// The embedded engine is SQLite: one writer and several readers on one file. The one
// that a fleet shares is Postgres: a pool of native connections.
package sqldb
