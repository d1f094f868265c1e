// SPDX-License-Identifier: Apache-2.0

// Package canon forms the canonical spelling of foreign values once, at the
// boundary: e-mail addresses, user codes, device labels and ids. Nothing past the
// boundary normalises again.
package canon
