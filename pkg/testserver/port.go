// SPDX-License-Identifier: Apache-2.0

package testserver

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// The ports that FreePort chooses among. They lie below those that Linux, macOS and
// Windows give to outgoing connections and to who asks for any port, so one that is free
// stays free for who was told so, and may be let go and taken again.
const (
	lowestPort  = 15000
	highestPort = 32000
)

// given are the ports that this process has handed out: whoever was told of one may not
// have taken it yet.
var given sync.Map

// FreePort finds a port of host, an address of this machine, that nobody holds now, and
// that this process gives to nobody else.
func FreePort(host string) (string, error) {
	err := errors.New("testserver: no port was tried")
	for range 100 {
		port := strconv.Itoa(lowestPort + rand.IntN(highestPort-lowestPort)) //nolint:gosec // no secret
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort(host, port)); err == nil {
			return port, l.Close()
		}
	}
	return "", err
}
