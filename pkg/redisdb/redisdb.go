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

	"github.com/dify-sso/dify-sso/pkg/trip"
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
	link
	prefix  string
	most    int // connections to one server
	observe trip.Observer
}

// link is what we ask of the library's clients, as functions: it has a method for every
// command there is, and a client that stands in a field or an interface would have the
// linker keep them all, a tenth of the program.
type link struct {
	process send                                                                  // one command
	trip    func(ctx context.Context, commands []once)                            // several, in one trip; each holds its own failure
	masters func(ctx context.Context, do func(context.Context, send) error) error // each server that takes writes
	reload  func(ctx context.Context)                                             // looks at a cluster's slots anew; nil outside one
	close   func() error
	pool    func() (open, idle int)
}

// send sends a command, which then holds its reply.
type send func(ctx context.Context, c redis.Cmder) error

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
		PoolSize:              o.PoolSize,
		// Commands on a new connection that Redis 7.0 or its keeper does not know.
		DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if u.PoolSize == 0 {
		u.PoolSize = defaultPool
	}
	db := &DB{prefix: o.KeyPrefix, most: u.PoolSize, observe: o.Observe}
	switch o.mode() {
	case Cluster:
		c := u.Cluster()
		c.DisableRoutingPolicies = true // spares COMMAND, which a managed server may refuse
		c.ClusterStateReloadInterval = refreshCluster
		db.link = clusterLink(redis.NewClusterClient(c))
	case Sentinel:
		db.link = singleLink(redis.NewFailoverClient(u.Failover()))
	default:
		db.link = singleLink(redis.NewClient(u.Simple()))
	}
	return db
}

func singleLink(c *redis.Client) link {
	return link{
		process: c.Process, close: c.Close, pool: func() (open, idle int) { s := c.PoolStats(); return int(s.TotalConns), int(s.IdleConns) },
		trip: func(ctx context.Context, commands []once) { inOneTrip(ctx, c.Pipeline(), commands) },
		masters: func(ctx context.Context, do func(context.Context, send) error) error {
			return do(ctx, c.Process)
		},
	}
}

func clusterLink(c *redis.ClusterClient) link {
	return link{
		process: c.Process, close: c.Close, reload: c.ReloadState, pool: func() (open, idle int) { s := c.PoolStats(); return int(s.TotalConns), int(s.IdleConns) },
		trip: func(ctx context.Context, commands []once) { inOneTrip(ctx, c.Pipeline(), commands) },
		masters: func(ctx context.Context, do func(context.Context, send) error) error {
			return c.ForEachMaster(ctx, func(ctx context.Context, m *redis.Client) error { return do(ctx, m.Process) })
		},
	}
}

func inOneTrip(ctx context.Context, p redis.Pipeliner, commands []once) {
	for _, c := range commands {
		_ = p.Process(ctx, c)
	}
	_, _ = p.Exec(ctx)
}

// Ping asks every server that takes writes for an answer, and in a cluster whether it
// serves: one that is back, or lacks another, answers PING for seconds and nothing else.
func (db *DB) Ping(ctx context.Context) error {
	if db.reload == nil {
		_, err := db.Do(ctx, "ping")
		return err
	}
	return db.eachMaster(ctx, func(ctx context.Context, s send) error {
		info, err := s.text(ctx, "cluster", "info")
		switch {
		case err == nil && strings.Contains(info, "cluster_state:fail"):
			return errClusterDown
		case answered(err): // the user may not ask
			_, err = s.text(ctx, "ping")
		}
		return err
	})
}

// text sends a command that is answered by a text, each time anew.
func (s send) text(ctx context.Context, args ...any) (string, error) {
	c := newOnce(ctx, args...)
	_ = s(ctx, c)
	return c.Text()
}

var errClusterDown = errors.New("redisdb: the cluster is down")

// PolicyKeep is the one policy under which a full Redis drops nothing that was
// acknowledged.
const PolicyKeep = "noeviction"

// Policy gives the maxmemory-policy; of a cluster's masters, one that differs from
// PolicyKeep if there is one. A server that refuses CONFIG tells it in INFO.
func (db *DB) Policy(ctx context.Context) (string, error) {
	var mu sync.Mutex
	found := PolicyKeep
	err := db.eachMaster(ctx, func(ctx context.Context, s send) error {
		p, err := policyOf(ctx, s)
		if err == nil && p != PolicyKeep {
			mu.Lock()
			defer mu.Unlock()
			found = p
		}
		return err
	})
	return found, err
}

func policyOf(ctx context.Context, s send) (string, error) {
	const name = "maxmemory_policy:"
	asked := newOnce(ctx, "config", "get", "maxmemory-policy")
	_ = s(ctx, asked)
	pair, err := asked.StringSlice() // name and value
	if err == nil && len(pair) == 2 && pair[1] != "" {
		return pair[1], nil
	}
	if err != nil && !answered(err) {
		return "", err
	}
	info, err := s.text(ctx, "info", "memory")
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

// eachMaster runs fn on every server that takes writes; one that cannot be reached fails.
func (db *DB) eachMaster(ctx context.Context, fn func(context.Context, send) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return db.failed(ctx, db.masters(ctx, fn))
}

// Close ends all connections.
func (db *DB) Close() error { return db.close() }

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

// observed tells of a trip that began at start. What a server says is an answer, but that it
// cannot serve.
func (db *DB) observed(ctx context.Context, name string, start time.Time, err error) {
	if db.observe == nil {
		return
	}
	if errors.Is(err, redis.Nil) || unknownScript(err) {
		err = nil
	}
	db.observe(ctx, trip.Trip{Store: trip.Redis, System: "redis", Name: name, Start: start, Took: time.Since(start), Err: err})
}

// failed words a failure: the context's own comes first, and a cluster that did not
// answer is looked at anew, for a failover may have moved its slots.
func (db *DB) failed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if db.reload != nil && !answered(err) {
		db.reload(ctx)
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
