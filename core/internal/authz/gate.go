// SPDX-License-Identifier: Apache-2.0

package authz

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Gate asks the short-lived store once for all that a bearer request needs of it: a
// permit of the token's limit, and what is remembered of the token. A call that the
// limit refuses learns nothing of the token. A policy whose Limit is 0 is not counted.
type Gate interface {
	// Enter fails only when the store could not be asked.
	Enter(ctx context.Context, p ratelimit.Policy, d secret.Digest, now time.Time) (ratelimit.Result, token.Remembered, error)
}
