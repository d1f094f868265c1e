// SPDX-License-Identifier: Apache-2.0

// Package seal encrypts values that a store keeps: AES-256-GCM with the key's id
// in front and the value's place (table, row, column) as associated data, so that
// a sealed value moved elsewhere does not open.
package seal
