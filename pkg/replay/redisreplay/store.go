// SPDX-License-Identifier: Apache-2.0

package redisreplay

import (
	"context"
	"strconv"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
)

// Store implements envelope.Replay. Marks end by Redis's clock. It is safe for concurrent
// use.
type Store struct{ DB *redisdb.DB }

var _ envelope.Replay = Store{}

// Consume implements envelope.Replay by one SET NX, so that one of all processes hears
// true. An answer that was lost leaves the mark: the message is then refused, which costs
// its holder a new one, where asking again would be answered "used".
func (s Store) Consume(ctx context.Context, audience envelope.Audience, id string, ttl time.Duration) (fresh bool, err error) {
	key := s.DB.Key("sso:j", string(audience)+":"+id)
	v, err := s.DB.Do(ctx, "set", key, "1", "nx", "px", strconv.FormatInt(ttl.Milliseconds(), 10))
	if err != nil {
		return false, err
	}
	return v != nil, nil
}
