// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"sync"

	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// recorder keeps the statements that stores send.
type recorder struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (r *recorder) note(query string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[query] = true
}

// recording is a database whose statements are recorded.
type recording struct {
	sqldb.DB
	to *recorder
}

func (d recording) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	d.to.note(query)
	return d.DB.Exec(ctx, query, args...)
}

func (d recording) Query(ctx context.Context, query string, args ...any) (sqldb.Rows, error) {
	d.to.note(query)
	return d.DB.Query(ctx, query, args...)
}

func (d recording) QueryRow(ctx context.Context, query string, args ...any) sqldb.Row {
	d.to.note(query)
	return d.DB.QueryRow(ctx, query, args...)
}

func (d recording) InTx(ctx context.Context, fn func(ctx context.Context, tx sqldb.Querier) error) error {
	return d.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error { return fn(ctx, recordingTx{tx, d.to}) })
}

type recordingTx struct {
	sqldb.Querier
	to *recorder
}

func (q recordingTx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	q.to.note(query)
	return q.Querier.Exec(ctx, query, args...)
}

func (q recordingTx) Query(ctx context.Context, query string, args ...any) (sqldb.Rows, error) {
	q.to.note(query)
	return q.Querier.Query(ctx, query, args...)
}

func (q recordingTx) QueryRow(ctx context.Context, query string, args ...any) sqldb.Row {
	q.to.note(query)
	return q.Querier.QueryRow(ctx, query, args...)
}
