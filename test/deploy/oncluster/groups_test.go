// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// setGroups sets those of this thread alone.
func setGroups(groups []uint32) error {
	var first unsafe.Pointer
	if len(groups) > 0 {
		first = unsafe.Pointer(&groups[0])
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(first), 0); errno != 0 {
		return errno
	}
	return nil
}
