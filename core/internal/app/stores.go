// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/memstore"
	"github.com/dify-sso/dify-sso/core/internal/prune"
	"github.com/dify-sso/dify-sso/core/internal/redisstore"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/jobs"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/ratelimit/redislimit"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/replay"
	"github.com/dify-sso/dify-sso/pkg/replay/redisreplay"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Stores are what the services stand on. Tests wrap them with faults.
type Stores struct {
	DB           sqldb.DB
	Accounts     account.Store
	Workspaces   workspace.Store
	Members      workspace.MemberStore
	Tokens       token.Store
	Access       access.Store
	Apps         apps.RegistryStore
	Console      console.Store
	Installation installation.Store
	Audit        audit.Sink
	Grants       devicegrant.Store
	Bearers      token.Cache
	Gate         authz.Gate
	Counters     ratelimit.Store
	Leases       jobs.Leases
	Replay       envelope.Replay
	Prune        prune.Store
	Runs         run.Runs
	Slots        run.Slots

	// Runtimes are what apps run on where a test has put others in the place of ours.
	Runtimes map[apps.Runtime]run.Runtime

	// live counts the grants, and sweep frees what is over, where that is in process.
	live    func() int
	expired func(func()) // takes what hears of grants that run out undecided
	redis   *redisdb.DB  // nil where that is in process
	sweep   func(now time.Time)
	closers []func() error
}

// LiveGrants counts the device authorizations held in this process, none in a fleet.
func (st *Stores) LiveGrants() int {
	if st.live == nil {
		return 0
	}
	return st.live()
}

// maxCounters bounds the rate-limit counters in process, about 150 bytes each.
const maxCounters = 200_000

// maxBearers bounds the tokens remembered in process, about 400 bytes each.
const maxBearers = 50_000

// maxReplays bounds the messages of the Enterprise Edition that are remembered in process,
// about 150 bytes each: none is forgotten early, beyond it they are refused.
const maxReplays = 100_000

// openStores opens the stores of the settings. The schema of an embedded database is
// brought up to date, that of a fleet is not: several versions may be running on it. A
// schema that does not fit is refused.
func openStores(ctx context.Context, s *Settings, o Options) (*Stores, error) {
	db, err := OpenDatabase(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := fitSchema(ctx, db, s.Embedded()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	db = sqldb.Observed(db, o.trips)
	st := &Stores{
		DB: db, Accounts: sqlstore.Accounts{DB: db}, Workspaces: sqlstore.Workspaces{DB: db}, Members: sqlstore.Members{DB: db}, Tokens: sqlstore.Tokens{DB: db},
		Access: sqlstore.Access{DB: db}, Apps: sqlstore.Apps{DB: db}, Console: sqlstore.Console{DB: db}, Installation: sqlstore.Installation{DB: db}, Audit: sqlstore.Audit(db),
		Leases: sqlstore.Leases(db), Prune: sqlstore.Prune{DB: db}, Runs: sqlstore.Runs{DB: db},
	}
	if s.Embedded() {
		st.inProcess(s.DeviceMaxGrants, o.Now)
		return st, nil
	}
	if err := st.inRedis(ctx, s, o); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return st, nil
}

// inProcess keeps what is short-lived in the memory of this process.
func (st *Stores) inProcess(maxGrants int, clock func() time.Time) {
	grants, bearers, counters := memstore.NewGrants(maxGrants), memstore.NewBearers(maxBearers), ratelimit.NewMemory(maxCounters)
	st.Grants, st.Bearers, st.Counters = grants, bearers, counters
	st.Gate = memstore.Gate{Counters: counters, Bearers: bearers}
	replays := replay.NewMemory(maxReplays, clock)
	st.Replay = replays
	slots := memstore.NewSlots()
	st.Slots = slots
	st.live = grants.Live
	st.expired = func(hear func()) { grants.Expired = hear }
	st.sweep = func(now time.Time) {
		grants.Sweep(now)
		bearers.Sweep(now)
		counters.Sweep(now)
		replays.Sweep(now)
		slots.Sweep(now)
	}
}

// inRedis keeps what is short-lived in Redis. A Redis that does not answer keeps no
// process from starting: it is not ready, and serves what SQL alone can answer.
func (st *Stores) inRedis(ctx context.Context, s *Settings, o Options) error {
	options := s.redis()
	options.Observe = o.trips
	db, err := redisdb.New(options)
	if err != nil {
		return err
	}
	st.redis = db
	// With a clock that a test has set the counters must go by it too.
	counters := redislimit.Store{DB: db, CallersClock: !o.ownClock}
	st.Grants = redisstore.Grants{DB: db, Log: o.Log}
	bearers := redisstore.Bearers{DB: db, Log: o.Log}
	st.Bearers, st.Gate = bearers, redisstore.Gate{Bearers: bearers, CallersClock: !o.ownClock}
	st.Counters, st.Replay, st.Slots = counters, redisreplay.Store{DB: db}, redisstore.Slots{DB: db}
	st.closers = append(st.closers, db.Close)
	ask, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	switch policy, err := db.Policy(ask); {
	case err != nil:
		o.Log.Warn("Redis does not answer yet: this process is not ready until it does", slog.String("error", err.Error()))
	case policy != redisdb.PolicyKeep:
		o.Log.Warn("Redis may drop grants and replay marks when its memory is full: set its maxmemory-policy to noeviction", slog.String("maxmemory_policy", policy))
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
