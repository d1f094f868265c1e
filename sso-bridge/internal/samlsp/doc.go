// SPDX-License-Identifier: Apache-2.0

// Package samlsp is a SAML 2.0 service provider: requests and metadata by crewjam/saml,
// answers by a strict reader of its own, which reads on from verified bytes alone. It
// keeps nothing: the provider's metadata is of package idpmetadata, our keys of spkeys,
// attempts of login.
//
// The reader's rules are numbered as in docs/specs/v1.0/server/sso.md, Strict reader.
package samlsp
