// SPDX-License-Identifier: Apache-2.0

package innerapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
)

// ErrInvalidParam is a member or parameter that does not hold; details name it.
var ErrInvalidParam = fault.New(fault.Unprocessable, "invalid_param", "Request validation failed")

// begun is the answer to an order.
type begun struct {
	AttemptID string    `json:"attempt_id"`
	Reference string    `json:"reference"`
	StartURL  string    `json:"start_url"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (a *api) begin(c *fiber.Ctx) error {
	var m members
	if err := decode(body(c), &m); err != nil {
		return err
	}
	order, err := m.order()
	if err != nil {
		return err
	}
	b, err := a.Logins.Begin(c.UserContext(), order)
	if err != nil {
		return err
	}
	return c.Status(http.StatusCreated).JSON(begun{b.AttemptID, b.Reference, b.StartURL, b.ExpiresAt.UTC()})
}

// decode reads a body strictly: what is no JSON is told apart from what breaks a rule.
func decode(raw []byte, into any) error {
	err := wire.JSON(raw, into, wire.Refuse)
	if p, ok := errors.AsType[*wire.Problems](err); ok {
		return p.Fault(ErrInvalidParam)
	}
	return err
}

// listing is all that core may know of the connections of an intent.
type listing struct {
	Mode        connection.Mode `json:"mode"`
	Connections []listed        `json:"connections"` // never null
}

type listed struct {
	ID       string              `json:"id"`
	Name     string              `json:"name"`
	Button   string              `json:"button"`
	Protocol connection.Protocol `json:"protocol"`
}

func (a *api) connections(c *fiber.Ctx) error {
	q, err := wire.Query(string(c.Request().URI().QueryString()))
	intent, _ := q.Get("intent")
	if err != nil || len(q.Names()) != 1 || !isIntent(intent) {
		var p wire.Problems
		p.Add("value_error", "device_flow or account_login, and nothing else", "query", "intent")
		return p.Fault(ErrInvalidParam)
	}
	mode, public, err := a.Connections.Listed(c.UserContext(), connection.Intent(intent))
	if err != nil {
		return err
	}
	answer := listing{Mode: mode, Connections: []listed{}}
	for _, p := range public {
		answer.Connections = append(answer.Connections, listed{p.ID, p.Name, p.Button, p.Protocol})
	}
	content, err := json.Marshal(answer)
	if err != nil {
		return fault.ErrInternal.Because(err)
	}
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	c.Set(fiber.HeaderETag, tag)
	if c.Get(fiber.HeaderIfNoneMatch) == tag {
		return c.SendStatus(http.StatusNotModified)
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(content)
}

func (a *api) attempt(c *fiber.Ctx) error {
	report, err := a.Logins.Show(c.UserContext(), c.Params("reference"))
	if err != nil {
		return err
	}
	return c.JSON(report)
}
