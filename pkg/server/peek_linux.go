// SPDX-License-Identifier: Apache-2.0

package server

import "golang.org/x/sys/unix"

// hungUp reports a closed peer whatever it has sent before: a client may have sent its
// next request already, and below TLS the last bytes are an alert.
func hungUp(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(p, 0)
	return err == nil && n == 1 && p[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}
