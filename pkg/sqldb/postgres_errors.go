// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The states of Postgres that mean something here.
const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	completionUnknown    = "40003"
	deadlockDetected     = "40P01"
	readOnlyTransaction  = "25006"
	connectionClass      = "08"
)

// errLost is a connection that was gone before the commit.
var errLost = errors.New("sqldb: the connection was lost in the transaction")

// postgresError maps the driver's errors to the sentinels by state, never by text.
func postgresError(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNoRows
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == uniqueViolation {
		return fmt.Errorf("%w: %w", ErrUnique, err)
	}
	return err
}

// runsAgain reports a transaction that the engine has rolled back for the sake of
// another one.
func runsAgain(err error) bool {
	if err == nil || errors.Is(err, ErrCommit) {
		return false
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == deadlockDetected || e.Code == serializationFailure)
}

// commitError tells a refused commit, which is a rollback, from one whose outcome
// nobody knows.
func commitError(err error) error {
	if err == nil {
		return nil
	}
	if commitRefused(err) {
		return postgresError(err)
	}
	return fmt.Errorf("%w: %w", ErrCommit, err)
}

func commitRefused(err error) bool {
	if errors.Is(err, pgx.ErrTxCommitRollback) || errors.Is(err, pgx.ErrTxClosed) {
		return true // a statement of the transaction had failed before
	}
	e, answered := errors.AsType[*pgconn.PgError](err)
	if !answered { // it counts as unsent only where the connection was not lost
		return pgconn.SafeToRetry(err) && !errors.Is(err, pgconn.ErrConnClosed)
	}
	// A session that ends while it commits may have committed; a proxy says of its own
	// connection that it was lost.
	severity := e.SeverityUnlocalized
	if severity == "" {
		severity = e.Severity
	}
	return severity == "ERROR" && !strings.HasPrefix(e.Code, connectionClass) && e.Code != completionUnknown
}
