// SPDX-License-Identifier: Apache-2.0

// Command bench measures core against bare floors: servers that do nothing but the
// store trip that a path cannot do without. Floor and path alternate in one run, so
// that what the machine does meanwhile meets both; rates are given as ratios alone,
// and CPU time per request is read from the processes. No test judges a time.
//
// The consumer service of sso-bridge is measured by the benchmark beside it, against the
// library's bare reading of the same message.
//
// It starts everything itself and needs Linux: the built core, the floors (this same
// program), and for the second part a Postgres and a Redis of its own.
package main
