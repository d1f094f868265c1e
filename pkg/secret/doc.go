// SPDX-License-Identifier: Apache-2.0

// Package secret holds values that refuse to be printed, compared or marshalled
// by accident, and the derivation of one key per purpose from a master secret.
package secret
