// SPDX-License-Identifier: Apache-2.0

// Package oauth2rp signs people in at OAuth 2.0 providers that have no OpenID Connect: an
// authorization code (RFC 6749 section 4.1) with PKCE (RFC 7636), and a profile that the
// access token opens. Addresses are configuration, never discovery; the subject is the
// provider's permanent id, never a name or an address that somebody else may get later.
// The profile's form is the one thing that differs: generic, GitHub's, GitLab's.
package oauth2rp
