// SPDX-License-Identifier: Apache-2.0

//go:build unix

package redisstore

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func grant(n byte) devicegrant.Grant {
	return devicegrant.Grant{
		Ref: secret.Digest{n}, UserMAC: secret.Digest{n, 1}, ClientID: "difyctl", Label: "l", State: devicegrant.Pending,
		CreatedAt: now, ExpiresAt: now.Add(devicegrant.Lifetime), CreatedIP: "192.0.2.1", Interval: devicegrant.FirstInterval,
	}
}

// one is a place with a store, and a grant that somebody approved.
type one struct {
	*place
	Grants
	t *testing.T
	g devicegrant.Grant
}

func newOne(t *testing.T) *one {
	t.Helper()
	p := withPrefix(t)
	o := &one{place: p, Grants: Grants{DB: p.a, Log: p.logger}, t: t, g: grant(1)}
	o.create(o.g)
	o.decide(devicegrant.Approved, now)
	return o
}

func (o *one) create(g devicegrant.Grant) {
	o.t.Helper()
	if err := o.Create(o.t.Context(), g); err != nil {
		o.t.Fatal(err)
	}
}

func (o *one) decide(to devicegrant.State, at time.Time) {
	o.t.Helper()
	if err := o.Decide(o.t.Context(), devicegrant.Decision{Ref: o.g.Ref, To: to, Subject: []byte("subject"), Transition: "t", Now: at}); err != nil {
		o.t.Fatal(err)
	}
}

func (o *one) poll(owner string, at time.Time, want devicegrant.PollResult) {
	o.t.Helper()
	got, _, err := o.Poll(o.t.Context(), devicegrant.Poll{Ref: o.g.Ref, ClientID: "difyctl", Owner: owner, Now: at})
	if err != nil || got != want {
		o.t.Fatalf("%d and %v, want %d", got, err, want)
	}
}

func (o *one) found(mac secret.Digest, want error) {
	o.t.Helper()
	if _, err := o.Find(o.t.Context(), mac, now); !errors.Is(err, want) {
		o.t.Fatalf("find: %v, want %v", err, want)
	}
}

// lives checks what is left of a key's life, give or take what the test took.
func (o *one) lives(key string, want time.Duration) {
	o.t.Helper()
	got := o.raw.PTTL(o.t.Context(), key).Val()
	if got > want || got < want-30*time.Second {
		o.t.Errorf("%s lives %s more, want %s", key, got, want)
	}
}

func TestAGrantThatCannotBeReadIsMissing(t *testing.T) {
	for name, c := range map[string]struct{ field, value string }{
		"another version": {"v", "2"}, "no version": {"v", ""}, "a state of its own": {"status", "granted"}, "no digest": {"user_mac", "abc"},
		"a time that is none": {"expires_at", "soon"}, "a negative time": {"created_at", "-1"}, "a time in exponents": {"lease_until", "1e9"},
		"a hexadecimal time": {"last_poll", "0x10"}, "a number too long": {"claim_no", strings.Repeat("9", 17)}, "an endless interval": {"interval", "inf"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOne(t)
			key := o.grantKey(o.g.Ref)
			if err := o.raw.HSet(t.Context(), key, c.field, c.value).Err(); err != nil {
				t.Fatal(err)
			}
			o.isMissing()
			if got := o.raw.HGet(t.Context(), key, c.field).Val(); got != c.value {
				t.Fatalf("it was written to: %q", got)
			}
		})
	}
	t.Run("fields are gone", func(t *testing.T) {
		for _, field := range fieldNames {
			o := newOne(t)
			if err := o.raw.HDel(t.Context(), o.grantKey(o.g.Ref), field).Err(); err != nil {
				t.Fatal(err)
			}
			o.isMissing()
		}
	})
	t.Run("another kind of value", func(t *testing.T) {
		o := newOne(t)
		if err := o.raw.Set(t.Context(), o.grantKey(o.g.Ref), "x", time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		o.isMissing()
	})
}

// isMissing asks in every way and wants it said in the log.
func (o *one) isMissing() {
	o.t.Helper()
	ctx := o.t.Context()
	o.found(o.g.UserMAC, devicegrant.ErrNotFound)
	if o.log.Len() == 0 {
		o.t.Error("nobody was told")
	}
	o.poll("owner", now, devicegrant.PollUnknown)
	err := o.Decide(ctx, devicegrant.Decision{Ref: o.g.Ref, To: devicegrant.Denied, Transition: "t", Now: now})
	if !errors.Is(err, devicegrant.ErrNotFound) {
		o.t.Errorf("decide: %v", err)
	}
	if err := errors.Join(o.ForgetPoll(ctx, o.g.Ref), o.Release(ctx, o.g.Ref, "owner"), o.Delete(ctx, o.g.Ref, "owner")); err != nil {
		o.t.Error(err)
	}
}

func TestWhatACrashLeaves(t *testing.T) {
	t.Run("an entry without its grant keeps its code and leads nowhere", func(t *testing.T) {
		o := newOne(t)
		if err := o.raw.Del(t.Context(), o.grantKey(o.g.Ref)).Err(); err != nil {
			t.Fatal(err)
		}
		o.found(o.g.UserMAC, devicegrant.ErrNotFound)
		second := grant(2)
		second.UserMAC = o.g.UserMAC
		if err := o.Create(t.Context(), second); !errors.Is(err, devicegrant.ErrUserCodeTaken) {
			t.Fatal(err)
		}
		if n := o.held(t)(); n != 0 {
			t.Fatalf("the loser left %d grants", n)
		}
	})
	t.Run("a grant without its entry cannot be approved", func(t *testing.T) {
		o := newOne(t)
		if err := o.raw.Del(t.Context(), o.userKey(o.g.UserMAC)).Err(); err != nil {
			t.Fatal(err)
		}
		o.found(o.g.UserMAC, devicegrant.ErrNotFound)
	})
	t.Run("an entry that names another grant leads nowhere", func(t *testing.T) {
		o := newOne(t)
		other := grant(2)
		o.create(other)
		if err := o.raw.Set(t.Context(), o.userKey(o.g.UserMAC), other.Ref.Hex(), time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		o.found(o.g.UserMAC, devicegrant.ErrNotFound)
		o.found(other.UserMAC, nil)
	})
	t.Run("an entry that is none leads nowhere and is taken over", func(t *testing.T) {
		o := newOne(t)
		if err := o.raw.Set(t.Context(), o.userKey(o.g.UserMAC), "junk", time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		o.found(o.g.UserMAC, devicegrant.ErrNotFound)
		o.create(o.g)
		o.found(o.g.UserMAC, nil)
	})
	t.Run("a start whose reply was lost is written again", func(t *testing.T) {
		o := newOne(t)
		second := grant(2)
		o.create(second)
		o.create(second)
		o.found(second.UserMAC, nil)
	})
}

func TestLives(t *testing.T) {
	o := newOne(t)
	key, user := o.grantKey(o.g.Ref), o.userKey(o.g.UserMAC)
	o.lives(key, devicegrant.Lifetime+beyond)
	o.lives(user, devicegrant.Lifetime+beyond)

	late := grant(2)
	late.ExpiresAt = late.CreatedAt.Add(time.Second)
	o.create(late)
	o.g = late
	key, user = o.grantKey(late.Ref), o.userKey(late.UserMAC)
	o.lives(key, time.Second+beyond)
	o.decide(devicegrant.Approved, now)
	o.lives(key, devicegrant.DecisionLife+beyond)
	o.lives(user, time.Second+beyond) // as long as the decided grant can be looked up

	testserver.RedisAge(t, o.raw, o.prefix, time.Minute)
	o.poll("owner", now, devicegrant.PollClaimed)
	o.lives(key, devicegrant.Lease+beyond)

	denied := grant(3)
	o.create(denied)
	o.g = denied
	o.decide(devicegrant.Denied, now)
	o.poll("owner", now, devicegrant.PollDenied)
	o.lives(o.grantKey(denied.Ref), beyond)
	if n := o.raw.Exists(t.Context(), o.userKey(denied.UserMAC)).Val(); n != 0 {
		t.Error("the user code of a denied grant is still taken")
	}
	for _, key := range testserver.RedisKeys(t, o.raw, o.prefix) {
		if o.raw.PTTL(t.Context(), key).Val() < 0 {
			t.Errorf("%s lives for ever", key)
		}
	}
}

func TestAGrantIsSmall(t *testing.T) {
	t.Run("DEV-27 the largest grant has at most 4 KiB", func(t *testing.T) {
		o := newOne(t)
		g := grant(5)
		g.ClientID, g.Label, g.CreatedIP = strings.Repeat("c", 64), strings.Repeat("😀", devicegrant.MaxLabel), strings.Repeat("f", 45)
		o.create(g)
		d := devicegrant.Decision{Ref: g.Ref, To: devicegrant.Approved, Subject: make([]byte, 1500), Transition: strings.Repeat("t", 36), Now: now}
		if err := o.Decide(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		n := 0
		for name, value := range o.raw.HGetAll(t.Context(), o.grantKey(g.Ref)).Val() {
			n += len(name) + len(value)
		}
		if n < 1000 || n > 4096 {
			t.Fatalf("%d bytes", n)
		}
	})
}
