// SPDX-License-Identifier: Apache-2.0

//go:build unix

package server

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// left waits until a client has closed its side of a connection, or has reset it, and
// reports that. It reads nothing. It ends, and reports false, at the connection's read
// deadline. A goroutine costs little here; without it an idle stream would learn of the
// leaving at its second ping, and a busy one after seconds.
func left(raw syscall.RawConn) bool {
	gone := false
	err := raw.Read(func(fd uintptr) bool { // false parks it until the socket has news
		gone = closed(int(fd))
		return gone
	})
	return err == nil && gone
}

func closed(fd int) bool {
	var b [1]byte
	n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return false
	case err != nil, n == 0:
		return true
	}
	return hungUp(fd) // behind bytes that nobody has read yet
}
