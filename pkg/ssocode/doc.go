// SPDX-License-Identifier: Apache-2.0

// Package ssocode holds what a person is told when a company sign-in fails: the public
// codes, which alone stand in an address or a page, their sentences in both languages,
// and the reference that joins page, audit, log and trace. Which cause has which public
// code is each service's matter.
package ssocode
