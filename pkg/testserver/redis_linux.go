// SPDX-License-Identifier: Apache-2.0

package testserver

import "syscall"

// redisProcess lets a server end with the process that started it, however that ends,
// and keeps a Ctrl-C of the terminal for the test.
func redisProcess() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
