// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"context"
	"strconv"
	"time"

	"github.com/dify-sso/dify-sso/pkg/redisdb"
)

// Assertions remembers which SAML assertions were used. Marks end by Redis's clock. It is
// safe for concurrent use.
type Assertions struct{ DB *redisdb.DB }

// First keeps a mark for life and reports whether it was not there, by one SET NX: of all
// processes one hears true. An answer that was lost leaves the mark, so it is a failure
// and never a yes.
func (s Assertions) First(ctx context.Context, mark string, life time.Duration) (bool, error) {
	v, err := s.DB.Do(ctx, "set", s.DB.Key("sso:r", mark), "1", "nx", "px", strconv.FormatInt(life.Milliseconds(), 10))
	if err != nil {
		return false, err
	}
	return v != nil, nil
}
