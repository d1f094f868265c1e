// SPDX-License-Identifier: Apache-2.0

// Package identity turns what a provider has said, out of verified bytes, into an
// identity: issuer and subject id as the only key, which e-mail to believe, and who is
// admitted. It knows no protocol.
package identity
