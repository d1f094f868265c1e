// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// htMode is how a store behaves.
type htMode int32

const (
	htWorks htMode = iota
	htFails
	htPanics
)

// errHTCause is what a store says when it fails; nothing of it may reach a client.
var errHTCause = errors.New("dial tcp 10.9.8.7:5432: cause-canary password=hunter2")

// htStores breaks each of the server's stores at will; usage and cleanup break what the
// workers alone ask of tokens and grants.
type htStores map[string]*atomic.Int32

func htNewStores() htStores {
	s := htStores{}
	for _, name := range []string{"accounts", "workspaces", "members", "apps", "runs", "tokens", "access", "console", "installation", "audit", "grants", "counters", "usage", "cleanup"} {
		s[name] = &atomic.Int32{}
	}
	return s
}

func (s htStores) set(name string, m htMode) { s[name].Store(int32(m)) }

func (s htStores) wrap(st *app.Stores) {
	on := func(name string) sqldb.DB { return htDB{st.DB, htFault{s[name]}} }
	st.Accounts, st.Workspaces = sqlstore.Accounts{DB: on("accounts")}, sqlstore.Workspaces{DB: on("workspaces")}
	st.Apps, st.Runs = sqlstore.Apps{DB: on("apps")}, sqlstore.Runs{DB: on("runs")}
	st.Tokens, st.Console = htTokens{sqlstore.Tokens{DB: on("tokens")}, htFault{s["usage"]}}, sqlstore.Console{DB: on("console")}
	st.Access, st.Members = sqlstore.Access{DB: on("access")}, sqlstore.Members{DB: on("members")}
	st.Installation, st.Audit = sqlstore.Installation{DB: on("installation")}, sqlstore.Audit(on("audit"))
	st.Grants = htGrants{st.Grants, htFault{s["grants"]}, htFault{s["cleanup"]}}
	st.Counters = htCounters{st.Counters, htFault{s["counters"]}}
}

type htFault struct{ mode *atomic.Int32 }

func (f htFault) strike() error {
	switch htMode(f.mode.Load()) {
	case htFails:
		return errHTCause
	case htPanics:
		panic(errHTCause.Error())
	}
	return nil
}

// htDB fails in each statement, so that a transaction is open when one panics.
type htDB struct {
	sqldb.DB
	htFault
}

func (d htDB) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return htQuerier{d.DB, d.htFault}.Exec(ctx, query, args...)
}

func (d htDB) Query(ctx context.Context, query string, args ...any) (sqldb.Rows, error) {
	return htQuerier{d.DB, d.htFault}.Query(ctx, query, args...)
}

func (d htDB) QueryRow(ctx context.Context, query string, args ...any) sqldb.Row {
	return htQuerier{d.DB, d.htFault}.QueryRow(ctx, query, args...)
}

func (d htDB) InTx(ctx context.Context, fn func(ctx context.Context, tx sqldb.Querier) error) error {
	return d.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error { return fn(ctx, htQuerier{tx, d.htFault}) })
}

type htQuerier struct {
	sqldb.Querier
	htFault
}

func (q htQuerier) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := q.strike(); err != nil {
		return 0, err
	}
	return q.Querier.Exec(ctx, query, args...)
}

func (q htQuerier) Query(ctx context.Context, query string, args ...any) (sqldb.Rows, error) {
	if err := q.strike(); err != nil {
		return nil, err
	}
	return q.Querier.Query(ctx, query, args...)
}

func (q htQuerier) QueryRow(ctx context.Context, query string, args ...any) sqldb.Row {
	if err := q.strike(); err != nil {
		return htNoRow{err}
	}
	return q.Querier.QueryRow(ctx, query, args...)
}

type htNoRow struct{ err error }

func (r htNoRow) Scan(...any) error { return r.err }

type htTokens struct {
	token.Store
	usage htFault
}

func (t htTokens) TouchUsed(ctx context.Context, uses []token.Use) error {
	if err := t.usage.strike(); err != nil {
		return err
	}
	return t.Store.TouchUsed(ctx, uses)
}

type htGrants struct {
	devicegrant.Store
	htFault
	cleanup htFault
}

func (g htGrants) Create(ctx context.Context, v devicegrant.Grant) error {
	if err := g.strike(); err != nil {
		return err
	}
	return g.Store.Create(ctx, v)
}

func (g htGrants) Poll(ctx context.Context, p devicegrant.Poll) (devicegrant.PollResult, devicegrant.Grant, error) {
	if err := g.strike(); err != nil {
		return 0, devicegrant.Grant{}, err
	}
	return g.Store.Poll(ctx, p)
}

func (g htGrants) Find(ctx context.Context, mac secret.Digest, now time.Time) (devicegrant.Grant, error) {
	if err := g.strike(); err != nil {
		return devicegrant.Grant{}, err
	}
	return g.Store.Find(ctx, mac, now)
}

func (g htGrants) Decide(ctx context.Context, d devicegrant.Decision) error {
	if err := g.strike(); err != nil {
		return err
	}
	return g.Store.Decide(ctx, d)
}

func (g htGrants) Delete(ctx context.Context, ref secret.Digest, owner string) error {
	if err := g.cleanup.strike(); err != nil {
		return err
	}
	return g.Store.Delete(ctx, ref, owner)
}

func (g htGrants) Ping(ctx context.Context) error {
	if err := g.strike(); err != nil {
		return err
	}
	return g.Store.Ping(ctx)
}

type htCounters struct {
	ratelimit.Store
	htFault
}

func (c htCounters) Take(ctx context.Context, p ratelimit.Policy, scope string, now time.Time) (ratelimit.Result, error) {
	if err := c.strike(); err != nil {
		return ratelimit.Result{}, err
	}
	return c.Store.Take(ctx, p, scope, now)
}

func (c htCounters) Settle(ctx context.Context, p ratelimit.Policy, scope string, failed bool, now time.Time) (ratelimit.Result, error) {
	if err := c.strike(); err != nil {
		return ratelimit.Result{}, err
	}
	return c.Store.Settle(ctx, p, scope, failed, now)
}
