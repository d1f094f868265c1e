// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

type revokeConnectionRequest struct {
	ConnectionID *string `json:"connection_id"`
	Reason       *string `json:"reason"`
	Actor        *string `json:"actor"`
}

// revokeConnection ends everything that began through a connection.
func (d Inner) revokeConnection(c *fiber.Ctx) error {
	var req revokeConnectionRequest
	if err := strict(c, &req); err != nil {
		return err
	}
	var problems wire.Problems
	target := access.Target{ConnectionID: requireText(&problems, req.ConnectionID, "connection_id")}
	if _, err := target.Check(); err != nil && problems.Empty() {
		problems.Add("value_error", "is no id that a connection can have", "connection_id")
	}
	reason, actor := shortText(&problems, req.Reason, "reason", access.MaxReason), bridgeActor(&problems, req.Actor)
	if err := problems.Fault(errInvalidParam); err != nil {
		return err
	}
	return d.kill(c, target, reason, actor)
}

type unlinkIdentitiesRequest struct {
	Issuer *string `json:"issuer"`
	Reason *string `json:"reason"`
	Actor  *string `json:"actor"`
}

type unlinkedJSON struct {
	Unlinked int `json:"unlinked"`
}

// unlinkIdentities takes the identities of an issuer from their accounts, before another
// connection is given the issuer: whoever configures it chooses its subjects.
func (d Inner) unlinkIdentities(c *fiber.Ctx) error {
	var req unlinkIdentitiesRequest
	if err := strict(c, &req); err != nil {
		return err
	}
	var problems wire.Problems
	issuer := requireText(&problems, req.Issuer, "issuer")
	reason, actor := shortText(&problems, req.Reason, "reason", access.MaxReason), bridgeActor(&problems, req.Actor)
	if err := problems.Fault(errInvalidParam); err != nil {
		return err
	}
	n, err := d.Access.UnlinkIssuer(c.UserContext(), issuer, reason, actor)
	if err != nil {
		return err
	}
	return c.JSON(unlinkedJSON{Unlinked: n})
}

// bridgeActor is whom sso-bridge acts for, by its own account of it.
func bridgeActor(p *wire.Problems, name *string) audit.Actor {
	return audit.Actor{Type: audit.Operator.Type, ID: "bridge:" + shortText(p, name, "actor", maxActor)}
}
