// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// endingRows end access: the holder of OPERATOR_API_KEY names persons and accounts,
// sso-bridge a connection that has ended and an issuer that it takes over.
func (d Inner) endingRows() []innerRow {
	return []innerRow{
		{method: http.MethodPost, path: "/inner/api/subjects/revoke", key: d.OperatorKey, former: d.OperatorKeyPrevious, media: []string{json}, body: small, handle: d.revokeSubject, bridge: d.revokeConnection},
		{method: http.MethodPost, path: "/inner/api/identities/unlink", media: []string{json}, body: small, bridge: d.unlinkIdentities},
	}
}

// maxActor bounds the name under which an operator's act is on record.
const maxActor = 255

type revokeSubjectRequest struct {
	Issuer       *string `json:"issuer"`
	SubjectID    *string `json:"subject_id"`
	Email        *string `json:"email"`
	AccountID    *string `json:"account_id"`
	ConnectionID *string `json:"connection_id"`
	Reason       *string `json:"reason"`
	Actor        *string `json:"actor"`
}

type receiptJSON struct {
	ID          string   `json:"receipt_id"`
	Tokens      int      `json:"tokens_revoked"`
	Browsers    int      `json:"console_sessions_ended"`
	Accounts    []string `json:"accounts"`
	RefusedFrom string   `json:"grants_refused_from"`
}

// revokeSubject ends all access of a person.
func (d Inner) revokeSubject(c *fiber.Ctx) error {
	var req revokeSubjectRequest
	if err := strict(c, &req); err != nil {
		return err
	}
	target, reason, actor, err := req.parse()
	if err != nil {
		return err
	}
	return d.kill(c, target, reason, audit.Actor{Type: audit.Operator.Type, ID: actor})
}

func (d Inner) kill(c *fiber.Ctx, target access.Target, reason string, actor audit.Actor) error {
	r, err := d.Access.Kill(c.UserContext(), target, reason, actor)
	if err != nil {
		return err
	}
	return c.JSON(receiptJSON{ID: r.ID, Tokens: r.TokensRevoked, Browsers: r.ConsoleSessionsEnded, Accounts: r.Accounts, RefusedFrom: stamp(r.RefusedFrom)})
}

// parse takes exactly one way of naming a person. A connection is none of them: the
// service that manages connections tells of their end, an operator never does.
func (r revokeSubjectRequest) parse() (t access.Target, reason, actor string, err error) {
	var problems wire.Problems
	named := func(members ...*string) bool {
		n := 0
		for _, m := range []*string{r.Issuer, r.SubjectID, r.Email, r.AccountID} {
			if m != nil {
				n++
			}
		}
		for _, m := range members {
			if m == nil {
				return false
			}
		}
		return n == len(members)
	}
	switch {
	case r.ConnectionID != nil:
		problems.Add("extra_forbidden", "is not a member that this caller may send", "connection_id")
	case named(r.Issuer, r.SubjectID):
		t = access.Target{Issuer: *r.Issuer, SubjectID: *r.SubjectID}
	case named(r.Issuer, r.Email):
		t = access.Target{Issuer: *r.Issuer, Email: *r.Email}
	case named(r.AccountID):
		t = access.Target{AccountID: *r.AccountID}
	default:
		problems.Add("value_error", "must name issuer and subject_id, or issuer and email, or account_id, and nothing else")
	}
	if problems.Empty() {
		if t, err = t.Check(); err != nil {
			problems.Add("value_error", "names nobody that can be")
		}
	}
	reason = shortText(&problems, r.Reason, "reason", access.MaxReason)
	if r.Actor != nil {
		actor = shortText(&problems, r.Actor, "actor", maxActor)
	}
	return t, reason, actor, problems.Fault(errInvalidParam)
}

// shortText notes a text that is absent, empty, too long or not printable.
func shortText(p *wire.Problems, v *string, name string, most int) string {
	text := requireText(p, v, name)
	if text == "" {
		return ""
	}
	canonical, ok := canon.Text(text, most)
	if !ok {
		p.Add("value_error", "is not valid", name)
	}
	return canonical
}

// strict reads a body in which every member is known.
func strict(c *fiber.Ctx, dst any) error {
	err := wire.JSON(body(c), dst, wire.Refuse)
	if p, ok := err.(*wire.Problems); ok { //nolint:errorlint // the decoder returns it bare
		return p.Fault(errInvalidParam)
	}
	return err
}
