// SPDX-License-Identifier: Apache-2.0

// Package idpmetadata reads what a SAML identity provider publishes of itself, under the
// strict scan, reduces it to what is used, and compares two readings. It fetches and keeps
// nothing; package idpsource does.
//
// The signature that a document may carry is not verified. It would have to be verified
// with a key that came some other way, and who can configure that key can configure the
// provider's. A document is trusted because of where it comes from: pasted by an
// administrator, or read over TLS from the address that one has configured, shown at the
// test and pinned from then on, so that a later document takes nothing away unasked.
package idpmetadata
