// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
)

const bridgeKey = "bridge" // of fiber's locals: the caller is sso-bridge

func byBridge(c *fiber.Ctx) bool { is, _ := c.Locals(bridgeKey).(bool); return is }

// either takes a key where one was sent, and else the token of sso-bridge.
func (d Inner) either(r innerRow) fiber.Handler {
	keyed := innerKey(r.key, r.former)
	return func(c *fiber.Ctx) error {
		if len(c.Request().Header.PeekAll(innerKeyHeader)) > 0 {
			return keyed(c)
		}
		return d.bridgeToken(c)
	}
}

// bridgeToken says that the caller has to be sso-bridge, and refuses one without a token
// before a body is read: whom the token is for is known when the body is (admitBridge).
func (d Inner) bridgeToken(c *fiber.Ctx) error {
	if len(headerLines(c, fiber.HeaderAuthorization)) == 0 {
		return d.refuseBridge(c, envelope.ErrInnerMissing)
	}
	c.Locals(bridgeKey, true)
	return c.Next()
}

// admitBridge verifies the token of sso-bridge: it is of this method, path with query and
// body, and good once.
func (d Inner) admitBridge(c *fiber.Ctx) error {
	if !byBridge(c) {
		return c.Next()
	}
	err := d.Bridge.Admit(c.UserContext(), d.Replay, headerLines(c, fiber.HeaderAuthorization), c.Method(), string(c.Request().Header.RequestURI()), body(c))
	if err != nil {
		return d.refuseBridge(c, err)
	}
	server.ContinueTrace(c)
	return c.Next()
}

// refuseBridge puts a refusal on record; a store that could not be asked refuses nobody.
func (d Inner) refuseBridge(c *fiber.Ctx, err error) error {
	if f := fault.Of(err); f.Kind() == fault.Unauthenticated {
		event := envelope.RequestRefused{Method: c.Method(), Route: c.Route().Path, Code: f.Code()}
		var why *envelope.RefusedError
		if errors.As(err, &why) {
			event.Reason, event.KID, event.SkewSeconds = string(why.Reason), why.KID, int(why.Skew.Seconds())
		}
		d.Recorder.Later(audit.New(c.UserContext(), d.Now(), audit.Anonymous, event))
	}
	return err
}
