// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// Caller is the command that asks.
type Caller = audit.Caller

// Operation decodes a request and does it in the name of who asks. What it gives is
// encoded as JSON; its failure is a fault.
type Operation func(ctx context.Context, by Caller, body []byte) (answer any, err error)

// Takes makes an operation of a function. A member that this version does not know is
// refused: what an operator asked must not be done by half.
func Takes[Q, A any](do func(ctx context.Context, by Caller, q Q) (A, error)) Operation {
	return func(ctx context.Context, by Caller, body []byte) (any, error) {
		var q Q
		if err := wire.JSON(body, &q, wire.Refuse); err != nil {
			if p, ok := err.(*wire.Problems); ok { //nolint:errorlint // the decoder returns it bare
				return nil, p.Fault(errRequest)
			}
			return nil, err
		}
		return do(ctx, by, q)
	}
}
