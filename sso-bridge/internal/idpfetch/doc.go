// SPDX-License-Identifier: Apache-2.0

// Package idpfetch reads the addresses at which SAML identity providers publish their
// metadata, through the one guarded client and behind the circuit of each connection. What
// an answer means is the business of package idpsource, which knows no HTTP.
package idpfetch
