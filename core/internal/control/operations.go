// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"

	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

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
	opSecretKey   = "rotate-secret-key"
	opSealingKey  = "rotate-sealing-key"
	opSnapshot    = "snapshot"
	opBundle      = "support-bundle"
)

// operation decodes a request and does it.
type operation func(ctx context.Context, by operator.Operations, body []byte) (answer any, err error)

// operations are all that a client can ask.
var operations = map[string]operation{
	opSetupCode: takes(func(by operator.Operations, ctx context.Context, _ struct{}) (operator.SetupCode, error) {
		return by.SetupCode(ctx)
	}),
	opCreateOwner: takes(operator.Operations.CreateOwner),
	opAccount:     takes(operator.Operations.CreateAccount),
	opPassword:    takes(operator.Operations.SetPassword),
	opAdmin:       takes(operator.Operations.SetAdministrator),
	opAccounts:    takes(operator.Operations.ListAccounts),
	opSetStatus:   takes(operator.Operations.SetStatus),
	opTokens:      takes(operator.Operations.ListTokens),
	opRevokeToken: takes(operator.Operations.RevokeToken),
	opRevoke:      takes(operator.Operations.RevokeSubject),
	opSecretKey: takes(func(by operator.Operations, ctx context.Context, _ struct{}) (operator.SecretKey, error) {
		return by.RotateSecretKey(ctx)
	}),
	opSealingKey: takes(func(by operator.Operations, ctx context.Context, _ struct{}) (operator.SealingKey, error) {
		return by.RotateSealingKey(ctx)
	}),
	opSnapshot: takes(func(by operator.Operations, ctx context.Context, _ struct{}) (operator.Snapshot, error) {
		return by.Snapshot(ctx)
	}),
	opBundle: takes(func(by operator.Operations, ctx context.Context, _ struct{}) (operator.Bundle, error) {
		return by.Bundle(ctx)
	}),
}

// takes makes an operation of a method. A member that this version does not know is
// refused: what an operator asked must not be done by half.
func takes[Q, A any](call func(by operator.Operations, ctx context.Context, q Q) (A, error)) operation {
	return func(ctx context.Context, by operator.Operations, body []byte) (any, error) {
		var q Q
		if err := wire.JSON(body, &q, wire.Refuse); err != nil {
			if p, ok := err.(*wire.Problems); ok { //nolint:errorlint // the decoder returns it bare
				return nil, p.Fault(errRequest)
			}
			return nil, err
		}
		return call(by, ctx, q)
	}
}
