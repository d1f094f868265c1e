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
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/installation"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/memstore"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/redisstore"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/samlsp"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
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
	Assertions   samlsp.Replays
	Sources      idpsource.Store
	Signers      spkeys.Store
	Audit        audit.Sink
	Counters     ratelimit.Store
	Leases       jobs.Leases

	pruneAttempts, pruneOutbox, pruneMetadata prune
	ping                                      func(ctx context.Context) error // of the short-lived store; nil when it is in process
	sweep                                     func(now time.Time)             // frees what is over, where that is in process
	redis                                     *redisdb.DB                     // nil where that is in process
	closers                                   []func() error
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
	// maxAssertions bounds the marks of used assertions in process, about 150 bytes each:
	// those of an hour or so.
	maxAssertions = 200_000
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
	db = sqldb.Observed(db, o.trips)
	attempts, connections := sqlstore.Attempts{DB: db}, sqlstore.NewConnections(db)
	st := &Stores{
		DB: db, Connections: connections, Sources: sqlstore.IdPSource{DB: db}, Signers: sqlstore.SPKeys{DB: db}, Installation: sqlstore.Installation{DB: db}, Attempts: attempts,
		Audit: sqlstore.Audit(db), Leases: sqlstore.Leases(db), pruneAttempts: attempts.PruneAttempts, pruneOutbox: connections.PruneOutbox, pruneMetadata: sqlstore.IdPSource{DB: db}.PruneMetadata,
	}
	if s.Embedded() {
		counters := ratelimit.NewMemory(maxCounters)
		replays := replay.NewMemory(maxReplays, o.Now)
		used := replay.NewMemory(maxAssertions, o.Now)
		st.Counters, st.Replay, st.Assertions, st.Records = counters, replays, remembered{used}, memstore.NewRecords(maxRecords, o.Now)
		st.sweep = func(now time.Time) { counters.Sweep(now); replays.Sweep(now); used.Sweep(now) }
		return st, nil
	}
	if err := st.inRedis(ctx, s, o); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	st.lookAround(ctx, s, o.Log)
	return st, nil
}

// inRedis keeps what is short-lived in Redis. A Redis that does not answer keeps no
// process from starting: it is not ready until it does.
func (st *Stores) inRedis(ctx context.Context, s *Settings, o Options) error {
	options := s.redis()
	options.Observe = o.trips
	db, err := redisdb.New(options)
	if err != nil {
		return err
	}
	st.redis = db
	st.Records, st.Replay, st.Assertions = redisstore.Records{DB: db}, redisreplay.Store{DB: db}, redisstore.Assertions{DB: db}
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

// Close ends the connections.
func (st *Stores) Close() error {
	var errs []error
	for _, end := range st.closers {
		errs = append(errs, end())
	}
	return errors.Join(append(errs, st.DB.Close())...)
}
