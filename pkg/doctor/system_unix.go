// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin

package doctor

import "syscall"

// FreeSpace gives the bytes that this user may still write where path is.
func FreeSpace(path string) (uint64, bool) {
	var s syscall.Statfs_t
	if syscall.Statfs(path, &s) != nil || s.Bsize <= 0 {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}

// OpenFiles gives how many files this process may open.
func OpenFiles() (uint64, bool) {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return 0, false
	}
	return r.Cur, true
}
