// SPDX-License-Identifier: Apache-2.0

// Package access ends access: of a person or a connection (a kill), of an account
// whose status changes, of one session by an administrator, and of whatever else a
// person is signed in to when they change their password. Each is one transaction over
// tokens, browsers and epochs, so that no approval outlives it; the tombstones of what
// ended follow its commit. Routes and commands share this one service, hence a command
// writes the same rows, events and tombstones as a route.
package access
