// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// decodeEither reads a body that may be JSON or a form; unknown members of both are
// ignored, as RFC 6749 section 3.2 asks.
func decodeEither(c *fiber.Ctx, dst any, fill func(wire.Values)) (fromForm bool, err error) {
	if media, _ := wire.MediaType(c.Get(fiber.HeaderContentType)); media == form {
		values, err := wire.Form(body(c))
		if err != nil {
			return true, refused(err)
		}
		fill(values)
		return true, nil
	}
	return false, decodeJSON(c, dst)
}

// decodeJSON reads a JSON body; unknown members are ignored.
func decodeJSON(c *fiber.Ctx, dst any) error { return refused(wire.JSON(body(c), dst, wire.Ignore)) }

// decodeStrict reads a JSON body of a bearer route that takes no unknown member.
func decodeStrict(c *fiber.Ctx, dst any) error {
	return asInvalidParam(wire.JSON(body(c), dst, wire.Refuse))
}

// decodeOpen reads a JSON body of a bearer route that ignores members it does not know.
func decodeOpen(c *fiber.Ctx, dst any) error {
	return asInvalidParam(wire.JSON(body(c), dst, wire.Ignore))
}

// asInvalidParam turns what a decoder found into a failure of bearer routes.
func asInvalidParam(err error) error {
	if p, ok := err.(*wire.Problems); ok { //nolint:errorlint // the decoders return it bare
		return p.Fault(errInvalidParam)
	}
	return err
}

// refused turns what the decoder found into a failure of device and console routes.
func refused(err error) error {
	if p, ok := err.(*wire.Problems); ok { //nolint:errorlint // the decoder returns it bare
		return p.Fault(server.ErrBadRequest)
	}
	return err
}

func member(v wire.Values, name string) *string {
	if s, ok := v.Get(name); ok {
		return &s
	}
	return nil
}

// requireText notes an absent or empty member.
func requireText(p *wire.Problems, v *string, name string) string {
	if v == nil {
		p.Add("missing", "is required", name)
		return ""
	}
	if *v == "" {
		p.Add("too_short", "must not be empty", name)
	}
	return *v
}

// stamp writes a time as the wire does: RFC 3339, UTC, whole seconds.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func stampOrNil(t *time.Time) *string {
	if t == nil {
		return nil
	}
	s := stamp(*t)
	return &s
}

// errInvalidParam is a validation failure of a bearer route.
var errInvalidParam = fault.New(fault.Unprocessable, "invalid_param", "Request validation failed")
