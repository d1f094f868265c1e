// SPDX-License-Identifier: Apache-2.0

// Package servertest is a server to test clients against: the device authorization grant
// and the account routes as docs/specs/v1.0/server describes them, on the clock of a
// test, with a person who decides after a set time and with faults on demand. Only
// tests import it.
package servertest
