// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"strconv"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

type accountJSON struct {
	ID    string `json:"id" api:"format=uuid"`
	Email string `json:"email" api:"format=idn-email"`
	Name  string `json:"name"`
}

type membershipJSON struct {
	ID   string `json:"id" api:"format=uuid"`
	Name string `json:"name"`
	Role string `json:"role" api:"enum=owner|admin|editor|normal"`
}

func memberships(list []workspace.Membership) []membershipJSON {
	out := make([]membershipJSON, 0, len(list)) // a null array crashes the existing client
	for _, m := range list {
		out = append(out, membershipJSON{ID: m.Workspace.ID, Name: m.Workspace.Name, Role: string(m.Role)})
	}
	return out
}

// actorOf is who is on record for what a bearer does. A person without an account has no
// id that an actor could have: the event's subject says who it is.
func actorOf(who *authz.Caller) audit.Actor {
	if who.Subject.AccountID == "" {
		return audit.Anonymous
	}
	return audit.Account(who.Subject.AccountID)
}

type accountResponse struct {
	SubjectType   string           `json:"subject_type" api:"enum=account|external_sso"`
	SubjectEmail  string           `json:"subject_email" api:"format=idn-email"`
	SubjectIssuer *string          `json:"subject_issuer" doc:"the identity provider of an external subject"`
	Account       *accountJSON     `json:"account" doc:"null for somebody without one"`
	Workspaces    []membershipJSON `json:"workspaces" doc:"of the account, but for archived ones; empty without one"`
	Default       *string          `json:"default_workspace_id" doc:"the one to work in where none is named; null where there is none" api:"format=uuid"`
}

// account says whom the token stands for.
func (a *api) account(c *fiber.Ctx) error {
	who := callerOf(c)
	if who.Kind.SubjectType == token.SubjectExternal {
		return c.JSON(accountResponse{
			SubjectType: string(token.SubjectExternal), SubjectEmail: who.Subject.Email, SubjectIssuer: &who.Subject.Issuer, Workspaces: memberships(nil),
		})
	}
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
	ID          string  `json:"id" api:"format=uuid"`
	Prefix      string  `json:"prefix" doc:"the kind of token" api:"enum=dfoa_|dfoe_"`
	ClientID    string  `json:"client_id"`
	Label       string  `json:"device_label" doc:"what the device called itself"`
	CreatedAt   string  `json:"created_at" api:"format=date-time"`
	LastUsedAt  *string `json:"last_used_at" doc:"null before its first use" api:"format=date-time"`
	ExpiresAt   string  `json:"expires_at" api:"format=date-time"`
	Current     bool    `json:"current" doc:"whether the request carries this one's token"`
	SubjectType string  `json:"subject_type" api:"enum=account|external_sso"`
}

type pageJSON[T any] struct {
	Page    int  `json:"page" api:"min=1"`
	Limit   int  `json:"limit" api:"min=1;max=200"`
	Total   int  `json:"total" doc:"rows of all pages" api:"min=0"`
	HasMore bool `json:"has_more" doc:"whether a page follows"`
	Data    []T  `json:"data"`
}

const (
	sessionsLimit = 100
	maxLimit      = 200
)

// sessionsQuery describes what parsePaging takes for a list of sessions.
type sessionsQuery struct {
	Page  int `json:"page" doc:"which one, from 1" api:"min=1;default=1"`
	Limit int `json:"limit" doc:"rows of a page" api:"min=1;max=200;default=100"`
}

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
		return 0, 0, asInvalidParam(err)
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
	Status  string `json:"status" api:"enum=revoked"`
	Revoked *int   `json:"revoked,omitempty" doc:"how many, where several may end"`
}

// endOwnSession is the logout of a client.
func (a *api) endOwnSession(c *fiber.Ctx) error {
	who := callerOf(c)
	if err := a.Tokens.End(c.UserContext(), who.Subject, who.SessionID, token.ReasonLogout, actorOf(who)); err != nil {
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
	if err := a.Tokens.End(c.UserContext(), who.Subject, id, token.ReasonUser, actorOf(who)); err != nil {
		return err
	}
	return c.JSON(revokedResponse{Status: "revoked"})
}

// endOtherSessions ends all of the caller's sessions but the presented one.
func (a *api) endOtherSessions(c *fiber.Ctx) error {
	who := callerOf(c)
	n, err := a.Tokens.EndOthers(c.UserContext(), who.Subject, who.SessionID, actorOf(who))
	if err != nil {
		return err
	}
	return c.JSON(revokedResponse{Status: "revoked", Revoked: &n})
}
