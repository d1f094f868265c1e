// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"fmt"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// Refusals of a request.
var (
	// ErrInvalid is a request whose members do not hold; Details names them.
	ErrInvalid = fault.New(fault.Unprocessable, "invalid_param", "The command's values do not hold.")
	// ErrNoAccount: an e-mail alone names an account, and none has it.
	ErrNoAccount = fault.New(fault.NotFound, "not_found", "No account has this e-mail, and nothing was done.").
			Hinted("For a person who signs in through an identity provider alone, name its issuer as well.")
)

// What the members of a request are refused with.
const (
	refused  = "value_error"
	notValid = "missing or not valid"
)

// judgePage notes a page, from 1, or a length of one that nobody is given.
func judgePage(p *wire.Problems, page, limit int) {
	if page < 1 {
		p.Add(refused, "must be above zero", "page")
	}
	if limit < 1 || limit > access.MaxPage {
		p.Add(refused, fmt.Sprintf("must be 1 to %d", access.MaxPage), "limit")
	}
}

// SetupCode is a set-up code and the page that takes it.
type SetupCode struct {
	Code Passed `json:"setup_code"`
	URL  string `json:"url"`
}

// Owner is the first person of an installation.
type Owner struct {
	Email     string `json:"email"`
	Name      string `json:"name"`
	Workspace string `json:"workspace_name"`
	Password  Passed `json:"password"`
}

func (o Owner) parse() (installation.Owner, error) {
	owner, wrong := installation.ParseOwner(o.Email, o.Name, o.Workspace, o.Password.Text)
	var problems wire.Problems
	for _, member := range wrong {
		problems.Add(refused, notValid, member)
	}
	return owner, problems.Fault(ErrInvalid)
}

// Check judges what can be judged without asking anybody. It returns ErrInvalid.
func (o Owner) Check() error {
	_, err := o.parse()
	return err
}

// Created is an account that was made, and the page where it signs in.
type Created struct {
	AccountID string `json:"account_id"`
	Email     string `json:"email"`
	URL       string `json:"url"`
}

// Status is what an account is set to.
type Status struct {
	Account string `json:"account"` // its id or e-mail
	Status  string `json:"status"`
}

// Check judges what can be judged without asking anybody. It returns ErrInvalid.
func (s Status) Check() error {
	var problems wire.Problems
	named(&problems, s.Account)
	switch account.Status(s.Status) {
	case account.Active, account.Banned, account.Closed:
	default:
		problems.Add(refused, "must be active, banned or closed", "status")
	}
	return problems.Fault(ErrInvalid)
}

// TokenQuery asks for a page, from 1, of live sessions: of everybody, or of an e-mail,
// which may be an account's or that of people without one.
type TokenQuery struct {
	Email string `json:"email,omitempty"`
	Page  int    `json:"page"`
	Limit int    `json:"limit"`
}

// Check judges what can be judged without asking anybody. It returns ErrInvalid.
func (q TokenQuery) Check() error {
	var problems wire.Problems
	if _, ok := canon.Email(q.Email); !ok && q.Email != "" {
		problems.Add(refused, "must be an e-mail address", "email")
	}
	judgePage(&problems, q.Page, q.Limit)
	return problems.Fault(ErrInvalid)
}

// TokenRef names one session.
type TokenRef struct {
	ID string `json:"id"`
}

// Check judges what can be judged without asking anybody. It returns ErrInvalid.
func (r TokenRef) Check() error {
	var problems wire.Problems
	if !canon.IsID(r.ID) {
		problems.Add(refused, "must be the id of a session, as the list shows it", "id")
	}
	return problems.Fault(ErrInvalid)
}

// Subject is a person whose access ends: an account by its id or its e-mail, or whom an
// identity provider knows by a subject id or an e-mail.
type Subject struct {
	AccountID string `json:"account_id,omitempty"`
	Issuer    string `json:"issuer,omitempty"`
	SubjectID string `json:"subject_id,omitempty"`
	Email     string `json:"email,omitempty"`
	Reason    string `json:"reason"`
}

// Check judges what can be judged without asking anybody. It returns ErrInvalid.
func (s Subject) Check() error {
	var problems wire.Problems
	wrong := func(member, said string) { problems.Add(refused, said, member) }
	if s.AccountID != "" {
		if !canon.IsID(s.AccountID) {
			wrong("account_id", "must be an account's id")
		}
		for _, other := range [][2]string{{"issuer", s.Issuer}, {"subject_id", s.SubjectID}, {"email", s.Email}} {
			if other[1] != "" {
				wrong(other[0], "does not go with an account's id")
			}
		}
	}
	if _, ok := canon.Email(s.Email); !ok && s.Email != "" {
		wrong("email", "must be an e-mail address")
	}
	switch {
	case s.SubjectID != "" && s.Issuer == "" && s.AccountID == "":
		wrong("issuer", "is required with a subject id")
	case s.SubjectID != "" && s.Email != "" && s.AccountID == "":
		wrong("email", "does not go with a subject id")
	case s.Issuer != "" && s.SubjectID == "" && s.Email == "" && s.AccountID == "":
		wrong("subject_id", "is required with an issuer, or an e-mail")
	case s.AccountID+s.Issuer+s.SubjectID+s.Email == "":
		wrong("account_id", "is required, or an e-mail, or an issuer with either")
	}
	if len(s.Issuer) > access.MaxIdentity {
		wrong("issuer", "is too long")
	}
	if len(s.SubjectID) > access.MaxIdentity {
		wrong("subject_id", "is too long")
	}
	if _, ok := canon.Text(s.Reason, access.MaxReason); !ok {
		wrong("reason", "is required: 1 to 64 characters of text, which the audit trail keeps")
	}
	return problems.Fault(ErrInvalid)
}
