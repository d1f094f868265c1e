// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// StoresEnv chooses what the servers of a run stand on: "fleet" is Postgres and Redis,
// anything else the embedded stores. The same tests pass on both.
const StoresEnv = "APITEST_STORES"

// OnFleet reports whether servers stand on Postgres and Redis unless a test says so.
func OnFleet() bool { return os.Getenv(StoresEnv) == "fleet" }

// SecretKey is that of every pair.
const SecretKey = "the key of a pair of stores, which every server of it has"

// Pair is a database on Postgres and a key prefix on Redis, for any number of servers
// of one test.
type Pair struct {
	// Database is the address of the database.
	Database string
	Redis
	// SealingFile holds the sealing key.
	SealingFile string
	// Clock is that of every server of the pair.
	Clock *Clock

	settings []string // as an environment has them
}

// Redis is where the short-lived store of a pair is.
type Redis struct {
	// URL and the two after it are as the settings of their names hold them.
	URL, Mode, MasterName string
	// Prefix begins every key.
	Prefix string
	// Client speaks to it beside the servers.
	Client redis.UniversalClient
}

// NewPair makes both, empty but for the schema; they are gone with the test.
func NewPair(t testing.TB) *Pair {
	t.Helper()
	url, prefix := testserver.Redis(t)
	return NewPairOn(t, RedisAt(t, url, prefix))
}

// RedisAt is a single Redis.
func RedisAt(t testing.TB, url, prefix string) Redis {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	return Redis{URL: url, Prefix: prefix, Client: redis.NewClient(o)}
}

// RedisInCluster is a cluster of three masters that all tests share.
func RedisInCluster(t testing.TB) Redis {
	t.Helper()
	addrs, prefix := testserver.RedisCluster(t)
	return Redis{
		URL: "redis://" + strings.Join(addrs, ","), Mode: "cluster", Prefix: prefix,
		Client: redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs}),
	}
}

// RedisBehindSentinel is whichever server of a group the sentinel says.
func RedisBehindSentinel(g *testserver.RedisSentinelGroup) Redis {
	return Redis{
		URL: g.Sentinel.URL(), Mode: "sentinel", MasterName: g.MasterName, Prefix: testserver.RedisPrefix(),
		Client: redis.NewFailoverClient(&redis.FailoverOptions{MasterName: g.MasterName, SentinelAddrs: []string{g.Sentinel.Addr}}),
	}
}

// NewPairOn is NewPair with a Redis of the test's choice.
func NewPairOn(t testing.TB, r Redis) *Pair {
	t.Helper()
	return newPair(t, testserver.PostgresLike(t, "core", migrated), r)
}

// NewPairIn is NewPairOn with an empty database of the test's choice.
func NewPairIn(t testing.TB, database string, r Redis) *Pair {
	t.Helper()
	if err := migrated(database); err != nil {
		t.Fatal(err)
	}
	return newPair(t, database, r)
}

func newPair(t testing.TB, database string, r Redis) *Pair {
	t.Helper()
	t.Cleanup(func() { _ = r.Client.Close() })
	p := &Pair{Database: database, Redis: r, SealingFile: filepath.Join(t.TempDir(), "sealing.key")}
	if err := os.WriteFile(p.SealingFile, seal.NewKeyFile("k1"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.settings = []string{
		"DATABASE_URL=" + p.Database, "DATABASE_MAX_CONNS=4", "REDIS_URL=" + r.URL, "REDIS_KEY_PREFIX=" + r.Prefix,
		"SECRET_KEY=" + SecretKey, "SEALING_KEY_FILE=" + p.SealingFile,
	}
	if r.Mode != "" {
		p.settings = append(p.settings, "REDIS_MODE="+r.Mode)
	}
	if r.MasterName != "" {
		p.settings = append(p.settings, "REDIS_MASTER_NAME="+r.MasterName)
	}
	p.Clock = &Clock{aged: func(d time.Duration) { testserver.RedisAge(t, r.Client, r.Prefix, d) }}
	return p
}

// Environ is the environment of a process on the pair.
func (p *Pair) Environ() []string { return slices.Clone(p.settings) }

// On puts a server on a pair.
func On(p *Pair) Option { return func(s *Server) { s.Pair = p } }

// Embedded puts a server on the embedded stores whatever the run stands on.
func Embedded() Option { return func(s *Server) { s.embedded = true } }

// LiveGrants counts the device authorizations that the server's store holds.
func (s *Server) LiveGrants(t testing.TB) int {
	t.Helper()
	if s.Pair == nil {
		return s.App.Stores.LiveGrants()
	}
	return len(testserver.RedisKeys(t, s.Pair.Client, s.Pair.Prefix+"dg:g:"))
}

func migrated(address string) error {
	ctx := context.Background()
	db, err := sqldb.OpenPostgres(ctx, address, sqldb.PostgresOptions{})
	if err != nil {
		return err
	}
	m, err := sqlstore.NewMigrator(db)
	if err == nil {
		_, err = m.Up(ctx)
	}
	return errors.Join(err, db.Close())
}
