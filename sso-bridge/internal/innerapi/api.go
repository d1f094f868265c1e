// SPDX-License-Identifier: Apache-2.0

package innerapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// Logins begins attempts and tells of them; *login.Service does.
type Logins interface {
	Begin(ctx context.Context, o login.Order) (login.Begun, error)
	// Show returns login.ErrAttemptNotFound or a store failure.
	Show(ctx context.Context, reference string) (login.Report, error)
}

// Connections lists what people may choose from; *connection.Service does.
type Connections interface {
	Listed(ctx context.Context, intent connection.Intent) (connection.Mode, []connection.Public, error)
}

// Deps is what the handlers call; all fields are required.
type Deps struct {
	Logins      Logins
	Connections Connections
	// Inner admits requests that core has signed, and Replay each of them once.
	Inner    *envelope.Inner
	Replay   envelope.Replay
	Recorder *audit.Recorder
	Now      func() time.Time
}

type api struct{ Deps }

// row is one route. It exists behind the token alone.
type row struct {
	method, path string
	json         bool // takes a body
	handle       fiber.Handler
}

// maxBody bounds a body in bytes.
const maxBody = 64 << 10

func (a *api) table() []row {
	return []row{
		{method: http.MethodPost, path: "/inner/api/sso/login-attempts", json: true, handle: a.begin},
		{method: http.MethodGet, path: "/inner/api/sso/connections", handle: a.connections},
		{method: http.MethodGet, path: "/inner/api/sso/attempts/:reference", handle: a.attempt},
	}
}

// Mount adds the routes beside those that the listener has.
func Mount(app *fiber.App, d Deps) error {
	if d.Logins == nil || d.Connections == nil || d.Inner == nil || d.Replay == nil || d.Recorder == nil || d.Now == nil {
		return errors.New("innerapi: every dependency is required")
	}
	a := &api{d}
	for _, r := range a.table() {
		app.Add(r.method, r.path, server.Enter(server.Route{Pattern: r.path}), a.admitted(r), r.handle)
	}
	return nil
}

type localKey int

const bodyKey localKey = iota

func body(c *fiber.Ctx) []byte { b, _ := c.Locals(bodyKey).([]byte); return b }

// admitted judges the token of a request, which covers the body: that is read before,
// and looked at after.
func (a *api) admitted(r row) fiber.Handler {
	return func(c *fiber.Ctx) error {
		content, err := server.Body(c, maxBody)
		if err != nil {
			return err
		}
		uri := string(c.Request().Header.RequestURI())
		if err := a.Inner.Admit(c.UserContext(), a.Replay, authorizations(c), c.Method(), uri, content); err != nil {
			a.refused(c, r, err)
			return err
		}
		server.ContinueTrace(c)
		if r.json {
			if media, ok := wire.MediaType(c.Get(fiber.HeaderContentType)); !ok || media != fiber.MIMEApplicationJSON {
				return server.ErrUnsupportedMedia
			}
		}
		c.Locals(bodyKey, content)
		return c.Next()
	}
}

func authorizations(c *fiber.Ctx) []string {
	var lines []string
	for _, line := range c.Request().Header.PeekAll(fiber.HeaderAuthorization) {
		lines = append(lines, string(line))
	}
	return lines
}

// refused puts a refusal on record. A store that is down has refused nobody.
func (a *api) refused(c *fiber.Ctx, r row, err error) {
	f := fault.Of(err)
	if f.Kind() != fault.Unauthenticated {
		return
	}
	event := envelope.RequestRefused{Method: r.method, Route: r.path, Code: f.Code()}
	if why, ok := errors.AsType[*envelope.RefusedError](err); ok {
		event.Reason, event.KID, event.SkewSeconds = string(why.Reason), why.KID, int(why.Skew/time.Second)
	}
	a.Recorder.Later(audit.New(c.UserContext(), a.Now(), audit.Anonymous, event))
}

// AuditKinds are the events of this package, for the reference.
func AuditKinds() []audit.Kind {
	return []audit.Kind{{Of: envelope.RequestRefused{}, When: "a request of the second listener came without a token of its own that is good"}}
}
