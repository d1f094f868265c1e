#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Two processes of core on one Postgres and one Redis, for a look at a fleet on this
# machine. DATABASE_URL and REDIS_URL name servers of yours; without them those on
# 127.0.0.1 are used, or started from their binaries. Everything is kept in
# .cache/fleet; Ctrl-C ends what was started here.
set -eu
dir=$(pwd)/.cache/fleet
mkdir -p "$dir"
started=
# shellcheck disable=SC2086 # lists of words, here and below
trap 'trap - INT TERM EXIT; [ -z "$started" ] || kill $started 2>/dev/null || true; wait' INT TERM EXIT

need() {
	echo "fleet: $1 answers neither on 127.0.0.1:$2 nor is it installed; \"make deps\" installs it, or set $3" >&2
	exit 1
}

# Postgres refuses root.
unprivileged=
[ "$(id -u)" != 0 ] || unprivileged="setpriv --reuid=nobody --regid=nogroup --clear-groups"

start_postgres() {
	bin=$(ls -d "${PG_BIN:-}" /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
	[ -n "$bin" ] || bin=$(dirname "$(command -v initdb || true)")
	[ -x "$bin/initdb" ] || need Postgres 5432 DATABASE_URL
	data=$dir/postgres
	if [ ! -d "$data/base" ]; then
		echo "Making a database cluster in $data"
		mkdir -p "$data"
		[ "$(id -u)" != 0 ] || { chmod a+x "$dir" "$(dirname "$dir")" "$(pwd)"; chown nobody "$data"; }
		(cd / && $unprivileged "$bin/initdb" -A trust -U postgres -E UTF8 --locale=C -D "$data" >"$dir/initdb.log" 2>&1) || { cat "$dir/initdb.log" >&2; exit 1; }
	fi
	(cd / && exec $unprivileged "$bin/postgres" -D "$data" -p 5432 -c listen_addresses=127.0.0.1 -c unix_socket_directories= >"$dir/postgres.log" 2>&1) &
	started="$started $!"
}

answers() { bash -c "exec 3<>/dev/tcp/127.0.0.1/$1" 2>/dev/null; }

await() { # name port
	n=0
	until answers "$2"; do
		n=$((n + 1))
		[ "$n" -lt 100 ] || { echo "fleet: $1 does not answer on 127.0.0.1:$2; see $dir" >&2; exit 1; }
		sleep 0.1
	done
}

if [ -z "${DATABASE_URL:-}" ]; then
	answers 5432 || start_postgres
	name=dify_sso_fleet
	psql=$(command -v psql || ls /usr/lib/postgresql/*/bin/psql 2>/dev/null | tail -n 1)
	[ -n "$psql" ] || need psql 5432 DATABASE_URL
	ask() { "$psql" -h 127.0.0.1 -p 5432 -U postgres -w -Atqc "$1" postgres; }
	n=0
	until ask 'SELECT 1' >/dev/null 2>"$dir/psql.log"; do
		n=$((n + 1))
		[ "$n" -lt 100 ] || { cat "$dir/psql.log" >&2; exit 1; }
		sleep 0.1
	done
	[ -n "$(ask "SELECT 1 FROM pg_database WHERE datname = '$name'")" ] || ask "CREATE DATABASE $name"
	DATABASE_URL="postgres://postgres@127.0.0.1:5432/$name?sslmode=disable"
fi
if [ -z "${REDIS_URL:-}" ]; then
	if ! answers 6379; then
		command -v redis-server >/dev/null || need Redis 6379 REDIS_URL
		redis-server --bind 127.0.0.1 --port 6379 --save '' --maxmemory-policy noeviction --dir "$dir" >"$dir/redis.log" 2>&1 &
		started="$started $!"
		await Redis 6379
	fi
	REDIS_URL=redis://127.0.0.1:6379
fi
[ -s "$dir/secret.key" ] || (umask 077; head -c 32 /dev/urandom | base64 | tr -d '\n' >"$dir/secret.key")
[ -s "$dir/sealing.key" ] || (umask 077; echo "k1:$(head -c 32 /dev/urandom | base64)" >"$dir/sealing.key")
export DATABASE_URL REDIS_URL REDIS_KEY_PREFIX="${REDIS_KEY_PREFIX:-fleet:}"
export SECRET_KEY_FILE="$dir/secret.key" SEALING_KEY_FILE="$dir/sealing.key" CONSOLE_API_URL=http://127.0.0.1:5001 LOG_FORMAT=text

bin/core migrate up
LISTEN=127.0.0.1:5003 INNER_LISTEN=127.0.0.1:5004 bin/core serve 2>"$dir/second.log" >/dev/null &
started="$started $!"
cat <<TEXT
A second core serves http://127.0.0.1:5003 (its log is in .cache/fleet/second.log): what
one of the two begins, the other finishes, and a token that is ended on one is refused by
the other at the next request. The first one:
TEXT
bin/core serve --seed-apps deploy/dev/apps.yaml
