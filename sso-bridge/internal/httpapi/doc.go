// SPDX-License-Identifier: Apache-2.0

// Package httpapi is the bridge's public listener: the start of a login, the addresses
// that identity providers answer to, and the pages that explain a failure or a test. It
// reads requests and writes answers; package login decides. A route without a row of its
// table does not exist.
package httpapi
