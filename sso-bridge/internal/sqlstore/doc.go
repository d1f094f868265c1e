// SPDX-License-Identifier: Apache-2.0

// Package sqlstore keeps what is durable: the installation's row, connections with their
// revisions, domains and issuers, messages for core, login attempts and the audit
// stream. One SQL text serves every engine behind pkg/sqldb: numbered placeholders, ids
// and times made in Go, no engine's own dialect. One file per aggregate, each statement
// beside its method. Stores never authorize.
package sqlstore
