// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net"
	"syscall"
)

// socketOf gives the socket below a connection, also below TLS, or nil.
func socketOf(conn net.Conn) syscall.RawConn {
	for {
		switch outer := conn.(type) {
		case interface{ NetConn() net.Conn }: // TLS
			conn = outer.NetConn()
		case syscall.Conn:
			raw, err := outer.SyscallConn()
			if err != nil {
				return nil
			}
			return raw
		default:
			return nil
		}
	}
}
