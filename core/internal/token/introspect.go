// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"errors"
)

// Introspect says whom a presented token stands for, and whether it is live (RFC 7662).
// It is Parse and Resolve, so that an introspection and a bearer route never differ. It
// is no use of the token: neither its last use nor its limit moves. A failure means that
// nobody could be asked; it is never a verdict.
func (s *Service) Introspect(ctx context.Context, presented string) (who Identity, live bool, err error) {
	kind, d, err := s.Kinds.Parse(presented)
	if err != nil {
		return Identity{}, false, nil //nolint:nilerr // not a token of ours is an answer here
	}
	who, err = s.Resolve(ctx, kind, d)
	if errors.Is(err, ErrInvalid) {
		return Identity{}, false, nil
	}
	return who, err == nil, err
}
