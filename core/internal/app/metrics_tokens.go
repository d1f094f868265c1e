// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/jobs"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// tally gathers what a transaction does to tokens until it is known to be committed.
type tally struct {
	figures *figures
	minted  string // the kind; empty for none
	ended   map[[2]string]int
}

// within runs a transaction whose fn has its Tx wrapped by the tally. What fn did counts
// once, however often it ran.
func (f *figures) within(run func(t *tally) error) error {
	t := &tally{figures: f}
	if err := run(t); err != nil {
		return err
	}
	if t.minted != "" {
		f.minted.Add(1, t.minted, "")
	}
	for of, n := range t.ended {
		f.revoked.Add(n, of[0], of[1])
	}
	return nil
}

func (t *tally) anew() { t.minted, t.ended = "", nil }

func (t *tally) end(reason token.Reason, ended ...token.Ended) {
	for _, e := range ended {
		kind := kindOf(token.AccountKind.Prefix)
		if e.Subject.AccountID == "" {
			kind = kindOf(token.ExternalKind.Prefix)
		}
		if t.ended == nil {
			t.ended = map[[2]string]int{}
		}
		t.ended[[2]string{kind, string(reason)}]++
	}
}

// talliedTokens counts what is minted and ended.
type talliedTokens struct {
	token.Store
	figures *figures
}

// InTx implements token.Store.
func (s talliedTokens) InTx(ctx context.Context, fn func(ctx context.Context, tx token.Tx) error) error {
	return s.figures.within(func(t *tally) error {
		return s.Store.InTx(ctx, func(ctx context.Context, tx token.Tx) error { t.anew(); return fn(ctx, talliedTokenTx{tx, t}) })
	})
}

type talliedTokenTx struct {
	token.Tx
	tally *tally
}

// Upsert implements token.Tx.
func (x talliedTokenTx) Upsert(ctx context.Context, s token.Session) (id string, previous secret.Digest, err error) {
	if id, previous, err = x.Tx.Upsert(ctx, s); err == nil {
		x.tally.minted = kindOf(s.Prefix)
	}
	return id, previous, err
}

// Replace implements token.Tx.
func (x talliedTokenTx) Replace(ctx context.Context, s token.Session) (id string, previous secret.Digest, err error) {
	if id, previous, err = x.Tx.Replace(ctx, s); err == nil {
		x.tally.minted = kindOf(s.Prefix)
	}
	return id, previous, err
}

// End implements token.Tx.
func (x talliedTokenTx) End(ctx context.Context, id string, reason token.Reason, now time.Time) (ended token.Ended, ok bool, err error) {
	if ended, ok, err = x.Tx.End(ctx, id, reason, now); ok {
		x.tally.end(reason, ended)
	}
	return ended, ok, err
}

// EndAll implements token.Tx.
func (x talliedTokenTx) EndAll(ctx context.Context, s token.Subject, but string, reason token.Reason, now time.Time) ([]token.Ended, error) {
	ended, err := x.Tx.EndAll(ctx, s, but, reason, now)
	x.tally.end(reason, ended...)
	return ended, err
}

// EndChanged implements token.Tx.
func (x talliedTokenTx) EndChanged(ctx context.Context, s token.Session, now time.Time) ([]token.Ended, error) {
	ended, err := x.Tx.EndChanged(ctx, s, now)
	x.tally.end(token.ReasonSubjectChanged, ended...)
	return ended, err
}

// talliedAccess counts what kills end.
type talliedAccess struct {
	access.Store
	figures *figures
}

// InTx implements access.Store.
func (s talliedAccess) InTx(ctx context.Context, fn func(ctx context.Context, tx access.Tx) error) error {
	return s.figures.within(func(t *tally) error {
		return s.Store.InTx(ctx, func(ctx context.Context, tx access.Tx) error { t.anew(); return fn(ctx, talliedAccessTx{tx, t}) })
	})
}

type talliedAccessTx struct {
	access.Tx
	tally *tally
}

// EndTokens implements access.Tx.
func (x talliedAccessTx) EndTokens(ctx context.Context, r access.Rows, reason token.Reason, now time.Time) ([]token.Ended, error) {
	ended, err := x.Tx.EndTokens(ctx, r, reason, now)
	x.tally.end(reason, ended...)
	return ended, err
}

// EndToken implements access.Tx.
func (x talliedAccessTx) EndToken(ctx context.Context, id string, reason token.Reason, now time.Time) (ended token.Ended, ok bool, err error) {
	if ended, ok, err = x.Tx.EndToken(ctx, id, reason, now); ok {
		x.tally.end(reason, ended)
	}
	return ended, ok, err
}

// talliedMembers counts what ends as an invited account becomes active.
type talliedMembers struct {
	workspace.MemberStore
	figures *figures
}

// InTx implements workspace.MemberStore.
func (s talliedMembers) InTx(ctx context.Context, fn func(ctx context.Context, tx workspace.Tx) error) error {
	return s.figures.within(func(t *tally) error {
		return s.MemberStore.InTx(ctx, func(ctx context.Context, tx workspace.Tx) error { t.anew(); return fn(ctx, talliedMemberTx{tx, t}) })
	})
}

type talliedMemberTx struct {
	workspace.Tx
	tally *tally
}

// EndTokens implements access.Tx.
func (x talliedMemberTx) EndTokens(ctx context.Context, r access.Rows, reason token.Reason, now time.Time) ([]token.Ended, error) {
	return talliedAccessTx{x.Tx, x.tally}.EndTokens(ctx, r, reason, now)
}

// EndToken implements access.Tx.
func (x talliedMemberTx) EndToken(ctx context.Context, id string, reason token.Reason, now time.Time) (token.Ended, bool, error) {
	return talliedAccessTx{x.Tx, x.tally}.EndToken(ctx, id, reason, now)
}

const (
	countTokens = "count.tokens" // the lease
	countEvery  = 5 * time.Minute
	// countAge is for how long a count is shown: a process that did not count again has left
	// it to another, and one failure between two counts makes no gap.
	countAge = 11 * time.Minute
)

// liveTokens is what was counted last here, and nothing where another process counts. It
// is a prometheus.Collector.
type liveTokens struct {
	desc *prometheus.Desc
	now  func() time.Time

	mu     sync.Mutex
	counts map[string]int64
	at     time.Time
}

func newLiveTokens(now func() time.Time) *liveTokens {
	return &liveTokens{desc: prometheus.NewDesc("dify_sso_tokens_live",
		"Live tokens of the installation, counted every five minutes by one process of all: take the maximum over processes.", []string{"kind"}, nil), now: now}
}

// Describe implements prometheus.Collector.
func (l *liveTokens) Describe(to chan<- *prometheus.Desc) { to <- l.desc }

// Collect implements prometheus.Collector.
func (l *liveTokens) Collect(to chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil || l.now().Sub(l.at) > countAge {
		return
	}
	for kind, n := range l.counts {
		to <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, float64(n), kind)
	}
}

// liveJob counts the tokens. It deals with no row, for it changes none.
func (a *App) liveJob() jobs.Job {
	return jobs.Job{Name: countTokens, Every: countEvery, Do: func(ctx context.Context) (int64, error) {
		found, err := sqlstore.LiveTokens(ctx, a.Stores.DB, a.opts.Now())
		if err != nil {
			return 0, err
		}
		counts := map[string]int64{}
		for _, k := range a.Settings.kinds() { // none is a figure too
			counts[kindOf(k.Prefix)] = found[k.Prefix]
		}
		l := a.figures.live
		l.mu.Lock()
		defer l.mu.Unlock()
		l.counts, l.at = counts, a.opts.Now()
		return 0, nil
	}}
}
