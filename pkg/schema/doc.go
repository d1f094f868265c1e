// SPDX-License-Identifier: Apache-2.0

// Package schema brings a database to the tables that a service needs and tells how the
// two fit.
package schema
