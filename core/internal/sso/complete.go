// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"context"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Complete believes or refuses an assertion that the browser brought, and gives the
// approval grant for its cookie. It returns *RefusedError. Neither the device grant nor
// anything else is moved but the mark that this assertion is used up.
func (s *Service) Complete(_ context.Context, _ string, _ secret.Text) (grant secret.Text, err error) {
	panic("later in this branch")
}
