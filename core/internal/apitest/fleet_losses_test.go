// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// flForgets is a Redis that can lose what it acknowledged last.
type flForgets struct {
	apitest.Redis
	// together reports whether keys are lost together.
	together func(t *testing.T, keys ...string) bool
	// loses runs act and then has the key as it was before, with a failure in between.
	loses func(t *testing.T, s *flServers, key string, act func())
}

// flForgetful gives each kind of Redis a way to forget.
func flForgetful(t *testing.T, test func(t *testing.T, f flForgets)) {
	restarted := func(server *testserver.RedisServer, act func()) {
		act()
		server.Kill()
		server.Start(t)
	}
	save := func(t *testing.T, address string) {
		t.Helper()
		c := redis.NewClient(&redis.Options{Addr: address})
		defer func() { _ = c.Close() }()
		if err := c.Save(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	always := func(*testing.T, ...string) bool { return true }
	t.Run("a single one comes back with an old snapshot", func(t *testing.T) {
		t.Parallel()
		server := testserver.StartRedis(t)
		test(t, flForgets{apitest.RedisAt(t, server.URL(), ""), always, func(t *testing.T, s *flServers, _ string, act func()) {
			save(t, server.Addr)
			restarted(server, act)
			s.answering(t)
		}})
	})
	t.Run("one shard of a cluster does", func(t *testing.T) {
		t.Parallel()
		shards := testserver.StartRedisCluster(t)
		r := flCluster(shards)
		same := func(t *testing.T, keys ...string) bool {
			return flHolder(t, r.Client.(*redis.ClusterClient), shards, keys[0]) == flHolder(t, r.Client.(*redis.ClusterClient), shards, keys[1])
		}
		test(t, flForgets{r, same, func(t *testing.T, s *flServers, key string, act func()) {
			for _, shard := range shards {
				save(t, shard.Addr)
			}
			restarted(flHolder(t, s.Client.(*redis.ClusterClient), shards, key), act)
			s.answering(t)
		}})
	})
	t.Run("a sentinel promotes a replica that was behind", func(t *testing.T) {
		t.Parallel()
		g := testserver.RedisSentinel(t)
		test(t, flForgets{apitest.RedisBehindSentinel(g), always, func(t *testing.T, s *flServers, _ string, act func()) {
			if err := s.Client.(*redis.Client).Do(t.Context(), "wait", 1, 5000).Err(); err != nil {
				t.Fatal(err)
			}
			g.Replica.Pause()
			master := redis.NewClient(&redis.Options{Addr: g.Master.Addr})
			defer func() { _ = master.Close() }()
			// Or what it would have been sent meanwhile waits for it.
			if err := master.Do(t.Context(), "client", "kill", "type", "replica").Err(); err != nil {
				t.Fatal(err)
			}
			act()
			g.Master.Kill()
			g.Replica.Resume()
			s.answering(t)
		}})
	})
}

// flCluster is a cluster of the test's own.
func flCluster(shards []*testserver.RedisServer) apitest.Redis {
	var addrs []string
	for _, s := range shards {
		addrs = append(addrs, s.Addr)
	}
	return apitest.Redis{URL: "redis://" + strings.Join(addrs, ","), Mode: "cluster", Client: redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})}
}

// flHolder is the server on which a key lies.
func flHolder(t *testing.T, client *redis.ClusterClient, shards []*testserver.RedisServer, key string) *testserver.RedisServer {
	t.Helper()
	master, err := client.MasterForKey(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shards {
		if s.Addr == master.Options().Addr {
			return s
		}
	}
	t.Fatalf("nobody holds %s", key)
	return nil
}

// answering waits until both servers reach every store.
func (s *flServers) answering(t testing.TB) {
	t.Helper()
	eventually(t, func() (bool, string) {
		return htInner(t, s.a, "/readyz").Status == http.StatusOK && htInner(t, s.b, "/readyz").Status == http.StatusOK, "a server does not get ready again"
	})
}

// entry is what Redis remembers of a token: its context, a tombstone "x" or nothing.
func (s *flServers) entry(t testing.TB, bearer string) string {
	t.Helper()
	v, err := s.Client.Get(context.Background(), s.entryKey(bearer)).Result()
	if err != nil && err != redis.Nil { //nolint:errorlint // it is returned bare
		t.Fatal(err)
	}
	return v
}

func (s *flServers) entryKey(bearer string) string {
	return s.Prefix + "auth:{" + secret.DigestOf(bearer).Hex() + "}:ctx"
}

// back fails unless Redis remembers a token as live, which is what these tests are about.
func (s *flServers) back(t testing.TB, bearer string) {
	t.Helper()
	if got := s.entry(t, bearer); !strings.HasPrefix(got, "{") {
		t.Fatalf("the old positive is not back: %q", got)
	}
}

func TestTombstonesAreLost(t *testing.T) {
	aboutFleet(t)
	slow(t)
	flForgetful(t, func(t *testing.T, f flForgets) {
		s := flTwo(t, apitest.NewPairOn(t, f.Redis))
		first, _ := s.login(t, "laptop")
		ended, _ := s.login(t, "phone")
		for !f.together(t, s.entryKey(first), s.entryKey(ended)) {
			ended, _ = s.login(t, "phone")
		}
		s.alive(t, first, true)
		s.alive(t, ended, true)
		second, third := "", ""
		f.loses(t, s, s.entryKey(first), func() {
			wantAnswer(t, s.a.Bearer(t, ended, http.MethodDelete, sessionsPath+"/self"), http.StatusOK, "")
			second, _ = s.login(t, "laptop")
			s.alive(t, second, true)
			third, _ = s.login(t, "laptop")
			for _, dead := range []string{ended, first, second} {
				s.alive(t, dead, false)
			}
		})
		s.back(t, ended)
		s.back(t, first)
		s.Clock.Advance(token.LiveFor)
		t.Run("TK-12 INV-11 of a token that was ended: refused after half a minute at the latest", func(t *testing.T) {
			s.alive(t, ended, false)
		})
		t.Run("TK-28 INV-11 of a token that was rotated twice: refused within half a minute", func(t *testing.T) {
			s.alive(t, first, false)
			s.alive(t, second, false)
			s.alive(t, third, true)
		})
	})
}

func TestAFailoverInMidFlow(t *testing.T) {
	aboutFleet(t)
	slow(t)
	t.Run("DF-29 an approval outlives the master, and a poll redeems it", func(t *testing.T) {
		t.Parallel()
		g := testserver.RedisSentinel(t)
		s := flTwo(t, apitest.NewPairOn(t, apitest.RedisBehindSentinel(g)))
		live, _ := s.login(t, "standing")
		approved, pending := s.a.Code(t, "laptop"), s.b.Code(t, "desktop")
		wantAnswer(t, s.owner.decide(t, "approve", approved.User), http.StatusOK, "")
		if err := s.Client.(*redis.Client).Do(t.Context(), "wait", 1, 5000).Err(); err != nil {
			t.Fatal(err)
		}
		g.Master.Kill()
		s.alive(t, live, true) // SQL answers
		var won apitest.Answer
		eventually(t, func() (bool, string) {
			won = s.b.Poll(t, approved)
			if won.Status != http.StatusOK {
				dvOutage(t, won, "")
			}
			return won.Status == http.StatusOK, "no poll redeems after the failover"
		})
		s.alive(t, won.Text(t, "token"), true)
		s.answering(t)
		wantAnswer(t, s.a.Poll(t, pending), http.StatusBadRequest, "authorization_pending")
		wantAnswer(t, s.owner.with(s.b).decide(t, "approve", pending.User), http.StatusOK, "")
		s.Clock.Advance(10 * time.Second)
		wantAnswer(t, s.b.Poll(t, pending), http.StatusOK, "")
		wantAnswer(t, s.a.Bearer(t, live, http.MethodDelete, sessionsPath+"/self"), http.StatusOK, "")
		s.alive(t, live, false)
	})
	t.Run("DF-29 a master of a cluster goes and comes back, and the flow goes on", func(t *testing.T) {
		t.Parallel()
		shards := testserver.StartRedisCluster(t)
		s := flTwo(t, apitest.NewPairOn(t, flCluster(shards)))
		approved := s.a.Code(t, "laptop")
		wantAnswer(t, s.owner.decide(t, "approve", approved.User), http.StatusOK, "")
		grant := testserver.RedisKeys(t, s.Client, "dg:g:")[0]
		holder := flHolder(t, s.Client.(*redis.ClusterClient), shards, grant)
		c := redis.NewClient(&redis.Options{Addr: holder.Addr})
		defer func() { _ = c.Close() }()
		if err := c.Save(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		holder.Kill()
		dvOutage(t, s.b.Poll(t, approved), "")
		if a := htInner(t, s.a, "/readyz"); a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Body, `"sql":"ok"`) || strings.Contains(a.Body, `"store":"ok"`) {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		holder.Start(t)
		s.answering(t)
		won := s.b.Poll(t, approved)
		wantAnswer(t, won, http.StatusOK, "")
		s.alive(t, won.Text(t, "token"), true)
	})
}

// flDies lets the next tombstones not be written: the process dies before it.
type flDies struct {
	token.Cache
	next atomic.Bool
}

func (c *flDies) wrap(st *app.Stores) { c.Cache, st.Bearers = st.Bearers, c }

func (c *flDies) Bury(ctx context.Context, now time.Time, digests ...secret.Digest) error {
	if c.next.Swap(false) {
		panic("the process dies here")
	}
	return c.Cache.Bury(ctx, now, digests...)
}

// flReader holds a look-up between its row and what the cache is told of it.
type flReader struct {
	token.Store
	next         atomic.Bool
	read, answer chan struct{}
}

func (r *flReader) wrap(st *app.Stores) { r.Store, st.Tokens = st.Tokens, r }

func (r *flReader) ByDigest(ctx context.Context, d secret.Digest) (token.Resolved, error) {
	row, err := r.Store.ByDigest(ctx, d)
	if r.next.Swap(false) {
		close(r.read)
		<-r.answer
	}
	return row, err
}

func TestARevokeThatMeetsAnother(t *testing.T) {
	aboutFleet(t)
	t.Run("TK-29 INV-11 a process killed between commit and tombstone: refused within half a minute on both", func(t *testing.T) {
		p, dies := apitest.NewPair(t), &flDies{}
		s := flTwo(t, p, apitest.Wrap(func(st *app.Stores) {
			if dies.Cache == nil { // the first server alone
				dies.wrap(st)
			}
		}))
		for name, path := range map[string]string{"its own logout": sessionsPath + "/self", "all others": sessionsPath} {
			manager, _ := s.login(t, "manager")
			bearer, _ := s.login(t, "laptop")
			s.alive(t, bearer, true)
			dies.next.Store(true)
			by := manager
			if strings.HasSuffix(path, "/self") {
				by = bearer
			}
			wantAnswer(t, s.a.Bearer(t, by, http.MethodDelete, path), http.StatusInternalServerError, "internal_server_error")
			s.back(t, bearer)
			if n := sqlInt(t, s.a, `SELECT count(*) FROM oauth_access_tokens WHERE device_label = 'laptop' AND revoked_at IS NULL`); n != 0 {
				t.Fatalf("%s: %d live rows", name, n)
			}
			s.Clock.Advance(token.LiveFor)
			s.alive(t, bearer, false)
		}
	})
	t.Run("TK-9 INV-11 a reader that has the row when the revoke commits: dead at once on both", func(t *testing.T) {
		reader := &flReader{read: make(chan struct{}), answer: make(chan struct{})}
		s := flTwo(t, apitest.NewPair(t), apitest.Wrap(func(st *app.Stores) { // the last server: the second
			if reader.Store == nil {
				reader.Store = st.Tokens
				return
			}
			reader.wrap(st)
		}))
		bearer, _ := s.login(t, "laptop")
		reader.next.Store(true)
		slow := make(chan int, 1)
		go func() { slow <- s.b.Bearer(t, bearer, http.MethodGet, accountPath).Status }()
		<-reader.read
		wantAnswer(t, s.a.Bearer(t, bearer, http.MethodDelete, sessionsPath+"/self"), http.StatusOK, "")
		close(reader.answer)
		if status := <-slow; status != http.StatusOK {
			t.Fatalf("the reader itself, which began before: %d", status)
		}
		s.alive(t, bearer, false)
		if got := s.entry(t, bearer); got != "x" {
			t.Fatalf("remembered as %q", got)
		}
	})
}
