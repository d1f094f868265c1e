// SPDX-License-Identifier: Apache-2.0

// Package restored follows docs/operating/backup.md: both services are copied while people
// sign in, lost, and brought back.
package restored
