// SPDX-License-Identifier: Apache-2.0

// Package httpapi carries core over HTTP: the route table, the guards that a row
// names, one file per family of endpoints. Handlers parse, call and render; they
// decide nothing that a domain package could.
package httpapi
