// SPDX-License-Identifier: Apache-2.0

// Package control names what core's commands ask of the process that serves, on the way
// of pkg/control: the operations that a server takes, and a client that asks for them.
package control
