// SPDX-License-Identifier: Apache-2.0

// Package sqlseal seals the sealed columns of a database anew, so that a former sealing
// key can be thrown away.
package sqlseal
