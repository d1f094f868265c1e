// SPDX-License-Identifier: Apache-2.0

// Package storetest holds the contract of every store interface as a suite that
// each backend runs, and a fault injector that makes any store fail, hang or lose
// its reply at a chosen call. Imported from tests alone.
package storetest
