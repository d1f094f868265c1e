// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// Records implements login.Records. It is safe for concurrent use.
//
// A claim is sent once and never repeated, so that its winner cannot be told by a second
// run of its own that it came too late: a lost answer is a failure, which says that the
// record may be gone. What was taken leaves a mark for the rest of its life, by which a
// second click is told from an attempt that was never there.
type Records struct{ DB *redisdb.DB }

var _ login.Records = Records{}

// taken stands where a record was. No sealed value is as short.
const taken = "x"

// take gives a value once. GETDEL would leave nothing to tell a repeat by.
var take = redisdb.NewScript(`
local v = redis.call('get', KEYS[1])
if v and v ~= ARGV[1] then
	redis.call('set', KEYS[1], ARGV[1], 'keepttl')
end
return v`).Named("take record")

func (s Records) key(on login.Shelf, d secret.Digest) string {
	return s.DB.Key("sso:"+string(on), d.Hex())
}

// Put implements login.Records.
func (s Records) Put(ctx context.Context, on login.Shelf, d secret.Digest, sealed []byte, life time.Duration) error {
	_, err := s.DB.Do(ctx, "set", s.key(on, d), sealed, "px", life.Milliseconds())
	return err
}

// Read implements login.Records.
func (s Records) Read(ctx context.Context, on login.Shelf, d secret.Digest) ([]byte, error) {
	v, err := s.DB.Do(ctx, "get", s.key(on, d))
	return value(v, err)
}

// Take implements login.Records.
func (s Records) Take(ctx context.Context, on login.Shelf, d secret.Digest) ([]byte, error) {
	v, err := s.DB.Run(ctx, take, []string{s.key(on, d)}, taken)
	return value(v, err)
}

func value(v any, err error) ([]byte, error) {
	if redisdb.WrongType(err) {
		return nil, login.ErrNoRecord
	}
	if err != nil {
		return nil, err
	}
	switch text, held := v.(string); {
	case !held:
		return nil, login.ErrNoRecord
	case text == taken:
		return nil, login.ErrTaken
	default:
		return []byte(text), nil
	}
}
