// SPDX-License-Identifier: Apache-2.0

package redisdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// The bounds of one call. Together they end before a client gives its request up; a
// context that ends sooner is obeyed.
const (
	poolLimit = 500 * time.Millisecond // a free connection
	dialLimit = time.Second
	ioLimit   = time.Second // one write, one read
)

// defaultPool is the most connections to one server.
const defaultPool = 32

// refreshCluster bounds how old the map of a cluster's slots gets when nothing fails.
const refreshCluster = 30 * time.Second

// DB is an open Redis. It is safe for concurrent use.
type DB struct {
	client  redis.UniversalClient
	cluster *redis.ClusterClient // nil outside cluster mode
	prefix  string
}

// quiet ends the client library's own log once: it writes to stderr, addresses too.
var quiet = sync.OnceFunc(func() { redis.SetLogger(&logging.VoidLogger{}) })

// New checks the options and connects to nothing yet. It returns the first Problem of
// the options.
func New(o Options) (*DB, error) {
	t, problems := o.resolve()
	if len(problems) > 0 {
		return nil, problems[0]
	}
	quiet()
	return connect(o, t), nil
}

// Open is New for a server that has to answer at once.
func Open(ctx context.Context, o Options) (*DB, error) {
	db, err := New(o)
	if err != nil {
		return nil, err
	}
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("redisdb: no answer: %w", err), db.Close())
	}
	return db, nil
}

// connect builds the client; it sends nothing.
func connect(o Options, t target) *DB {
	u := &redis.UniversalOptions{
		Addrs: t.addrs, Username: t.username, Password: t.password, DB: t.db, TLSConfig: t.tls, Dialer: t.dial,
		MasterName: o.MasterName, SentinelPassword: o.SentinelPassword.Reveal(),
		// Nothing is pushed to us, and each connection spares a look for it.
		Protocol: 2,
		// A repeat that the caller does not see turns a compare-and-set whose answer
		// was lost into a refusal of its winner.
		MaxRetries: -1, DialerRetries: 1,
		DialTimeout: dialLimit, ReadTimeout: ioLimit, WriteTimeout: ioLimit, PoolTimeout: poolLimit,
		ContextTimeoutEnabled: true,
		PoolSize:              o.PoolSize, PipelinePoolSize: -1,
		// Commands on a new connection that Redis 7.0 or its keeper does not know.
		DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if u.PoolSize == 0 {
		u.PoolSize = defaultPool
	}
	db := &DB{prefix: o.KeyPrefix}
	switch o.mode() {
	case Cluster:
		c := u.Cluster()
		c.DisableRoutingPolicies = true // spares COMMAND, which a managed server may refuse
		c.ClusterStateReloadInterval = refreshCluster
		db.cluster = redis.NewClusterClient(c)
		db.client = db.cluster
	case Sentinel:
		db.client = redis.NewFailoverClient(u.Failover())
	default:
		db.client = redis.NewClient(u.Simple())
	}
	return db
}

// Ping asks every server that takes writes for an answer, and in a cluster whether it
// serves: one that is back, or lacks another, answers PING for seconds and nothing else.
func (db *DB) Ping(ctx context.Context) error {
	if db.cluster == nil {
		_, err := db.Do(ctx, "ping")
		return err
	}
	return db.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		info, err := c.ClusterInfo(ctx).Result()
		switch {
		case err == nil && strings.Contains(info, "cluster_state:fail"):
			return errClusterDown
		case answered(err): // the user may not ask
			return c.Ping(ctx).Err()
		}
		return err
	})
}

var errClusterDown = errors.New("redisdb: the cluster is down")

// PolicyKeep is the one policy under which a full Redis drops nothing that was
// acknowledged.
const PolicyKeep = "noeviction"

// Policy gives the maxmemory-policy; of a cluster's masters, one that differs from
// PolicyKeep if there is one. A server that refuses CONFIG tells it in INFO.
func (db *DB) Policy(ctx context.Context) (string, error) {
	if db.cluster == nil {
		return policyOf(ctx, db.client)
	}
	var mu sync.Mutex
	found := PolicyKeep
	err := db.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		p, err := policyOf(ctx, c)
		if err == nil && p != PolicyKeep {
			mu.Lock()
			defer mu.Unlock()
			found = p
		}
		return err
	})
	return found, err
}

func policyOf(ctx context.Context, c redis.Cmdable) (string, error) {
	const name = "maxmemory_policy:"
	values, err := c.ConfigGet(ctx, "maxmemory-policy").Result()
	if p := values["maxmemory-policy"]; err == nil && p != "" {
		return p, nil
	}
	if err != nil && !answered(err) {
		return "", err
	}
	info, err := c.Info(ctx, "memory").Result()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(info) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), name); ok {
			return p, nil
		}
	}
	return "", errors.New("redisdb: the server does not tell its maxmemory-policy")
}

// eachMaster runs fn on every master of a cluster; one that cannot be reached fails.
func (db *DB) eachMaster(ctx context.Context, fn func(context.Context, *redis.Client) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return db.failed(ctx, db.cluster.ForEachMaster(ctx, fn))
}

// Close ends all connections.
func (db *DB) Close() error { return db.client.Close() }

// Key builds a key: the prefix, then name:{tag}, then what follows the tag. Keys of one
// tag lie in one slot, so that a script may take several of them. Braces within a tag
// are encoded, since they would end it, and an empty one stands for itself.
func (db *DB) Key(name, tag string, after ...string) string {
	key := db.prefix + name + ":{" + tagged(tag) + "}"
	for _, a := range after {
		key += ":" + a
	}
	return key
}

var tagEncoder = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D")

func tagged(tag string) string {
	if tag == "" {
		return "%" // no other tag encodes to it
	}
	if !strings.ContainsAny(tag, "%{}") {
		return tag
	}
	return tagEncoder.Replace(tag)
}

// answered reports whether err is what a server said, so that it was reached.
func answered(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

// WrongType reports whether a key holds another kind of value than was asked for: the
// key is not ours.
func WrongType(err error) bool { return redis.HasErrorPrefix(err, "WRONGTYPE") }

// failed words a failure: the context's own comes first, and a cluster that did not
// answer is looked at anew, for a failover may have moved its slots.
func (db *DB) failed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if db.cluster != nil && !answered(err) {
		db.cluster.ReloadState(ctx)
	}
	cause := ctx.Err()
	if end, ok := ctx.Deadline(); cause == nil && ok && !time.Now().Before(end) {
		cause = context.DeadlineExceeded // the socket's deadline is the context's, and it was first
	}
	if cause != nil && !errors.Is(err, cause) {
		return errors.Join(cause, err)
	}
	return err
}
