// SPDX-License-Identifier: Apache-2.0

// Package memstore keeps what is short-lived in process: the embedded default.
// Its promises are those of every other backend, see package storetest; what it
// holds does not survive the process.
package memstore
