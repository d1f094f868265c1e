// SPDX-License-Identifier: Apache-2.0

// Package deviceauth signs a command-line program in by the device authorization
// grant (RFC 8628), on the standard library alone.
package deviceauth
