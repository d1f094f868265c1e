// SPDX-License-Identifier: Apache-2.0

// Package oidcrp is the relying party of OpenID Connect: discovery and keys of a
// provider, the authorization request, the exchange of a code, and the judgement of the
// ID token and of userinfo. It gives what verified bytes say; which e-mail is believed
// and who is admitted is the business of package identity, and the one use of a callback
// that of package login. It keeps no token of a provider.
package oidcrp
