// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"log/slog"
	"time"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Within judges a whole number.
func Within(problems *config.Problems, key string, value, least, most int) {
	if value < least || value > most {
		problems.Add(key, "must be %d to %d", least, most)
	}
}

// Times judges the times of a service: those of its end, which may be zero, and those of
// its connections, which may not.
func Times(problems *config.Problems, delay, grace, read, idle time.Duration) {
	for key, d := range map[string]time.Duration{"SHUTDOWN_DELAY": delay, "SHUTDOWN_GRACE": grace} {
		if d < 0 || d > 10*time.Minute {
			problems.Add(key, "must be 0s to 10m")
		}
	}
	for key, d := range map[string]time.Duration{"READ_TIMEOUT": read, "IDLE_TIMEOUT": idle} {
		if d < time.Second || d > 10*time.Minute {
			problems.Add(key, "must be 1s to 10m")
		}
	}
}

// Log judges the level and the form of the log, and gives the level.
func Log(problems *config.Problems, level, format string) (l slog.Level) {
	if err := l.UnmarshalText([]byte(level)); err != nil {
		problems.Add("LOG_LEVEL", "must be debug, info, warn or error")
	}
	if format != "json" && format != "text" {
		problems.Add("LOG_FORMAT", "must be json or text")
	}
	return l
}

// SecretKeys judges SECRET_KEY and the one before it, where they are given.
func SecretKeys(problems *config.Problems, present, previous secret.Text, embedded bool, program string) {
	if !present.IsZero() && len(present.Reveal()) < secret.MinMaster {
		problems.Add("SECRET_KEY", "must have at least %d bytes", secret.MinMaster)
	}
	const key = "SECRET_KEY_PREVIOUS"
	switch {
	case previous.IsZero():
	case len(previous.Reveal()) < secret.MinMaster:
		problems.Add(key, "must have at least %d bytes", secret.MinMaster)
	case present.IsZero() && embedded:
		problems.Add(key, "needs SECRET_KEY: keys that are kept in DATA_DIR are changed by %s admin rotate-secret-key", program)
	case previous.Equal(present):
		problems.Add(key, "must differ from SECRET_KEY")
	}
}

// Postgres judges the addresses of a database. They are not repeated.
func Postgres(problems *config.Problems, served, owned secret.Text) {
	for key, address := range map[string]secret.Text{"DATABASE_URL": served, "MIGRATE_DATABASE_URL": owned} {
		if !address.IsZero() && sqldb.CheckPostgres(address.Reveal()) != nil {
			problems.Add(key, "must be an address such as postgres://user:password@host:5432/database?sslmode=verify-full, its parameters known and characters like @ and / of a password as %%40 and %%2F")
		}
	}
	if served.IsZero() && !owned.IsZero() {
		problems.Add("MIGRATE_DATABASE_URL", "needs DATABASE_URL")
	}
}

// Fleet refuses half of one: processes that share a database and not the short-lived
// store would not finish each other's logins. A command that touches the database alone
// may leave the store out.
func Fleet(problems *config.Problems, database, store secret.Text, alone bool) {
	switch {
	case !store.IsZero() && database.IsZero():
		problems.Add("DATABASE_URL", "is required beside REDIS_URL: set both, or neither for one process on its own")
	case store.IsZero() && !database.IsZero() && !alone:
		problems.Add("REDIS_URL", "is required beside DATABASE_URL: set both, or neither for one process on its own")
	}
}
