// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/jobs"
	"github.com/dify-sso/dify-sso/core/internal/memstore"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Stores are what the services stand on. Tests wrap them with faults.
type Stores struct {
	DB           sqldb.DB
	Accounts     account.Store
	Workspaces   workspace.Store
	Tokens       token.Store
	Access       access.Store
	Console      console.Store
	Installation installation.Store
	Audit        audit.Sink
	Grants       devicegrant.Store
	Bearers      token.Cache
	Gate         authz.Gate
	Counters     ratelimit.Store
	Leases       jobs.Leases
	Prune        jobs.Pruner

	// sweep frees what is over; nil where the store does that by itself.
	sweep func(now time.Time)
}

// LiveGrants counts the device authorizations held in this process.
func (s *Stores) LiveGrants() int { return s.grants.Live() }

// maxCounters bounds the rate-limit counters in process, about 150 bytes each.
const maxCounters = 200_000

// maxBearers bounds the tokens remembered in process, about 400 bytes each.
const maxBearers = 50_000

// openStores opens the stores and brings the schema of an embedded database up to
// date. A schema that does not fit is refused.
func openStores(ctx context.Context, s *Settings) (*Stores, error) {
	db, err := OpenDatabase(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := fitSchema(ctx, db, s.Embedded()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	grants, bearers, counters := memstore.NewGrants(s.DeviceMaxGrants), memstore.NewBearers(maxBearers), ratelimit.NewMemory(maxCounters)
	return &Stores{
		DB: db, Accounts: sqlstore.Accounts{DB: db}, Workspaces: sqlstore.Workspaces{DB: db}, Tokens: sqlstore.Tokens{DB: db},
		Access: sqlstore.Access{DB: db}, Console: sqlstore.Console{DB: db}, Installation: sqlstore.Installation{DB: db}, Audit: sqlstore.Audit{DB: db},
		Leases: sqlstore.Leases{DB: db}, Prune: sqlstore.Prune{DB: db},
		Grants: grants, Bearers: bearers, Gate: memstore.Gate{Counters: counters, Bearers: bearers}, Counters: counters,
		sweep: func(now time.Time) { grants.Sweep(now); bearers.Sweep(now); counters.Sweep(now) },
	}, nil
}
