// SPDX-License-Identifier: Apache-2.0

// Package attacktest builds SAML responses as providers sign them, and every mutation of
// them that docs/specs/v1.0/server/security.md names.
package attacktest
