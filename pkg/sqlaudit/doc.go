// SPDX-License-Identifier: Apache-2.0

// Package sqlaudit keeps the audit stream of a service in a table of its database: it
// appends and reads. What deletes is each service's own, for a server has none of it.
package sqlaudit
