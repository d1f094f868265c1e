// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/backup"
	"github.com/dify-sso/dify-sso/pkg/control"
)

// Client has a serving core do what a command asks.
type Client struct{ *control.Client }

var _ operator.Operations = Client{}

// Connect greets the core that serves at the socket. It returns control.ErrNoService when
// there is none.
func Connect(ctx context.Context, path, version string) (Client, error) {
	c, err := control.Connect(ctx, Service, path, version, slow)
	return Client{c}, err
}

// SetupCode implements operator.Operations.
func (c Client) SetupCode(ctx context.Context) (operator.SetupCode, error) {
	return control.Call[operator.SetupCode](ctx, c.Client, opSetupCode, struct{}{})
}

// CreateOwner implements operator.Operations.
func (c Client) CreateOwner(ctx context.Context, o operator.Owner) (operator.Created, error) {
	return control.Call[operator.Created](ctx, c.Client, opCreateOwner, o)
}

// CreateAccount implements operator.Operations.
func (c Client) CreateAccount(ctx context.Context, p operator.Person) (access.AccountMade, error) {
	return control.Call[access.AccountMade](ctx, c.Client, opAccount, p)
}

// SetPassword implements operator.Operations.
func (c Client) SetPassword(ctx context.Context, p operator.Password) (access.PasswordSet, error) {
	return control.Call[access.PasswordSet](ctx, c.Client, opPassword, p)
}

// SetAdministrator implements operator.Operations.
func (c Client) SetAdministrator(ctx context.Context, m operator.Administrator) (access.AdministratorChange, error) {
	return control.Call[access.AdministratorChange](ctx, c.Client, opAdmin, m)
}

// ListAccounts implements operator.Operations.
func (c Client) ListAccounts(ctx context.Context, q operator.AccountQuery) (access.AccountPage, error) {
	return control.Call[access.AccountPage](ctx, c.Client, opAccounts, q)
}

// SetStatus implements operator.Operations.
func (c Client) SetStatus(ctx context.Context, s operator.Status) (access.StatusChange, error) {
	return control.Call[access.StatusChange](ctx, c.Client, opSetStatus, s)
}

// ListTokens implements operator.Operations.
func (c Client) ListTokens(ctx context.Context, q operator.TokenQuery) (access.TokenPage, error) {
	return control.Call[access.TokenPage](ctx, c.Client, opTokens, q)
}

// RevokeToken implements operator.Operations.
func (c Client) RevokeToken(ctx context.Context, r operator.TokenRef) (access.Revoked, error) {
	return control.Call[access.Revoked](ctx, c.Client, opRevokeToken, r)
}

// RevokeSubject implements operator.Operations.
func (c Client) RevokeSubject(ctx context.Context, s operator.Subject) (access.Receipt, error) {
	return control.Call[access.Receipt](ctx, c.Client, opRevoke, s)
}

// ListApps implements operator.Operations.
func (c Client) ListApps(ctx context.Context, q operator.AppQuery) (operator.AppPage, error) {
	return control.Call[operator.AppPage](ctx, c.Client, opApps, q)
}

// ShowApp implements operator.Operations.
func (c Client) ShowApp(ctx context.Context, r operator.AppRef) (operator.AppEntry, error) {
	return control.Call[operator.AppEntry](ctx, c.Client, opApp, r)
}

// DeclareApps implements operator.Operations.
func (c Client) DeclareApps(ctx context.Context, w operator.AppsWanted) (operator.AppsPlanned, error) {
	return control.Call[operator.AppsPlanned](ctx, c.Client, opDeclare, w)
}

// RemoveApp implements operator.Operations.
func (c Client) RemoveApp(ctx context.Context, r operator.AppRef) (operator.AppRemoved, error) {
	return control.Call[operator.AppRemoved](ctx, c.Client, opRemoveApp, r)
}

// CheckApp implements operator.Operations.
func (c Client) CheckApp(ctx context.Context, r operator.AppRef) (operator.AppChecked, error) {
	return control.Call[operator.AppChecked](ctx, c.Client, opCheckApp, r)
}

// RotateSecretKey implements operator.Operations.
func (c Client) RotateSecretKey(ctx context.Context) (operator.SecretKey, error) {
	return control.Call[operator.SecretKey](ctx, c.Client, opSecretKey, struct{}{})
}

// RotateSealingKey implements operator.Operations.
func (c Client) RotateSealingKey(ctx context.Context) (operator.SealingKey, error) {
	return control.Call[operator.SealingKey](ctx, c.Client, opSealingKey, struct{}{})
}

// Snapshot implements operator.Operations.
func (c Client) Snapshot(ctx context.Context) (backup.Snapshot, error) {
	return control.Call[backup.Snapshot](ctx, c.Client, opSnapshot, struct{}{})
}

// Bundle implements operator.Operations.
func (c Client) Bundle(ctx context.Context) (operator.Bundle, error) {
	return control.Call[operator.Bundle](ctx, c.Client, opBundle, struct{}{})
}
