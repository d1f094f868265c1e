// SPDX-License-Identifier: Apache-2.0

// Package fault is the one vocabulary of failures. It knows kinds, stable codes
// and texts that may be shown; it knows no transport: pkg/server maps a kind to
// an HTTP status and a body.
package fault
