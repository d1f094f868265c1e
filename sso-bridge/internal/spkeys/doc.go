// SPDX-License-Identifier: Apache-2.0

// Package spkeys owns the keys with which a connection signs its SAML requests: made at
// the first need, staged, promoted and retired by an administrator, never by themselves.
// Private keys are sealed; a store sees no other form of them.
package spkeys
