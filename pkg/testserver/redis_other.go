// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package testserver

import "syscall"

// redisProcess keeps a Ctrl-C of the terminal for the test.
func redisProcess() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
