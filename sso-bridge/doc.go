// SPDX-License-Identifier: Apache-2.0

// Package ssobridge is the place of the sso-bridge service: the sidecar that will
// speak SAML 2.0, OpenID Connect and OAuth 2.0 to identity providers. It is an empty
// shell until then.
package ssobridge
