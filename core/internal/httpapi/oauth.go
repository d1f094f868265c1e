// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// clientGuard takes HTTP Basic credentials and nothing else: neither a bearer nor the
// key of another purpose says who asks.
func (a *api) clientGuard(c *fiber.Ctx) error {
	id, ok, err := a.Clients.Authenticate(headerLines(c, fiber.HeaderAuthorization))
	if err != nil {
		return err
	}
	if !ok {
		return errInvalidClient
	}
	c.Locals(clientKey, id)
	server.CalledBy(c, "", id, "")
	return c.Next()
}

// introspection is the answer about a live token (RFC 7662 section 2.2). A sub is unique
// together with its subject_issuer.
type introspection struct {
	Active        bool   `json:"active" api:"enum=true"`
	Scope         string `json:"scope" doc:"scopes, separated by spaces"`
	ClientID      string `json:"client_id"`
	TokenType     string `json:"token_type" api:"enum=Bearer"`
	Exp           int64  `json:"exp" doc:"unix seconds"`
	Iat           int64  `json:"iat" doc:"unix seconds"`
	Iss           string `json:"iss" api:"format=uri"`
	Sub           string `json:"sub" doc:"the subject at subject_issuer"`
	Jti           string `json:"jti" doc:"id of the session" api:"format=uuid"`
	SubjectType   string `json:"subject_type" api:"enum=account|external_sso"`
	SubjectIssuer string `json:"subject_issuer"`
	Username      string `json:"username" api:"format=idn-email"`
}

// inactive is the answer about everything else.
type inactive struct {
	Active bool `json:"active" api:"enum=false"`
}

type introspectionRequest struct {
	Token string `json:"token" api:"required;min=1"`
	Hint  any    `json:"token_type_hint,omitempty" doc:"ignored"`
}

// introspect says what a token is good for. Of one that is not live it says nothing
// else, whatever the reason.
func (a *api) introspect(c *fiber.Ctx) error {
	values, err := wire.Form(body(c))
	if err != nil {
		return refused(err)
	}
	presented, err := requireToken(member(values, "token"))
	if err != nil {
		return err
	}
	who, live, err := a.Tokens.Introspect(c.UserContext(), presented)
	if err != nil {
		return err
	}
	if !live {
		return c.JSON(inactive{})
	}
	return c.JSON(introspection{
		Active: true, Scope: who.Kind.ScopeText(), ClientID: who.ClientID, TokenType: "Bearer",
		Exp: who.ExpiresAt.Unix(), Iat: who.CreatedAt.Unix(), Iss: a.public, Sub: who.Subject.ID, Jti: who.SessionID,
		SubjectType: string(who.Kind.SubjectType), SubjectIssuer: who.Subject.Issuer, Username: who.Subject.Email,
	})
}

type revocationRequest struct {
	Token    *string `json:"token" api:"required;min=1"`
	ClientID *string `json:"client_id,omitempty" doc:"when given, the token's own"`
	Hint     any     `json:"token_type_hint,omitempty" doc:"ignored"`
}

// revoked says nothing, as RFC 7009 section 2.2 has it.
type revoked struct{}

// revoke ends a token by itself (RFC 7009). The clients are public, so no credential is
// looked at beside it.
func (a *api) revoke(c *fiber.Ctx) error {
	var req revocationRequest
	if _, err := decodeEither(c, &req, func(v wire.Values) {
		req.Token, req.ClientID = member(v, "token"), member(v, "client_id")
	}); err != nil {
		return err
	}
	presented, err := requireToken(req.Token)
	if err != nil {
		return err
	}
	var clientID string
	if req.ClientID != nil {
		clientID = *req.ClientID
	}
	if err := a.Tokens.Revoke(c.UserContext(), presented, clientID); err != nil {
		return err
	}
	return c.JSON(revoked{})
}

func requireToken(v *string) (string, error) {
	var problems wire.Problems
	presented := requireText(&problems, v, "token")
	return presented, problems.Fault(server.ErrBadRequest)
}
