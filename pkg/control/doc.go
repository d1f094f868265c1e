// SPDX-License-Identifier: Apache-2.0

// Package control brings what a command asks to the process that serves the data
// directory, over a Unix socket in that directory. The socket's mode is the credential:
// whoever may open it may read the database beside it as well. It never listens on a
// network.
//
// The protocol is HTTP with JSON bodies, POST /v1/OPERATION, and failures in the shape
// of the public API. Both sides are of this repository, yet often not of one version: a
// client asks first who serves and what it can do.
package control
