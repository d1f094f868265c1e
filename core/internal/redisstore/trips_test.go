// SPDX-License-Identifier: Apache-2.0

//go:build unix

package redisstore

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// trips runs an act on a Redis of its own and gives what was sent by its names, calls
// of scripts included.
func trips(t *testing.T, act func(t *testing.T, db *redisdb.DB)) map[string]bool {
	t.Helper()
	server := testserver.StartRedis(t)
	raw := redis.NewClient(&redis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = raw.Close() })
	p := newPlace(t, redisdb.Options{URL: secret.New(server.URL())}, raw)
	act(t, p.a) // the scripts are known from here on
	if err := raw.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := raw.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	act(t, p.a)
	found := map[string]bool{}
	for line := range strings.Lines(raw.Info(t.Context(), "commandstats").Val()) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if ok {
			n, _, _ := strings.Cut(rest, ",")
			found[name+" "+n] = true
		}
	}
	return found
}

func TestOneTrip(t *testing.T) {
	t.Run("a pending poll", func(t *testing.T) {
		got := trips(t, func(t *testing.T, db *redisdb.DB) {
			s := Grants{DB: db}
			g := grant(1)
			if err := s.Create(t.Context(), g); err != nil { // two
				t.Fatal(err)
			}
			for i := range 7 {
				at := now.Add(time.Duration(i) * devicegrant.FirstInterval)
				if r, _, err := s.Poll(t.Context(), devicegrant.Poll{Ref: g.Ref, ClientID: g.ClientID, Owner: at.String(), Now: at}); err != nil || r != devicegrant.PollPending {
					t.Fatal(r, err)
				}
			}
		})
		if !got["evalsha 9"] || got["eval 1"] {
			t.Fatalf("sent %v", got)
		}
	})
	t.Run("INV-5 a poll of an unknown code, which writes nothing", func(t *testing.T) {
		got := trips(t, func(t *testing.T, db *redisdb.DB) {
			if r, _, err := (Grants{DB: db}).Poll(t.Context(), devicegrant.Poll{Ref: secret.Digest{1}, Owner: "o", Now: now}); err != nil || r != devicegrant.PollUnknown {
				t.Fatal(r, err)
			}
		})
		if !got["evalsha 1"] || !got["hmget 1"] || len(got) > 4 { // beside what asks for these figures
			t.Fatalf("sent %v", got)
		}
	})
	t.Run("a call of a bearer whose context is known", func(t *testing.T) {
		limit := ratelimit.Policy{Name: "bearer.token", Limit: 60, Window: time.Minute}
		got := trips(t, func(t *testing.T, db *redisdb.DB) {
			s := Bearers{DB: db}
			if err := s.Remember(t.Context(), secret.Digest{1}, someContext, now, token.LiveFor); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				if r, found, err := (Gate{Bearers: s}).Enter(t.Context(), limit, secret.Digest{1}, now); err != nil || !r.Allowed || found.Finding != token.Live {
					t.Fatal(r, found, err)
				}
			}
		})
		// Inside the script: the counter and the entry are read, the counter is written.
		if !got["evalsha 5"] || !got["get 10"] || !got["set 6"] || got["eval 1"] {
			t.Fatalf("sent %v", got)
		}
	})
}
