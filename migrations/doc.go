// SPDX-License-Identifier: Apache-2.0

// Package migrations holds the SQL schema of each service, one folder per
// engine, and nothing that runs it: pkg/schema applies the files.
package migrations
