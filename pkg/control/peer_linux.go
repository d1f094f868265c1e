// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"net"
	"syscall"
)

// peer asks the system who opened the other end.
func peer(c *net.UnixConn) (uid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return anybody, err
	}
	var cred *syscall.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) {
		cred, asked = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err != nil || asked != nil {
		return anybody, errors.Join(err, asked)
	}
	return int(cred.Uid), nil
}
