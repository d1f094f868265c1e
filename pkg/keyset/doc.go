// SPDX-License-Identifier: Apache-2.0

// Package keyset reads the file of secrets that core and sso-bridge share, derives one
// key for each audience from them, and swaps one set for another while messages are
// signed and verified. What is signed is package envelope's matter.
package keyset
