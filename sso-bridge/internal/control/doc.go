// SPDX-License-Identifier: Apache-2.0

// Package control brings the operations of package operator to the process that serves:
// their names on the wire, and the client that calls them.
package control
