// SPDX-License-Identifier: Apache-2.0

// Package sso is core's half of a device login through a company's identity provider:
// it begins the login at the bridge, believes or refuses what comes back, and lets the
// person who came back decide about one device. Identity providers are the bridge's
// matter, grants are package devicegrant's, tokens package token's.
//
// Nothing is approved by coming back (docs/specs/v1.0/server/sso.md): Complete hands out
// an approval grant, and Decide alone moves the device grant.
package sso
