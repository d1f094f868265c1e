// SPDX-License-Identifier: Apache-2.0

// Package envelope signs and verifies the messages in which core and sso-bridge meet:
// compact JWS (RFC 7515) of one algorithm, a derived key for each audience. It owns
// their form; which of them a service makes or believes is the service's matter.
package envelope
