// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
)

// The longest and the usual time for which the processor is watched.
const (
	cpuSecondsMost  = 60
	cpuSecondsUsual = 30
)

// MountProfiles adds Go's profiles under /debug/pprof to a listener that only operators
// reach: they show addresses and the memory of requests.
func MountProfiles(app *fiber.App) { Get(app, "/debug/pprof/:name", profile) }

// profile serves one of Go's profiles, as "go tool pprof" reads them; debug=1 gives
// text. It stands here and not in net/http/pprof, which would add half a megabyte to
// the program and register itself with a server that we do not have.
func profile(c *fiber.Ctx) error {
	name := c.Params("name")
	var out bytes.Buffer
	if name == "profile" {
		seconds, err := strconv.Atoi(c.Query("seconds", strconv.Itoa(cpuSecondsUsual)))
		if err != nil || seconds < 1 || seconds > cpuSecondsMost {
			return ErrBadRequest.Hinted("seconds must be 1 to " + strconv.Itoa(cpuSecondsMost) + ".")
		}
		if err := pprof.StartCPUProfile(&out); err != nil {
			return ErrBadRequest.Hinted("The processor is being watched already; wait for that profile.")
		}
		select {
		case <-time.After(time.Duration(seconds) * time.Second):
		case <-c.Context().Done():
		}
		pprof.StopCPUProfile()
		return binary(c, out.Bytes())
	}
	p := pprof.Lookup(name)
	if p == nil {
		return ErrNotFound
	}
	debug := 0
	if c.Query("debug") == "1" {
		debug = 1
	}
	if err := p.WriteTo(&out, debug); err != nil {
		return err
	}
	if debug == 0 {
		return binary(c, out.Bytes())
	}
	c.Set(fiber.HeaderContentType, fiber.MIMETextPlainCharsetUTF8)
	return c.Send(out.Bytes())
}

func binary(c *fiber.Ctx, body []byte) error {
	c.Set(fiber.HeaderContentType, fiber.MIMEOctetStream)
	return c.Status(http.StatusOK).Send(body)
}
