// SPDX-License-Identifier: Apache-2.0

// Package storetest holds the contract of every store interface as a suite that each
// backend runs, and the stores that tests of services stand on. Imported from tests alone.
package storetest
