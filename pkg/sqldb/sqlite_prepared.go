// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"context"
	"database/sql"
	"sync"
)

// prepared keeps the statements of a pool. To read a SELECT with joins takes SQLite three
// times as long as to answer it, and a request that waits for it waits for both. Postgres'
// driver does the same by itself.
type prepared struct {
	db *sql.DB
	mu sync.RWMutex
	// known has a nil for what was met once: what a service asks as it starts is not asked
	// again, and takes no room.
	known map[string]*sql.Stmt
}

const (
	// keptStatements bounds what is kept, and longestKept its texts: lists of values make more
	// texts than there are statements.
	keptStatements = 256
	longestKept    = 2 << 10
)

func newPrepared(db *sql.DB) *prepared { return &prepared{db: db, known: map[string]*sql.Stmt{}} }

// of gives the statement of a text, or nil for one that is not kept.
func (p *prepared) of(ctx context.Context, query string) *sql.Stmt {
	p.mu.RLock()
	stmt, met := p.known[query]
	full := len(p.known) >= keptStatements
	p.mu.RUnlock()
	if stmt != nil || !met && (full || len(query) > longestKept) {
		return stmt
	}
	if met {
		var err error
		if stmt, err = p.db.PrepareContext(ctx, query); err != nil {
			return nil // as it is then, it says so itself
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.known[query]; other != nil { // somebody was faster
		if stmt != nil {
			_ = stmt.Close()
		}
		return other
	}
	p.known[query] = stmt
	return stmt
}

// ExecContext implements handle.
func (p *prepared) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := p.of(ctx, query); stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	return p.db.ExecContext(ctx, query, args...)
}

// QueryContext implements handle.
func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := p.of(ctx, query); stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return p.db.QueryContext(ctx, query, args...)
}

// QueryRowContext is that of sql.DB.
func (p *prepared) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := p.of(ctx, query); stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return p.db.QueryRowContext(ctx, query, args...)
}

// close gives the statements back, and ends the pool.
func (p *prepared) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, stmt := range p.known {
		if stmt != nil {
			_ = stmt.Close()
		}
	}
	clear(p.known)
	return p.db.Close()
}
