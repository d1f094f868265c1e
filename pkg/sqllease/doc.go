// SPDX-License-Identifier: Apache-2.0

// Package sqllease keeps the leases of background jobs in a table of the service's
// database.
package sqllease
