// SPDX-License-Identifier: Apache-2.0

// Package trace notes what becomes of one request: who asked, how often stores and others were
// asked for it and how long that took. The request's line in the log tells of it, and with
// tracing on a span of each trip (docs/operating/tracing.md). It holds no argument, address with
// a query, header or body.
package trace
