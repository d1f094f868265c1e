// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"context"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dify-sso/dify-sso/pkg/lifecycle"
)

// readyPause is between two questions of a service that is not ready yet.
const readyPause = 200 * time.Millisecond

// told says that systemd knows of this process's readiness: NOTIFY_SOCKET is the
// process's, and so is this.
var told atomic.Bool

// notify tells systemd a state (sd_notify(3)); a name with @ in front is an abstract
// socket, which net knows. Nobody is told where nobody asked, and a manager that does not
// take it is no reason to serve nobody.
func notify(state string) {
	if path := os.Getenv("NOTIFY_SOCKET"); path != "" {
		if conn, err := net.Dial("unixgram", path); err == nil { //nolint:gosec // whoever starts the process names the socket
			_, _ = conn.Write([]byte(state))
			_ = conn.Close()
		}
	}
}

// announcing says READY=1 once the service is ready for the first time. Until then
// systemctl start waits, and its status says why.
func announcing(ready func(ctx context.Context) bool) lifecycle.Worker {
	return lifecycle.Worker{Name: "systemd", Run: func(ctx context.Context) error {
		for ctx.Err() == nil {
			if ready(ctx) {
				told.Store(true)
				notify("READY=1\nSTATUS=Serving")
				<-ctx.Done()
				return nil
			}
			notify("STATUS=Waiting for a store: /readyz names it")
			select {
			case <-ctx.Done():
			case <-time.After(readyPause):
			}
		}
		return nil
	}}
}

// Reloading tells systemd that files are read again, and done that they were. A manager
// with Type=notify-reload compares the time with that of its signal.
func Reloading() (done func()) {
	if !told.Load() {
		return func() {}
	}
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	notify("RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(now.Nano()/1000, 10))
	return func() { notify("READY=1") }
}
