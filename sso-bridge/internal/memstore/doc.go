// SPDX-License-Identifier: Apache-2.0

// Package memstore implements the short-lived store in the process, for a bridge that
// has no Redis: what is in it ends with the process. It is bounded, and full rather than
// forgetful.
package memstore
