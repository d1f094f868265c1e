// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// trustedFor is how long an idle connection is taken without asking, as the driver has
// it.
const trustedFor = time.Second

// losses remembers when a statement last lost its connection. Whatever took that one, a
// restart or a failover, mostly took the idle ones as well: each would fail one more
// request, and a client that was told to come again would be told so again.
type losses struct{ last atomic.Pointer[time.Time] }

// TraceQueryStart implements pgx.QueryTracer.
func (l *losses) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (l *losses) TraceQueryEnd(_ context.Context, conn *pgx.Conn, end pgx.TraceQueryEndData) {
	if end.Err != nil && conn.IsClosed() {
		now := time.Now()
		l.last.Store(&now)
	}
}

// shouldPing wants an answer of a connection that has been idle for long, or since
// before a loss.
func (l *losses) shouldPing(_ context.Context, p pgxpool.ShouldPingParams) bool {
	last := l.last.Load()
	return p.IdleDuration > trustedFor || last != nil && time.Since(*last) <= p.IdleDuration
}
