// SPDX-License-Identifier: Apache-2.0

// Package identity turns what a provider has said, out of verified bytes, into an
// identity: issuer and subject id as the only key, which e-mail to believe, and who is
// admitted. It knows no protocol.
//
// One walk judges. Map takes its first refusal; Explain gives every check of it, for the
// page of a connection test, so that the page cannot say anything else than a login
// does.
package identity
