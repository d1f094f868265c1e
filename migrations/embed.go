// SPDX-License-Identifier: Apache-2.0

package migrations

import "embed"

// Core holds the schema of the core service: core/postgres and core/sqlite,
// with the same numbers in both folders.
//
//go:embed core/postgres/*.sql core/sqlite/*.sql
var Core embed.FS

// Bridge holds the schema of sso-bridge in the same way: bridge/postgres and
// bridge/sqlite.
//
//go:embed bridge/postgres/*.sql bridge/sqlite/*.sql
var Bridge embed.FS
