// SPDX-License-Identifier: Apache-2.0

package authz

import (
	"context"

	"github.com/dify-sso/dify-sso/core/internal/token"
)

// Still asks again for the token of a caller that Authenticate has let in, for an answer
// that goes on. It is no request: no limit counts it and no address pays for it. It
// returns token.ErrInvalid when the token or its account has ended since, and a 503 when
// nobody can say.
//
// It does not ask again for the app or the workspace: what a caller was let into runs to
// its end, and whoever takes away more than a right to begin ends the token or the account.
func (b *BearerAuthenticator) Still(ctx context.Context, c *Caller) error {
	if !c.ExpiresAt.After(b.Now()) { // also while no store answers
		return token.ErrInvalid.Because(token.CauseExpired)
	}
	_, err := b.Tokens.Resolve(ctx, c.Kind, c.digest)
	return err
}
