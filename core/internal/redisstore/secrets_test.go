// SPDX-License-Identifier: Apache-2.0

//go:build unix

package redisstore

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/ratelimit/redislimit"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

func TestADumpRedeemsNothing(t *testing.T) {
	eachPlace(t, func(t *testing.T, open func(t *testing.T) *place) {
		t.Run("INV-7 no code and no token is in Redis", func(t *testing.T) {
			p := open(t)
			ctx := t.Context()
			deviceCode, bearer, userCode := "dc_"+secret.Random(), "dfoa_"+secret.Random(), "WDJB-MJHT"
			s, bearers := Grants{DB: p.a, Log: p.logger}, Bearers{DB: p.a, Log: p.logger}
			g := grant(1)
			g.Ref, g.UserMAC = secret.DigestOf(deviceCode), secret.MACOf(bytes.Repeat([]byte{1}, 32), userCode)
			digest := secret.DigestOf(bearer)
			_, _, enter := Gate{Bearers: bearers}.Enter(ctx, tokenLimit, digest, now)
			_, take := redislimit.Store{DB: p.a}.Take(ctx, tokenLimit, digest.Hex(), now)
			err := errors.Join(enter, take, s.Create(ctx, g),
				s.Decide(ctx, devicegrant.Decision{Ref: g.Ref, To: devicegrant.Approved, Subject: []byte("{}"), Transition: "t", Now: now}),
				bearers.Remember(ctx, digest, someContext, now, token.LiveFor))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.Poll(ctx, devicegrant.Poll{Ref: g.Ref, ClientID: g.ClientID, Owner: "o", Now: now}); err != nil {
				t.Fatal(err)
			}

			var dump strings.Builder
			keys := testserver.RedisKeys(t, p.raw, p.prefix)
			for _, key := range keys {
				dump.WriteString(key + "\n" + p.raw.Get(ctx, key).Val() + "\n")
				for name, value := range p.raw.HGetAll(ctx, key).Val() {
					dump.WriteString(name + "=" + value + "\n")
				}
				if d := p.raw.PTTL(ctx, key).Val(); d <= 0 || d > time.Hour {
					t.Errorf("%s lives %s", key, d)
				}
			}
			if len(keys) != 4 || !strings.Contains(dump.String(), g.Ref.Hex()) || !strings.Contains(dump.String(), someContext.SessionID) {
				t.Fatalf("that is no dump of %d keys: %s", len(keys), dump.String())
			}
			for _, hidden := range []string{deviceCode, deviceCode[3:], bearer, bearer[5:], userCode, strings.ReplaceAll(userCode, "-", "")} {
				for _, form := range []string{hidden, hex.EncodeToString([]byte(hidden)), base64.StdEncoding.EncodeToString([]byte(hidden))} {
					if strings.Contains(dump.String(), form) {
						t.Errorf("%s is in Redis", hidden)
					}
				}
			}
		})
	})
}
