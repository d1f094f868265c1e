// SPDX-License-Identifier: Apache-2.0

// Package sqltest reads the statements of a storage package and says what only one of the
// engines would take. Imported from tests alone.
package sqltest
