// SPDX-License-Identifier: Apache-2.0

package testserver

import (
	"os/exec"
	"runtime"
)

// StartBound starts a command that the system is told to end with its parent
// (Pdeathsig). That signal comes with the end of the thread that started the process,
// not of the program, and a goroutine that ends locked to its thread ends the thread:
// so this one keeps a thread for itself until the process has ended, which closes the
// channel.
func StartBound(cmd *exec.Cmd) (ended <-chan struct{}, err error) {
	done, started := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread() // others may have started something from it before
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return done, nil
}
