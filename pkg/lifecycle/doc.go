// SPDX-License-Identifier: Apache-2.0

// Package lifecycle starts background workers together and stops them together.
package lifecycle
