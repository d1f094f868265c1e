// SPDX-License-Identifier: Apache-2.0

package egress_test

import (
	"io"
	"log"
)

// quiet takes what a server logs about handshakes that are meant to fail.
var quiet = log.New(io.Discard, "", 0)
