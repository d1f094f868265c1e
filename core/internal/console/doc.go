// SPDX-License-Identifier: Apache-2.0

// Package console owns browser sessions: sign-in by password, rotation, both
// expiries, sign-out, the CSRF token and the rules on where a write may come from.
// It knows cookies as values, not as headers; package httpapi carries them.
package console
