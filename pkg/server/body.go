// SPDX-License-Identifier: Apache-2.0

package server

import (
	"io"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/ratelimit"
)

// Body reads at most max bytes of a request. A declared or real length above that is
// ErrTooLarge without reading on; any encoding but identity is ErrUnsupportedMedia,
// for inflating a stranger's bytes has no bound.
func Body(c *fiber.Ctx, max int) ([]byte, error) {
	if enc := c.Get(fiber.HeaderContentEncoding); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, ErrUnsupportedMedia
	}
	if c.Request().Header.ContentLength() > max {
		return nil, ErrTooLarge
	}
	stream := c.Context().RequestBodyStream()
	if stream == nil {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(stream, int64(max)+1))
	if err != nil {
		return nil, ErrBadRequest.Because(err)
	}
	if len(body) > max {
		return nil, ErrTooLarge
	}
	return body, nil
}

// SetRateLimit tells the caller of the tightest of the limits that were asked.
func SetRateLimit(c *fiber.Ctx, results ...ratelimit.Result) {
	var tightest *ratelimit.Result
	for i, r := range results {
		if r.Limit > 0 && (tightest == nil || r.Remaining < tightest.Remaining) {
			tightest = &results[i]
		}
	}
	if tightest == nil {
		return
	}
	c.Set("RateLimit-Limit", strconv.Itoa(tightest.Limit))
	c.Set("RateLimit-Remaining", strconv.Itoa(tightest.Remaining))
	c.Set("RateLimit-Reset", strconv.Itoa(RetrySeconds(tightest.Reset)))
}
