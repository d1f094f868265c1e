// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Grants implements devicegrant.Store. It is safe for concurrent use.
type Grants struct {
	DB *redisdb.DB
	// Log hears of grants that cannot be read.
	Log *slog.Logger
}

var _ devicegrant.Store = Grants{}

func (s Grants) grantKey(ref secret.Digest) string { return s.DB.Key("dg:g", ref.Hex()) }
func (s Grants) userKey(mac secret.Digest) string  { return s.DB.Key("dg:u", mac.Hex()) }

// Create implements devicegrant.Store. The grant is written before its user code is
// taken: whoever finds the code finds the grant, but for a cluster, whose two servers
// write at once.
func (s Grants) Create(ctx context.Context, g devicegrant.Grant) error {
	life := max(1, (g.ExpiresAt.Sub(g.CreatedAt) + beyond).Milliseconds())
	key, user := s.grantKey(g.Ref), s.userKey(g.UserMAC)
	replies, err := s.DB.All(ctx,
		redisdb.Call{Script: writeScript, Keys: []string{key}, Args: append([]any{life}, encodeGrant(g)...)},
		redisdb.Call{Script: claimScript, Keys: []string{user}, Args: []any{g.Ref.Hex(), life, ""}})
	if err != nil {
		return err
	}
	holder, _ := replies[1].Value.(string)
	if holder != g.Ref.Hex() {
		over, err := s.over(ctx, holder, g.CreatedAt)
		if err == nil && over {
			var v any
			v, err = s.DB.Run(ctx, claimScript, []string{user}, g.Ref.Hex(), life, holder)
			holder, _ = v.(string)
		}
		if err != nil || holder != g.Ref.Hex() {
			s.tidy(ctx, func(ctx context.Context) error { _, err := s.DB.Do(ctx, "del", key); return err })
			if err != nil {
				return err
			}
			return devicegrant.ErrUserCodeTaken
		}
	}
	return nil
}

// over reports whether the grant that holds a user code is past its end. One that is
// not there may be on its way, or have crashed: its code stays taken until Redis
// collects it, and the caller draws another.
func (s Grants) over(ctx context.Context, holder string, now time.Time) (bool, error) {
	ref, err := digestFrom(holder)
	if err != nil {
		return true, nil //nolint:nilerr // it is no entry of ours
	}
	g, err := s.read(ctx, ref)
	if errors.Is(err, errMissing) {
		return false, nil
	}
	return err == nil && (g.told || g.Expired(now)), err
}

// Poll implements devicegrant.Store in one trip, but for the user code of a denied
// grant.
func (s Grants) Poll(ctx context.Context, p devicegrant.Poll) (devicegrant.PollResult, devicegrant.Grant, error) {
	result, g, err := s.move(ctx, pollScript, p.Ref, p.ClientID, p.Owner, p.Now.UnixMicro())
	if err != nil {
		return devicegrant.PollUnknown, devicegrant.Grant{}, err
	}
	if result == int64(devicegrant.PollDenied) {
		s.free(ctx, g)
	}
	return devicegrant.PollResult(result), g, nil
}

// ForgetPoll implements devicegrant.Store.
func (s Grants) ForgetPoll(ctx context.Context, ref secret.Digest) error {
	_, _, err := s.move(ctx, forgetScript, ref)
	return err
}

// Find implements devicegrant.Store.
func (s Grants) Find(ctx context.Context, userMAC secret.Digest, now time.Time) (devicegrant.Grant, error) {
	v, err := s.DB.Do(ctx, "get", s.userKey(userMAC))
	if err != nil && !redisdb.WrongType(err) {
		return devicegrant.Grant{}, err
	}
	entry, _ := v.(string)
	ref, err := digestFrom(entry)
	if err != nil { // no entry, or none of ours
		return devicegrant.Grant{}, devicegrant.ErrNotFound
	}
	g, err := s.read(ctx, ref)
	if errors.Is(err, errMissing) {
		return devicegrant.Grant{}, devicegrant.ErrNotFound
	}
	if err != nil {
		return devicegrant.Grant{}, err
	}
	// The code leads to the grant that holds it: an entry whose grant has drawn another
	// code, or that somebody changed, leads nowhere.
	if g.told || g.UserMAC != userMAC || g.Expired(now) {
		return devicegrant.Grant{}, devicegrant.ErrNotFound
	}
	return g.Grant, nil
}

// Decide implements devicegrant.Store.
func (s Grants) Decide(ctx context.Context, d devicegrant.Decision) error {
	result, _, err := s.move(ctx, decideScript, d.Ref, string(d.To), d.Subject, d.Transition, d.Now.UnixMicro())
	switch {
	case err != nil:
		return err
	case result == decideDone:
		return nil
	case result == decideResolved:
		return devicegrant.ErrAlreadyResolved
	default: // decideGone
		return devicegrant.ErrNotFound
	}
}

// Release implements devicegrant.Store.
func (s Grants) Release(ctx context.Context, ref secret.Digest, owner string) error {
	_, _, err := s.move(ctx, releaseScript, ref, owner)
	return err
}

// Delete implements devicegrant.Store.
func (s Grants) Delete(ctx context.Context, ref secret.Digest, owner string) error {
	result, g, err := s.move(ctx, deleteScript, ref, owner)
	if err == nil && result == int64(devicegrant.PollClaimed) {
		s.free(ctx, g)
	}
	return err
}

// Ping implements devicegrant.Store.
func (s Grants) Ping(ctx context.Context) error { return s.DB.Ping(ctx) }

// move runs a script on one grant. Its result comes with the grant where the script
// gives one; a grant that cannot be read is unknown.
func (s Grants) move(ctx context.Context, script *redisdb.Script, ref secret.Digest, args ...any) (int64, devicegrant.Grant, error) {
	v, err := s.DB.Run(ctx, script, []string{s.grantKey(ref)}, args...)
	if redisdb.WrongType(err) {
		v, err = []any{int64(unreadable)}, nil
	}
	if err != nil {
		return 0, devicegrant.Grant{}, err
	}
	reply, _ := v.([]any)
	if len(reply) == 0 {
		return 0, devicegrant.Grant{}, errReply
	}
	result, ok := reply[0].(int64)
	if !ok {
		return 0, devicegrant.Grant{}, errReply
	}
	if len(reply) == 1 && result != unreadable {
		return result, devicegrant.Grant{}, nil
	}
	g, err := decodeGrant(ref, reply[1:])
	if err != nil {
		s.report(ctx, ref)
		return int64(devicegrant.PollUnknown), devicegrant.Grant{}, nil //nolint:nilerr // it was reported
	}
	return result, g.Grant, nil
}

var (
	// errReply is a reply of another shape than the script's.
	errReply = errors.New("redisstore: the script's reply cannot be read")
	// errMissing: no such grant, or one that cannot be read.
	errMissing = errors.New("redisstore: no such grant")
)

// read gives a grant in whatever state.
func (s Grants) read(ctx context.Context, ref secret.Digest) (stored, error) {
	args := []any{"hmget", s.grantKey(ref)}
	for _, name := range fieldNames {
		args = append(args, name)
	}
	v, err := s.DB.Do(ctx, args...)
	if err != nil && !redisdb.WrongType(err) {
		return stored{}, err
	}
	fields, _ := v.([]any)
	if err == nil && allNil(fields) {
		return stored{}, errMissing
	}
	g, err := decodeGrant(ref, fields)
	if err != nil {
		s.report(ctx, ref)
		return stored{}, errMissing
	}
	return g, nil
}

func allNil(fields []any) bool {
	for _, f := range fields {
		if f != nil {
			return false
		}
	}
	return true
}

func (s Grants) report(ctx context.Context, ref secret.Digest) {
	s.Log.ErrorContext(ctx, "a stored device grant cannot be read and counts as missing", "ref", ref.Hex())
}

// free gives the user code of a deleted grant to others.
func (s Grants) free(ctx context.Context, g devicegrant.Grant) {
	s.tidy(ctx, func(ctx context.Context) error {
		_, err := s.DB.Run(ctx, freeScript, []string{s.userKey(g.UserMAC)}, g.Ref.Hex())
		return err
	})
}

// tidy removes what nobody can use, best effort: what stays ends by itself.
func (s Grants) tidy(ctx context.Context, act func(ctx context.Context) error) {
	_ = act(context.WithoutCancel(ctx))
}
