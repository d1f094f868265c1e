// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// The bounds of a post to the assertion consumer service. RelayState has none of its own:
// that of a company portal is an address of any length, whose length alone is noted.
const (
	maxConsumed   = 384 << 10 // the form, in bytes
	maxResponse   = 256 << 10 // SAMLResponse, base64, in bytes
	maxParameters = 32        // providers send two
)

// consume is the assertion consumer service (saml-bindings-2.0-os section 3.5). A response
// is read only while few others are: who finds no turn is told so while the handle is
// unspent, so that the same form can be posted again.
func (a *api) consume(c *fiber.Ctx) error {
	raw, err := form(c, maxConsumed)
	if err != nil {
		return a.unreadable(c, err)
	}
	arrival := readResponse(raw)
	arrival.Path, arrival.Visitor, arrival.Bytes = c.Params("connection"), visitor(c), len(raw)
	if arrival.Malformed == "" && login.IsHandle(arrival.Handle) { // else nothing will be read
		done, waiting, ok := a.Readers.Take(c.UserContext())
		if !ok {
			busy := failure.New(failure.Busy).With("waiting", strconv.Itoa(waiting))
			return a.refused(c, busy, a.Logins.Refuse(c.UserContext(), busy, arrival.Visitor))
		}
		defer done()
	}
	return redirect(c, http.StatusSeeOther, a.Logins.Finish(c.UserContext(), arrival))
}

// readResponse takes the form of a response apart. As with the other protocols what is
// wrong with it is refused after its handle has been claimed.
func readResponse(raw string) login.Arrival {
	a := login.Arrival{Protocol: connection.SAML}
	if strings.Count(raw, "&") >= maxParameters {
		a.Malformed = "parameters"
		return a
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		a.Malformed = "encoding"
	}
	a.Handle = one(&a, values, "RelayState", maxConsumed)
	response := one(&a, values, "SAMLResponse", maxResponse)
	// Resolving an artifact would be a call to wherever the message says.
	if _, artifact := values["SAMLart"]; artifact && a.Malformed == "" {
		a.Malformed = "SAMLart"
	}
	if a.Malformed == "" && response == "" {
		a.Malformed = "SAMLResponse"
	}
	a.Message = secret.New(response)
	return a
}
