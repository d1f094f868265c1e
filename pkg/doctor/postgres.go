// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// postgresLeast is the oldest major version that is looked after.
const postgresLeast = 14

// Postgres is what a server says of itself and of the role that asks.
type Postgres struct {
	Version          int // such as 170002
	Standby          bool
	ReadOnly         bool
	MaxConnections   int
	Reserved         int // for superusers and others
	Used             int
	Ours             int // of these, of this role
	RoleLimit        int // -1 is none
	Superuser        bool
	Encrypted        bool
	Server           string // its address, empty on a socket
	Lacks            []string
	Now              time.Time
	Before, Answered time.Time // by our clock, around Now
}

// Rights say what a role needs: tables that are only read, tables that are only appended
// to, and which tables are ours at all.
type Rights struct {
	Ours               func(table string) bool
	ReadOnly, Appended []string
}

// ReadPostgres asks a server.
func ReadPostgres(ctx context.Context, db sqldb.Querier, r Rights) (p Postgres, err error) {
	p.Before = time.Now()
	if err := db.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&p.Now); err != nil {
		return p, err
	}
	p.Answered = time.Now()
	err = db.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',
		current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int,
		(SELECT coalesce(sum(numbackends), 0)::int FROM pg_stat_database), (SELECT count(*)::int FROM pg_stat_activity WHERE usename = current_user),
		(SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user), (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
		coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false), coalesce(host(inet_server_addr()), '')`).
		Scan(&p.Version, &p.Standby, &p.ReadOnly, &p.MaxConnections, &p.Reserved, &p.Used, &p.Ours, &p.RoleLimit, &p.Superuser, &p.Encrypted, &p.Server)
	if err != nil {
		return p, err
	}
	rows, err := db.Query(ctx, `SELECT c.relname, has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'INSERT'), has_table_privilege(c.oid, 'UPDATE'),
		has_table_privilege(c.oid, 'DELETE') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') ORDER BY c.relname`)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var table string
		var may [4]bool
		if err := rows.Scan(&table, &may[0], &may[1], &may[2], &may[3]); err != nil {
			return p, err
		}
		if r.Ours(table) && !r.enough(table, may) {
			p.Lacks = append(p.Lacks, table)
		}
	}
	return p, rows.Err()
}

// enough judges select, insert, update and delete on a table.
func (r Rights) enough(table string, may [4]bool) bool {
	for _, t := range r.ReadOnly {
		if t == table {
			return may[0]
		}
	}
	for _, t := range r.Appended {
		if t == table {
			return may[0] && may[1]
		}
	}
	return may[0] && may[1] && may[2] && may[3]
}

// JudgePostgres says what a server's answers mean for a process that opens up to most
// connections.
func JudgePostgres(p Postgres, most int) []Finding {
	var f finds
	f.ok(PostgresReachable, "Postgres answers.")
	if major := p.Version / 10000; major < postgresLeast {
		f.fail(PostgresVersion, "Move to a version that is maintained.", "Postgres %d is older than %d, the oldest that is looked after.", major, postgresLeast)
	} else {
		f.ok(PostgresVersion, "It is Postgres %d.%d.", major, p.Version%10000)
	}
	const writes = "Name the hosts in DATABASE_URL as a comma list with target_session_attrs=read-write, so that the primary is found."
	switch {
	case p.Standby:
		f.fail(PostgresPrimary, writes, "The server is a standby: it takes no writes.")
	case p.ReadOnly:
		f.fail(PostgresPrimary, "See default_transaction_read_only of the server, the database and the role.", "Transactions are read-only there.")
	default:
		f.ok(PostgresPrimary, "It is the primary and takes writes.")
	}
	p.judgeConnections(&f, most)
	switch {
	case p.Encrypted, local(p.Server):
		f.ok(PostgresTLS, "What goes between is encrypted, or stays on this machine.")
	default:
		f.warn(PostgresTLS, "Set sslmode=verify-full in DATABASE_URL, with sslrootcert where the authority is your own.", "The connection to Postgres leaves this machine and is not encrypted.")
	}
	switch {
	case len(p.Lacks) > 0:
		f.fail(PostgresRights, "Grant them as docs/operating/audit-role.md does, and default privileges for tables to come.", "The role lacks rights on %s.", strings.Join(p.Lacks, ", "))
	case p.Superuser:
		f.warn(PostgresRights, "Give the service a role of its own: docs/operating/audit-role.md.", "The role is a superuser: whoever takes the service over has every database of the server.")
	default:
		f.ok(PostgresRights, "The role has the rights that it needs.")
	}
	return f
}

func (p Postgres) judgeConnections(f *finds, most int) {
	limit, used, whose := p.MaxConnections-p.Reserved, p.Used, "max_connections"
	if p.RoleLimit >= 0 && p.RoleLimit < limit {
		limit, used, whose = p.RoleLimit, p.Ours, "the role's CONNECTION LIMIT"
	}
	const next = "Lower DATABASE_MAX_CONNS, or raise the limit: replicas of all services times DATABASE_MAX_CONNS have to fit, and a rolling upgrade runs one more."
	switch {
	case most > limit:
		f.fail(PostgresConnections, next, "DATABASE_MAX_CONNS is %d, and %s leaves %d to everybody.", most, whose, limit)
	case used+most > limit:
		f.warn(PostgresConnections, next, "%d of %d connections (%s) are in use; one more process with DATABASE_MAX_CONNS=%d would not fit.", used, limit, whose, most)
	default:
		f.ok(PostgresConnections, "%d of %d connections are in use; one more process with DATABASE_MAX_CONNS=%d fits.", used, limit, most)
	}
}

// local reports an address of this machine; no address is a socket.
func local(address string) bool {
	ip := net.ParseIP(address)
	return address == "" || address == "localhost" || ip != nil && ip.IsLoopback()
}

// PostgresDown says why a database did not answer, without its address.
func PostgresDown(err error) []Finding {
	var f finds
	const id = PostgresReachable
	refused, said := errors.AsType[*pgconn.PgError](err)
	switch {
	case said && (refused.Code == "28P01" || refused.Code == "28000"):
		f.fail(id, "See user and password of DATABASE_URL, and pg_hba.conf of the server.", "Postgres answers and refuses the user of DATABASE_URL.")
	case said && refused.Code == "3D000":
		f.fail(id, "Create it, or correct the name in DATABASE_URL.", "Postgres answers, and the database of DATABASE_URL does not exist.")
	case said && refused.Code == "53300":
		f.fail(id, "Raise max_connections, or lower DATABASE_MAX_CONNS of every process.", "Postgres answers and has no connection left.")
	case said && refused.Code == "57P03":
		f.fail(id, "Wait, and look at the server's log.", "Postgres is starting up, or recovering.")
	case said && refused.Code == "42501":
		f.fail(id, "Give the role USAGE on the schema and rights on its tables: docs/operating/audit-role.md.", "Postgres answers, and the role may not read what doctor asks (SQLSTATE 42501).")
	case said:
		f.fail(id, "Look at the server's log.", "Postgres answers and refuses the connection (SQLSTATE %s).", refused.Code)
	default:
		f.fail(id, "See that the address of DATABASE_URL is right and reachable from this machine.", "Postgres does not answer%s.", because(err))
	}
	return f
}

// because words a cause as the end of a sentence.
func because(err error) string {
	if why := network(err); why != "" {
		return ": " + why
	}
	return ""
}
