// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// The bounds of a callback in bytes.
const (
	maxAnswer   = 16 << 10 // query or body
	maxCode     = 8 << 10
	maxIssuer   = 2048
	maxError    = 256
	maxDescribe = 2048
)

// callback takes a provider's answer, from the query or, of response_mode form_post,
// from the body; a POST's query is never looked at. No cookie is read: which browser
// this is, core finds out (docs/specs/v1.0/server/sso.md, Attempt).
func (a *api) callback(protocol connection.Protocol) fiber.Handler {
	return func(c *fiber.Ctx) error {
		raw, err := answer(c)
		if err != nil {
			return a.unreadable(c, err)
		}
		arrival := read(raw, protocol)
		arrival.Path, arrival.Visitor, arrival.Bytes = c.Params("connection"), visitor(c), len(raw)
		return redirect(c, http.StatusSeeOther, a.Logins.Finish(c.UserContext(), arrival))
	}
}

func answer(c *fiber.Ctx) (string, error) {
	if c.Method() != http.MethodPost {
		raw := string(c.Request().URI().QueryString())
		if len(raw) > maxAnswer {
			return "", server.ErrTooLarge
		}
		return raw, nil
	}
	return form(c, maxAnswer)
}

// form reads a form of at most most bytes, as it was sent.
func form(c *fiber.Ctx, most int) (string, error) {
	// Encodings first: a compressed form is told apart from one of another type.
	if enc := c.Get(fiber.HeaderContentEncoding); enc != "" && !strings.EqualFold(enc, "identity") {
		return "", server.ErrUnsupportedMedia.Because(errEncoded)
	}
	if media, ok := wire.MediaType(c.Get(fiber.HeaderContentType)); !ok || media != fiber.MIMEApplicationForm {
		return "", server.ErrUnsupportedMedia
	}
	body, err := server.Body(c, most)
	return string(body), err
}

var errEncoded = errors.New("httpapi: the body is encoded")

// unreadable notes a callback that cannot be read and shows its page. Its handle, which
// nobody has seen, stays unspent.
func (a *api) unreadable(c *fiber.Ctx, err error) error {
	f := fault.Of(err)
	var noted *failure.Error
	switch {
	case errors.Is(err, server.ErrTooLarge):
		noted = failure.New(failure.BodyTooLarge).With("bytes", strconv.Itoa(max(c.Request().Header.ContentLength(), 0)))
	case errors.Is(err, errEncoded):
		noted = failure.New(failure.ContentEncoding).With("type", c.Get(fiber.HeaderContentEncoding))
	case errors.Is(err, server.ErrUnsupportedMedia):
		noted = failure.New(failure.UnsupportedMedia).With("type", c.Get(fiber.HeaderContentType))
	default:
		noted = failure.New(failure.CallbackMalformed).With("parameter", "body")
	}
	reference := a.Logins.Refuse(c.UserContext(), noted.Because(err), visitor(c))
	server.Failed(c, f)
	c.Context().SetConnectionClose() // the rest of the body is not read
	return a.explain(c, server.Status(f.Kind()), ssocode.InvalidRequest, reference)
}

// read takes an answer apart. What is wrong with it is named and refused after its
// handle has been claimed, so that a broken answer ends its attempt.
func read(raw string, protocol connection.Protocol) login.Arrival {
	a := login.Arrival{Protocol: protocol}
	values, err := url.ParseQuery(raw)
	if err != nil {
		a.Malformed = "encoding"
	}
	a.Handle = one(&a, values, "state", secretLength)
	a.Code = secret.New(one(&a, values, "code", maxCode))
	a.Error = one(&a, values, "error", maxError)
	if found := values["error_description"]; len(found) == 1 { // for the trace alone
		a.Describe = strings.Clone(found[0][:min(len(found[0]), maxDescribe)])
	}
	if protocol == connection.OIDC {
		a.Issuer, a.IssuerSent = one(&a, values, "iss", maxIssuer), len(values["iss"]) > 0
	}
	if a.Malformed == "" && a.Code.IsZero() == (a.Error == "") {
		a.Malformed = "code"
	}
	return a
}

// one gives a parameter that comes once, of at most most bytes of UTF-8; empty for none.
// The name of the first that is otherwise is noted in a.
func one(a *login.Arrival, values url.Values, name string, most int) string {
	found := values[name]
	switch {
	case len(found) == 0:
		return ""
	case len(found) > 1, len(found[0]) > most, !utf8.ValidString(found[0]):
		if a.Malformed == "" {
			a.Malformed = name
		}
		return ""
	}
	return strings.Clone(found[0])
}

// secretLength is that of a handle: base64url of 32 bytes.
const secretLength = 43
