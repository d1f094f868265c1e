// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// ErrPassword is a password that breaks a rule; its hint says which.
var ErrPassword = fault.New(fault.Unprocessable, "invalid_param", "The password is not taken, and nothing was done.")

// judged turns a rule of package account into a refusal that passes the socket.
func judged(err error) error {
	for rule, said := range map[error]string{
		account.ErrPasswordTooShort: "It is a password too short for PASSWORD_MIN_LENGTH: choose a longer one.",
		account.ErrPasswordTooLong:  "It is too long: choose one of at most 128 characters.",
		account.ErrPasswordIsEmail:  "It is the e-mail address: choose another one.",
		account.ErrPasswordInvalid:  "It is no valid text in UTF-8: choose another one.",
	} {
		if errors.Is(err, rule) {
			return ErrPassword.Hinted(said)
		}
	}
	return err
}

// Person is somebody who gets an account.
type Person struct {
	Email    string `json:"email"`
	Name     string `json:"name"`
	Password Passed `json:"password"`
}

func (p Person) parse() (access.NewAccount, error) {
	var problems wire.Problems
	n := access.NewAccount{Password: p.Password.Text}
	var ok bool
	if n.Email, ok = canon.Email(p.Email); !ok {
		problems.Add(refused, notValid, "email")
	}
	if n.Name, ok = canon.Text(p.Name, installation.MaxName); !ok {
		problems.Add(refused, notValid, "name")
	}
	return n, problems.Fault(ErrInvalid)
}

// Check judges what can be judged without asking anybody. It returns ErrInvalid.
func (p Person) Check() error {
	_, err := p.parse()
	return err
}

// Password is the new password of an account.
type Password struct {
	Account      string `json:"account"` // its id or e-mail
	Password     Passed `json:"password"`
	RevokeTokens bool   `json:"revoke_tokens"`
}

// Check judges what can be judged without asking anybody. It returns ErrInvalid.
func (p Password) Check() error {
	var problems wire.Problems
	named(&problems, p.Account)
	return problems.Fault(ErrInvalid)
}

// Administrator says whether an account administers the deployment.
type Administrator struct {
	Account       string `json:"account"` // its id or e-mail
	Administrator bool   `json:"deployment_admin"`
}

// Check judges what can be judged without asking anybody. It returns ErrInvalid.
func (m Administrator) Check() error {
	var problems wire.Problems
	named(&problems, m.Account)
	return problems.Fault(ErrInvalid)
}

// named judges what has to name an account.
func named(problems *wire.Problems, who string) {
	if _, ok := canon.Email(who); !ok && !canon.IsID(who) {
		problems.Add(refused, "must be an account's id or e-mail", "account")
	}
}

// AccountQuery asks for a page, from 1, of accounts: all, of an e-mail, of a status.
type AccountQuery struct {
	Email  string `json:"email,omitempty"`
	Status string `json:"status,omitempty"`
	Page   int    `json:"page"`
	Limit  int    `json:"limit"`
}

// Check judges what can be judged without asking anybody. It returns ErrInvalid.
func (q AccountQuery) Check() error {
	var problems wire.Problems
	if _, ok := canon.Email(q.Email); !ok && q.Email != "" {
		problems.Add(refused, "must be an e-mail address", "email")
	}
	switch account.Status(q.Status) {
	case "", account.Pending, account.Active, account.Banned, account.Closed:
	default:
		problems.Add(refused, "must be pending, active, banned or closed", "status")
	}
	judgePage(&problems, q.Page, q.Limit)
	return problems.Fault(ErrInvalid)
}

// CreateAccount is no way into an installation that nobody has set up: its first account
// is the owner's.
func (a acts) CreateAccount(ctx context.Context, p Person) (access.AccountMade, error) {
	person, err := p.parse()
	if err != nil {
		return access.AccountMade{}, err
	}
	switch at, err := a.Installation.SetUpAt(ctx); {
	case err != nil:
		return access.AccountMade{}, err
	case at == nil:
		return access.AccountMade{}, installation.ErrNotSetUp.Hinted("\"core admin create-owner\" makes the first account, or \"core admin setup-code\" lets its owner in.")
	}
	made, err := a.Access.CreateAccount(ctx, person, a.by)
	return made, judged(err)
}

func (a acts) SetPassword(ctx context.Context, p Password) (access.PasswordSet, error) {
	if err := p.Check(); err != nil {
		return access.PasswordSet{}, err
	}
	set, err := a.Access.SetPassword(ctx, p.Account, p.Password.Text, p.RevokeTokens, a.by)
	return set, judged(err)
}

func (a acts) SetAdministrator(ctx context.Context, m Administrator) (access.AdministratorChange, error) {
	if err := m.Check(); err != nil {
		return access.AdministratorChange{}, err
	}
	return a.Access.SetAdministrator(ctx, m.Account, m.Administrator, a.by)
}

func (a acts) ListAccounts(ctx context.Context, q AccountQuery) (access.AccountPage, error) {
	if err := q.Check(); err != nil {
		return access.AccountPage{}, err
	}
	return a.Access.ListAccounts(ctx, access.AccountFilter{Email: q.Email, Status: account.Status(q.Status)}, q.Page, q.Limit)
}
