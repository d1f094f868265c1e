// SPDX-License-Identifier: Apache-2.0

//go:build !linux && !darwin

package doctor

// FreeSpace tells nothing here.
func FreeSpace(string) (uint64, bool) { return 0, false }

// OpenFiles tells nothing here.
func OpenFiles() (uint64, bool) { return 0, false }
