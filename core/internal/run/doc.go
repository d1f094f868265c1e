// SPDX-License-Identifier: Apache-2.0

// Package run has apps run: it asks an app's runtime for the work in the name of a caller,
// watches the events that come back, and stops the work that nobody waits for any more.
// What carries the work out is an interface of this package; package serviceapi speaks to
// runtimes over HTTP, package echo is one in this process.
package run
