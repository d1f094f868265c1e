// SPDX-License-Identifier: Apache-2.0

// Package rotated follows docs/operating/keys.md under a load: every key is changed by the
// commands that stand there, and nobody notices.
package rotated
