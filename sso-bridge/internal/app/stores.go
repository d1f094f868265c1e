// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/jobs"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/ratelimit/redislimit"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/replay"
	"github.com/dify-sso/dify-sso/pkg/replay/redisreplay"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/installation"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/memstore"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/redisstore"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/sqlstore"
)

// Stores are what the services stand on. Tests wrap them with faults.
type Stores struct {
	DB           sqldb.DB
	Connections  connection.Store
	Installation installation.Store
	Attempts     login.Attempts
	Records      login.Records
	Replay       envelope.Replay
	Audit        audit.Sink
	Counters     ratelimit.Store
	Leases       jobs.Leases

	pruneAttempts, pruneOutbox prune
	ping                       func(ctx context.Context) error // of the short-lived store; nil when it is in process
	sweep                      func(now time.Time)             // frees what is over, where that is in process
	closers                    []func() error
}

// prune deletes at most limit rows from before a time, and gives how many.
type prune func(ctx context.Context, before time.Time, limit int) (int64, error)

const (
	// maxCounters bounds the rate-limit counters in process, about 150 bytes each.
	maxCounters = 200_000
	// maxRecords bounds the records of each kind in process, about 2 KB each.
	maxRecords = 50_000
	// maxReplays bounds the marks of inner requests in process, about 100 bytes each.
	maxReplays = 200_000
)

// openStores opens the stores of the settings. A schema that does not fit is refused.
func openStores(ctx context.Context, s *Settings, o Options) (*Stores, error) {
	db, err := OpenDatabase(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := fitSchema(ctx, db, s.Embedded()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	attempts, connections := sqlstore.Attempts{DB: db}, sqlstore.NewConnections(db)
	st := &Stores{
		DB: db, Connections: connections, Installation: sqlstore.Installation{DB: db}, Attempts: attempts,
		Audit: sqlstore.Audit(db), Leases: sqlstore.Leases(db), pruneAttempts: attempts.PruneAttempts, pruneOutbox: connections.PruneOutbox,
	}
	if s.Embedded() {
		counters := ratelimit.NewMemory(maxCounters)
		replays := replay.NewMemory(maxReplays, o.Now)
		st.Counters, st.Replay, st.Records = counters, replays, memstore.NewRecords(maxRecords, o.Now)
		st.sweep = func(now time.Time) { counters.Sweep(now); replays.Sweep(now) }
		return st, nil
	}
	if err := st.inRedis(ctx, s, o); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	st.lookAround(ctx, o.Log)
	return st, nil
}

// inRedis keeps what is short-lived in Redis. A Redis that does not answer keeps no
// process from starting: it is not ready until it does.
func (st *Stores) inRedis(ctx context.Context, s *Settings, o Options) error {
	db, err := redisdb.New(s.redis())
	if err != nil {
		return err
	}
	st.Records, st.Replay = redisstore.Records{DB: db}, redisreplay.Store{DB: db}
	// With a clock that a test has set the counters must go by it too.
	st.Counters = redislimit.Store{DB: db, CallersClock: !o.ownClock}
	st.ping = db.Ping
	st.closers = append(st.closers, db.Close)
	ask, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	switch policy, err := db.Policy(ask); {
	case err != nil:
		o.Log.Warn("Redis does not answer yet: this process is not ready until it does", slog.String("error", err.Error()))
	case policy != redisdb.PolicyKeep:
		o.Log.Warn("Redis may drop logins and replay marks when its memory is full: set its maxmemory-policy to noeviction", slog.String("maxmemory_policy", policy))
	}
	return nil
}

// lookAround warns of a database role that reads core's tables: a bridge that was broken
// into would then hold core's sessions and accounts as well.
func (st *Stores) lookAround(ctx context.Context, log *slog.Logger) {
	if st.DB.Dialect() != sqldb.Postgres {
		return
	}
	var reads bool
	err := st.DB.QueryRow(ctx, `SELECT coalesce(has_table_privilege(to_regclass('oauth_access_tokens'), 'SELECT'), false)`).Scan(&reads)
	if err == nil && reads {
		log.Warn("DATABASE_URL may read core's tables: give the bridge credentials of its own, which may not")
	}
}

// Close ends the connections.
func (st *Stores) Close() error {
	var errs []error
	for _, end := range st.closers {
		errs = append(errs, end())
	}
	return errors.Join(append(errs, st.DB.Close())...)
}
