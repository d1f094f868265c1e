// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/backup"
	"github.com/dify-sso/dify-sso/pkg/control"
)

// Service is the name by which commands and the server know each other.
const Service = "core"

// The names of the operations on the wire.
const (
	opSetupCode   = "setup-code"
	opCreateOwner = "create-owner"
	opAccount     = "create-account"
	opPassword    = "set-password"
	opAdmin       = "set-administrator"
	opAccounts    = "accounts"
	opSetStatus   = "set-status"
	opTokens      = "tokens"
	opRevokeToken = "revoke-token"
	opRevoke      = "revoke-subject"
	opApps        = "apps"
	opApp         = "app"
	opDeclare     = "declare-apps"
	opRemoveApp   = "remove-app"
	opCheckApp    = "check-app"
	opSecretKey   = "rotate-secret-key"
	opSealingKey  = "rotate-sealing-key"
	opSnapshot    = "snapshot"
	opBundle      = "support-bundle"
)

// copyLimit bounds the copy of a database, which grows with it.
const copyLimit = 10 * time.Minute

var slow = control.Slow{opSnapshot: copyLimit}

// MaxDeclared bounds what declares apps, in bytes: a file of them with what it names.
const MaxDeclared = 2 << 20

var large = control.Large{opDeclare: MaxDeclared}

// NewServer makes a server of core's operations; Service, Operations, Slow and Large of d
// are filled in.
func NewServer(as func(by control.Caller) operator.Operations, d control.Deps) (*control.Server, error) {
	d.Service, d.Operations, d.Slow, d.Large = Service, Operations(as), slow, large
	return control.NewServer(d)
}

// Operations are all that a client can ask of core; as gives them in the name of who
// asks.
func Operations(as func(by control.Caller) operator.Operations) map[string]control.Operation {
	return map[string]control.Operation{
		opSetupCode: takes(as, func(o operator.Operations, ctx context.Context, _ struct{}) (operator.SetupCode, error) {
			return o.SetupCode(ctx)
		}),
		opCreateOwner: takes(as, operator.Operations.CreateOwner),
		opAccount:     takes(as, operator.Operations.CreateAccount),
		opPassword:    takes(as, operator.Operations.SetPassword),
		opAdmin:       takes(as, operator.Operations.SetAdministrator),
		opAccounts:    takes(as, operator.Operations.ListAccounts),
		opSetStatus:   takes(as, operator.Operations.SetStatus),
		opTokens:      takes(as, operator.Operations.ListTokens),
		opRevokeToken: takes(as, operator.Operations.RevokeToken),
		opRevoke:      takes(as, operator.Operations.RevokeSubject),
		opApps:        takes(as, operator.Operations.ListApps),
		opApp:         takes(as, operator.Operations.ShowApp),
		opDeclare:     takes(as, operator.Operations.DeclareApps),
		opRemoveApp:   takes(as, operator.Operations.RemoveApp),
		opCheckApp:    takes(as, operator.Operations.CheckApp),
		opSecretKey: takes(as, func(o operator.Operations, ctx context.Context, _ struct{}) (operator.SecretKey, error) {
			return o.RotateSecretKey(ctx)
		}),
		opSealingKey: takes(as, func(o operator.Operations, ctx context.Context, _ struct{}) (operator.SealingKey, error) {
			return o.RotateSealingKey(ctx)
		}),
		opSnapshot: takes(as, func(o operator.Operations, ctx context.Context, _ struct{}) (backup.Snapshot, error) {
			return o.Snapshot(ctx)
		}),
		opBundle: takes(as, func(o operator.Operations, ctx context.Context, _ struct{}) (operator.Bundle, error) {
			return o.Bundle(ctx)
		}),
	}
}

// takes makes an operation of a method.
func takes[Q, A any](as func(by control.Caller) operator.Operations, call func(o operator.Operations, ctx context.Context, q Q) (A, error)) control.Operation {
	return control.Takes(func(ctx context.Context, by control.Caller, q Q) (A, error) { return call(as(by), ctx, q) })
}
