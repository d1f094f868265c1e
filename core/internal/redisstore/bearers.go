// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Bearers implements token.Cache. Entries end by Redis's clock; the caller's counts for
// nothing. It is safe for concurrent use.
type Bearers struct {
	DB *redisdb.DB
	// Log hears of entries that cannot be read.
	Log *slog.Logger
}

var _ token.Cache = Bearers{}

// What an entry holds (docs/specs/v1.0/server/tokens.md, Cache) beside the JSON of a
// context.
const (
	tombstone = "x"
	unknown   = "0"
)

// buryAtOnce bounds what one trip carries.
const buryAtOnce = 500

func (s Bearers) key(d secret.Digest) string { return s.DB.Key("auth", d.Hex(), "ctx") }

// Get implements token.Cache.
func (s Bearers) Get(ctx context.Context, d secret.Digest, _ time.Time) (token.Remembered, error) {
	v, err := s.DB.Do(ctx, "get", s.key(d))
	if redisdb.WrongType(err) {
		return s.remembered(ctx, "", true), nil
	}
	if err != nil {
		return token.Remembered{}, err
	}
	text, held := v.(string)
	return s.remembered(ctx, text, held), nil
}

// remembered reads an entry. One that cannot be read is a miss and is left alone: it
// may be a newer program's tombstone, and its life ends it.
func (s Bearers) remembered(ctx context.Context, text string, held bool) token.Remembered {
	if !held {
		return token.Remembered{}
	}
	r, ok := decodeRemembered(text)
	if !ok {
		s.Log.ErrorContext(ctx, "a remembered bearer cannot be read and counts as unasked") // its digest is nothing for a log
	}
	return r
}

// decodeRemembered reads what an entry holds; what is not ours is Missing.
func decodeRemembered(text string) (r token.Remembered, ok bool) {
	switch text {
	case tombstone:
		return token.Remembered{Finding: token.Buried}, true
	case unknown:
		return token.Remembered{Finding: token.Unknown}, true
	}
	if r.Context.UnmarshalJSON([]byte(text)) != nil {
		return token.Remembered{}, false
	}
	r.Finding = token.Live
	return r, true
}

// Remember implements token.Cache.
func (s Bearers) Remember(ctx context.Context, d secret.Digest, c token.Context, _ time.Time, life time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ms := life.Milliseconds()
	if ms <= 0 {
		return nil
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = s.DB.Do(ctx, "set", s.key(d), text, "px", ms, "nx")
	return err
}

// RememberUnknown implements token.Cache.
func (s Bearers) RememberUnknown(ctx context.Context, d secret.Digest, _ time.Time) error {
	_, err := s.DB.Do(ctx, "set", s.key(d), unknown, "px", token.UnknownFor.Milliseconds(), "nx")
	return err
}

// Bury implements token.Cache. Each tombstone was acknowledged when it returns nil; a
// failover that loses one is bounded by the life of a positive.
func (s Bearers) Bury(ctx context.Context, _ time.Time, digests ...secret.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for some := range slices.Chunk(digests, buryAtOnce) {
		calls := make([]redisdb.Call, len(some))
		for i, d := range some {
			calls[i] = redisdb.Call{Args: []any{"set", s.key(d), tombstone, "px", token.BuriedFor.Milliseconds()}}
		}
		if _, err := s.DB.All(ctx, calls...); err != nil {
			return err
		}
	}
	return nil
}

// Forget implements token.Cache.
func (s Bearers) Forget(ctx context.Context, d secret.Digest) error {
	_, err := s.DB.Do(ctx, "del", s.key(d))
	return err
}
