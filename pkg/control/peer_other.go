// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package control

import "net"

// peer cannot tell here: the socket's mode has to do.
func peer(*net.UnixConn) (uid int, err error) { return anybody, nil }
