// SPDX-License-Identifier: Apache-2.0

//go:build unix

package redisstore

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

var someContext = token.Context{
	SessionID: "01a21bdc-fe03-7de7-a706-02ceb924cc4c", Subject: token.AccountSubject("01a21bdc-fde4-738a-a67a-3a8690579f5f", "ada@example.com"),
	AccountName: "Ada Lovelace", ClientID: "difyctl", Label: "difyctl on ada-laptop", CreatedAt: now, ExpiresAt: now.Add(14 * 24 * time.Hour),
}

func TestAnEntryThatCannotBeRead(t *testing.T) {
	limit := ratelimit.Policy{Name: "bearer.token", Limit: 60, Window: time.Minute}
	d := secret.Digest{1}
	for name, plant := range map[string]func(t *testing.T, p *place, key string) error{
		"nothing": func(t *testing.T, p *place, key string) error {
			return p.raw.Set(t.Context(), key, "", time.Minute).Err()
		},
		"junk": func(t *testing.T, p *place, key string) error {
			return p.raw.Set(t.Context(), key, "\xff\x00{", time.Minute).Err()
		},
		"half a context": func(t *testing.T, p *place, key string) error {
			return p.raw.Set(t.Context(), key, `{"s":"session","i":"dify:account"`, time.Minute).Err()
		},
		"a context of nobody": func(t *testing.T, p *place, key string) error {
			return p.raw.Set(t.Context(), key, `{}`, time.Minute).Err()
		},
		"null": func(t *testing.T, p *place, key string) error {
			return p.raw.Set(t.Context(), key, `null`, time.Minute).Err()
		},
		"another kind of value": func(t *testing.T, p *place, key string) error { return p.raw.LPush(t.Context(), key, "x").Err() },
		"almost a tombstone": func(t *testing.T, p *place, key string) error {
			return p.raw.Set(t.Context(), key, "xx", time.Minute).Err()
		},
		"two contexts in one row": func(t *testing.T, p *place, key string) error { return p.raw.Append(t.Context(), key, `{}{}`).Err() },
	} {
		t.Run("TK-26 "+name+" is a miss", func(t *testing.T) {
			p := withPrefix(t)
			s := Bearers{DB: p.a, Log: p.logger}
			if err := plant(t, p, s.key(d)); err != nil {
				t.Fatal(err)
			}
			if r, err := s.Get(t.Context(), d, now); err != nil || r != (token.Remembered{}) {
				t.Fatalf("%+v, %v", r, err)
			}
			if r, found, err := (Gate{Bearers: s}).Enter(t.Context(), limit, d, now); err != nil || !r.Allowed || found != (token.Remembered{}) {
				t.Fatalf("%+v, %+v, %v", r, found, err)
			}
			if n := strings.Count(p.log.String(), "\n"); n != 2 {
				t.Errorf("it was said %d times", n)
			}
			// Neither a reader's context nor anything else hides a tombstone.
			if err := s.Remember(t.Context(), d, someContext, now, token.LiveFor); err != nil {
				t.Fatal(err)
			}
			if err := s.Bury(t.Context(), now, d); err != nil {
				t.Fatal(err)
			}
			if r, err := s.Get(t.Context(), d, now); err != nil || r.Finding != token.Buried {
				t.Fatalf("%+v, %v", r, err)
			}
			if err := s.Forget(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			if r, err := s.Get(t.Context(), d, now); err != nil || r.Finding != token.Missing {
				t.Fatalf("%+v, %v", r, err)
			}
		})
	}
}

func TestEntriesAreSmallAndEnd(t *testing.T) {
	p := withPrefix(t)
	s := Bearers{DB: p.a, Log: p.logger}
	if err := s.Remember(t.Context(), secret.Digest{1}, someContext, now, token.LiveFor); err != nil {
		t.Fatal(err)
	}
	if n := p.raw.StrLen(t.Context(), s.key(secret.Digest{1})).Val(); n == 0 || n > 300 {
		t.Errorf("a usual context takes %d bytes", n)
	}
	if err := s.RememberUnknown(t.Context(), secret.Digest{2}, now); err != nil {
		t.Fatal(err)
	}
	if err := s.Bury(t.Context(), now, secret.Digest{3}); err != nil {
		t.Fatal(err)
	}
	for i, most := range []time.Duration{token.LiveFor, token.UnknownFor, token.BuriedFor} {
		if d := p.raw.PTTL(t.Context(), s.key(secret.Digest{byte(i + 1)})).Val(); d <= 0 || d > most {
			t.Errorf("number %d lives %s", i+1, d)
		}
	}
	// A life below what Redis can measure is none.
	if err := s.Remember(t.Context(), secret.Digest{4}, someContext, now, time.Millisecond-1); err != nil {
		t.Fatal(err)
	}
	if n := len(testserver.RedisKeys(t, p.raw, p.prefix)); n != 3 {
		t.Fatalf("%d entries", n)
	}
}

// Whatever stands in Redis, reading it neither fails nor makes a person up.
func FuzzDecodeRemembered(f *testing.F) {
	whole, err := json.Marshal(someContext)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "x", "0", "x0", "null", "{}", "[]", `"x"`, string(whole), string(whole) + "x", string(whole[1:]), strings.ToUpper(string(whole)),
		`{"s":"a","i":"https://idp.example","u":"b","x":1}`, `{"s":"a","i":"dify:account","u":"b","x":1}`, `{"s":1}`, `{"x":1e400}`, "{\"s\":\"\xff\"}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := decodeRemembered(text)
		switch {
		case !ok:
			if r != (token.Remembered{}) {
				t.Fatalf("%q is unreadable and %+v", text, r)
			}
		case text == tombstone || text == unknown:
			if r.Context != (token.Context{}) || r.Finding == token.Live {
				t.Fatalf("%q is %+v", text, r)
			}
		default:
			c := r.Context
			if r.Finding != token.Live || c.SessionID == "" || c.Subject.Issuer == "" || c.Subject.ID == "" || c.ExpiresAt.IsZero() ||
				(c.Subject.Issuer == token.AccountIssuer) != (c.Subject.AccountID != "") {
				t.Fatalf("%q makes up %+v", text, r)
			}
			again, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			if second, ok := decodeRemembered(string(again)); !ok || second != r {
				t.Fatalf("%q changes from %+v to %+v", text, r, second)
			}
		}
	})
}
