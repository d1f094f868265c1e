// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
)

// Slots implements run.Slots in one sorted set for each app: holders by the end of their
// leases. It is safe for concurrent use.
type Slots struct{ DB *redisdb.DB }

var _ run.Slots = Slots{}

func (s Slots) key(appID string) string { return s.DB.Key("run", appID) }

// slotsScript keeps a slot for a holder who has one, and gives one to another while there
// is room: holder, limit, now, end of the lease, its length in milliseconds. Without a
// limit the slot is kept in any case. A repeat changes nothing, so a call whose answer was
// lost may come again. Something else under the key is nobody's slot.
var slotsScript = redisdb.NewScript(`
local key, holder, limit, now, ends, life = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local kind = redis.call('TYPE', key).ok
if kind ~= 'zset' and kind ~= 'none' then redis.call('DEL', key) end
redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
if limit > 0 and not redis.call('ZSCORE', key, holder) and redis.call('ZCARD', key) >= limit then return 0 end
redis.call('ZADD', key, ends, holder)
if redis.call('PTTL', key) < tonumber(life) then redis.call('PEXPIRE', key, life) end
return 1
`).Named("slots")

// Take implements run.Slots.
func (s Slots) Take(ctx context.Context, appID, holder string, limit int, now time.Time) (bool, error) {
	if limit < 1 {
		return false, ctx.Err()
	}
	return s.run(ctx, appID, holder, limit, now)
}

// Renew implements run.Slots.
func (s Slots) Renew(ctx context.Context, appID, holder string, now time.Time) error {
	_, err := s.run(ctx, appID, holder, 0, now)
	return err
}

func (s Slots) run(ctx context.Context, appID, holder string, limit int, now time.Time) (bool, error) {
	v, err := s.DB.Run(ctx, slotsScript, []string{s.key(appID)}, holder, limit, now.UnixMilli(), now.Add(run.SlotLease).UnixMilli(), (run.SlotLease + beyond).Milliseconds())
	if err != nil {
		return false, err
	}
	taken, ok := v.(int64)
	if !ok {
		return false, errReply
	}
	return taken == 1, nil
}

// Free implements run.Slots.
func (s Slots) Free(ctx context.Context, appID, holder string) error {
	_, err := s.DB.Do(ctx, "zrem", s.key(appID), holder)
	return err
}
