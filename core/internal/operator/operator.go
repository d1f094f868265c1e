// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"net/url"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/backup"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Operations are the acts of commands. Service does them; a control.Client has them
// done by the process that serves.
type Operations interface {
	// SetupCode draws a new set-up code and voids the former.
	SetupCode(ctx context.Context) (SetupCode, error)
	// CreateOwner creates the first account and its workspace, once.
	CreateOwner(ctx context.Context, o Owner) (Created, error)
	// CreateAccount makes an active account, a member of no workspace.
	CreateAccount(ctx context.Context, p Person) (access.AccountMade, error)
	// SetPassword gives an account another password.
	SetPassword(ctx context.Context, p Password) (access.PasswordSet, error)
	// SetAdministrator makes an account a deployment administrator, or one no more.
	SetAdministrator(ctx context.Context, m Administrator) (access.AdministratorChange, error)
	// ListAccounts gives a page of accounts, newest first.
	ListAccounts(ctx context.Context, q AccountQuery) (access.AccountPage, error)
	// SetStatus makes an account active, banned or closed.
	SetStatus(ctx context.Context, s Status) (access.StatusChange, error)
	// ListTokens gives a page of live sessions, newest first.
	ListTokens(ctx context.Context, q TokenQuery) (access.TokenPage, error)
	// RevokeToken ends one session.
	RevokeToken(ctx context.Context, r TokenRef) (access.Revoked, error)
	// RevokeSubject ends all access of a person.
	RevokeSubject(ctx context.Context, s Subject) (access.Receipt, error)
	// ListApps gives a page of apps, archived ones included.
	ListApps(ctx context.Context, q AppQuery) (AppPage, error)
	// ShowApp gives an app with its list of access and the fingerprint of its key.
	ShowApp(ctx context.Context, r AppRef) (AppEntry, error)
	// DeclareApps makes apps what is declared, or says what would change.
	DeclareApps(ctx context.Context, w AppsWanted) (AppsPlanned, error)
	// RemoveApp deletes an app.
	RemoveApp(ctx context.Context, r AppRef) (AppRemoved, error)
	// CheckApp calls an app's runtime and says what is wrong.
	CheckApp(ctx context.Context, r AppRef) (AppChecked, error)
	// RotateSecretKey draws a new SECRET_KEY where core keeps it itself, and else puts the
	// present one in the place of the former.
	RotateSecretKey(ctx context.Context) (SecretKey, error)
	// RotateSealingKey draws a new sealing key where core keeps them itself, and seals
	// everything anew with the first.
	RotateSealingKey(ctx context.Context) (SealingKey, error)
	// Snapshot copies the embedded installation aside, as it is at one moment.
	Snapshot(ctx context.Context) (backup.Snapshot, error)
	// Bundle gives what may be told to somebody who helps.
	Bundle(ctx context.Context) (Bundle, error)
}

// Keys are the files of an installation; package app has them.
type Keys interface {
	RotateSecretKey(ctx context.Context, by audit.Actor) (SecretKey, error)
	RotateSealingKey(ctx context.Context, by audit.Actor) (SealingKey, error)
	Snapshot(ctx context.Context) (backup.Snapshot, error)
	Bundle(ctx context.Context) (Bundle, error)
}

// Access is what an operator asks of package access, whose Service it is.
type Access interface {
	CreateAccount(ctx context.Context, n access.NewAccount, actor audit.Actor) (access.AccountMade, error)
	SetPassword(ctx context.Context, who string, password secret.Text, revokeTokens bool, actor audit.Actor) (access.PasswordSet, error)
	SetAdministrator(ctx context.Context, who string, to bool, actor audit.Actor) (access.AdministratorChange, error)
	ListAccounts(ctx context.Context, f access.AccountFilter, page, limit int) (access.AccountPage, error)
	SetStatus(ctx context.Context, who string, status account.Status, actor audit.Actor) (access.StatusChange, error)
	ListTokens(ctx context.Context, f access.TokenFilter, page, limit int) (access.TokenPage, error)
	RevokeSession(ctx context.Context, id string, actor audit.Actor) (access.Revoked, error)
	Kill(ctx context.Context, t access.Target, reason string, actor audit.Actor) (access.Receipt, error)
}

// Deps is what a Service needs; all fields are required.
type Deps struct {
	Installation *installation.Service
	Access       Access
	Accounts     account.Store
	Keys         Keys
	Apps         Apps
	Runtimes     Runtimes
	// Unreached reads a failure of Runtimes that is one of a call.
	Unreached func(err error) (Unreached, bool)
	// Public is the origin under which people reach the service.
	Public *url.URL
}

// Service does what operators ask. It is safe for concurrent use.
type Service struct{ Deps }

// New checks the dependencies.
func New(d Deps) (*Service, error) {
	if d.Installation == nil || d.Access == nil || d.Accounts == nil || d.Keys == nil || d.Apps == nil || d.Runtimes == nil || d.Unreached == nil || d.Public == nil {
		return nil, errors.New("operator: every dependency is required")
	}
	return &Service{Deps: d}, nil
}

// As gives the operations as this caller's.
func (s *Service) As(c audit.Caller) Operations { return acts{Service: s, by: c.Actor()} }

// acts are the operations under the name of who asks. Each judges its request again:
// the command that did may be of another version.
type acts struct {
	*Service
	by audit.Actor
}

func (a acts) SetupCode(ctx context.Context) (SetupCode, error) {
	code, err := a.Installation.NewCode(ctx)
	if err != nil {
		return SetupCode{}, err
	}
	return SetupCode{Code: Pass(code), URL: a.Public.JoinPath("/setup").String()}, nil
}

func (a acts) CreateOwner(ctx context.Context, o Owner) (Created, error) {
	owner, err := o.parse()
	if err != nil {
		return Created{}, err
	}
	who, err := a.Installation.CreateOwnerBy(ctx, a.by, owner)
	if err != nil {
		return Created{}, judged(err)
	}
	return Created{AccountID: who.ID, Email: who.Email, URL: a.Public.JoinPath("/signin").String()}, nil
}

func (a acts) SetStatus(ctx context.Context, s Status) (access.StatusChange, error) {
	if err := s.Check(); err != nil {
		return access.StatusChange{}, err
	}
	return a.Access.SetStatus(ctx, s.Account, account.Status(s.Status), a.by)
}

func (a acts) ListTokens(ctx context.Context, q TokenQuery) (access.TokenPage, error) {
	if err := q.Check(); err != nil {
		return access.TokenPage{}, err
	}
	return a.Access.ListTokens(ctx, access.TokenFilter{Email: q.Email}, q.Page, q.Limit)
}

func (a acts) RevokeToken(ctx context.Context, r TokenRef) (access.Revoked, error) {
	if err := r.Check(); err != nil {
		return access.Revoked{}, err
	}
	return a.Access.RevokeSession(ctx, r.ID, a.by)
}

func (a acts) RotateSecretKey(ctx context.Context) (SecretKey, error) {
	return a.Keys.RotateSecretKey(ctx, a.by)
}

func (a acts) RotateSealingKey(ctx context.Context) (SealingKey, error) {
	return a.Keys.RotateSealingKey(ctx, a.by)
}

func (a acts) Snapshot(ctx context.Context) (backup.Snapshot, error) { return a.Keys.Snapshot(ctx) }

func (a acts) Bundle(ctx context.Context) (Bundle, error) { return a.Keys.Bundle(ctx) }

func (a acts) RevokeSubject(ctx context.Context, s Subject) (access.Receipt, error) {
	if err := s.Check(); err != nil {
		return access.Receipt{}, err
	}
	target := access.Target{Issuer: s.Issuer, SubjectID: s.SubjectID, Email: s.Email, AccountID: s.AccountID}
	if s.Issuer == "" && s.Email != "" {
		email, _ := canon.Email(s.Email)
		who, err := a.Accounts.ByEmail(ctx, email)
		if errors.Is(err, account.ErrNotFound) {
			return access.Receipt{}, ErrNoAccount
		}
		if err != nil {
			return access.Receipt{}, fault.Store(err)
		}
		target = access.Target{AccountID: who.ID}
	}
	reason, _ := canon.Text(s.Reason, access.MaxReason)
	return a.Access.Kill(ctx, target, reason, a.by)
}
