// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"strconv"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

type accountJSON struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
}

type membershipJSON struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"`
}

func memberships(list []workspace.Membership) []membershipJSON {
	out := make([]membershipJSON, 0, len(list)) // a null array crashes the existing client
	for _, m := range list {
		out = append(out, membershipJSON{ID: m.Workspace.ID, Name: m.Workspace.Name, Role: string(m.Role)})
	}
	return out
}

type accountResponse struct {
	SubjectType   string           `json:"subject_type"`
	SubjectEmail  string           `json:"subject_email"`
	SubjectIssuer *string          `json:"subject_issuer"`
	Account       *accountJSON     `json:"account"`
	Workspaces    []membershipJSON `json:"workspaces"`
	Default       *string          `json:"default_workspace_id"`
}

// account says whom the token stands for.
func (a *api) account(c *fiber.Ctx) error {
	who := callerOf(c)
	list, err := a.Workspaces.Of(c.UserContext(), who.Subject.AccountID)
	if err != nil {
		return err
	}
	out := accountResponse{
		SubjectType: string(who.Kind.SubjectType), SubjectEmail: who.Subject.Email,
		Account:    &accountJSON{ID: who.Subject.AccountID, Email: who.Subject.Email, Name: who.AccountName},
		Workspaces: memberships(workspace.Usable(list)),
	}
	if m, ok := workspace.Default(list, who.WorkspaceID); ok {
		out.Default = &m.Workspace.ID
	}
	return c.JSON(out)
}

type sessionJSON struct {
	ID          string  `json:"id"`
	Prefix      string  `json:"prefix"`
	ClientID    string  `json:"client_id"`
	Label       string  `json:"device_label"`
	CreatedAt   string  `json:"created_at"`
	LastUsedAt  *string `json:"last_used_at"`
	ExpiresAt   string  `json:"expires_at"`
	Current     bool    `json:"current"`
	SubjectType string  `json:"subject_type"`
}

type pageJSON[T any] struct {
	Page    int  `json:"page"`
	Limit   int  `json:"limit"`
	Total   int  `json:"total"`
	HasMore bool `json:"has_more"`
	Data    []T  `json:"data"`
}

const (
	sessionsLimit = 100
	maxLimit      = 200
)

// sessions lists the caller's own live sessions, newest first.
func (a *api) sessions(c *fiber.Ctx) error {
	number, limit, err := parsePaging(c, sessionsLimit)
	if err != nil {
		return err
	}
	who := callerOf(c)
	list, total, err := a.Tokens.List(c.UserContext(), who.Subject, number, limit)
	if err != nil {
		return err
	}
	rows := make([]sessionJSON, 0, len(list))
	for _, s := range list {
		rows = append(rows, sessionJSON{
			ID: s.ID, Prefix: s.Prefix, ClientID: s.ClientID, Label: s.Label, CreatedAt: stamp(s.CreatedAt), LastUsedAt: stampOrNil(s.LastUsedAt),
			ExpiresAt: stamp(s.ExpiresAt), Current: s.ID == who.SessionID, SubjectType: string(who.Kind.SubjectType),
		})
	}
	return c.JSON(pageJSON[sessionJSON]{Page: number, Limit: limit, Total: total, HasMore: number*limit < total, Data: rows})
}

// parsePaging takes page and limit and nothing else; what is out of range is refused,
// never clamped.
func parsePaging(c *fiber.Ctx, limit int) (int, int, error) {
	number := 1
	query, err := wire.Query(string(c.Request().URI().QueryString()))
	if err != nil {
		if p, ok := err.(*wire.Problems); ok { //nolint:errorlint // the decoder returns it bare
			return 0, 0, p.Fault(errInvalidParam)
		}
		return 0, 0, err
	}
	var problems wire.Problems
	for _, name := range query.Names() {
		text, _ := query.Get(name)
		switch name {
		case "page":
			number = inRange(&problems, name, text, 1, 1<<31-1)
		case "limit":
			limit = inRange(&problems, name, text, 1, maxLimit)
		default:
			problems.Add("extra_forbidden", "is not a parameter of this route", name)
		}
	}
	return number, limit, problems.Fault(errInvalidParam)
}

func inRange(p *wire.Problems, name, text string, low, high int) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high || strconv.Itoa(n) != text {
		p.Add("int_range", "must be a whole number from "+strconv.Itoa(low)+" to "+strconv.Itoa(high), name)
	}
	return n
}

type revokedResponse struct {
	Status  string `json:"status"`
	Revoked *int   `json:"revoked,omitempty"`
}

// endOwnSession is the logout of a client.
func (a *api) endOwnSession(c *fiber.Ctx) error {
	who := callerOf(c)
	if err := a.Tokens.End(c.UserContext(), who.Subject, who.SessionID, token.ReasonLogout, audit.Account(who.Subject.AccountID)); err != nil {
		return err
	}
	return c.JSON(revokedResponse{Status: "revoked"})
}

// endSession ends one of the caller's sessions; one of somebody else reads like one
// that never was.
func (a *api) endSession(c *fiber.Ctx) error {
	who, id := callerOf(c), c.Params("id")
	if !canon.IsID(id) {
		return token.ErrSessionNotFound
	}
	if err := a.Tokens.End(c.UserContext(), who.Subject, id, token.ReasonUser, audit.Account(who.Subject.AccountID)); err != nil {
		return err
	}
	return c.JSON(revokedResponse{Status: "revoked"})
}

// endOtherSessions ends all of the caller's sessions but the presented one.
func (a *api) endOtherSessions(c *fiber.Ctx) error {
	who := callerOf(c)
	n, err := a.Tokens.EndOthers(c.UserContext(), who.Subject, who.SessionID, audit.Account(who.Subject.AccountID))
	if err != nil {
		return err
	}
	return c.JSON(revokedResponse{Status: "revoked", Revoked: &n})
}
