#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs once, when the volume of Postgres is empty: a role and a database for each service, with
# the passwords of their addresses, postgres://ROLE:PASSWORD@postgres/DATABASE.
set -eu
for file in /run/secrets/postgres-core-database-url /run/secrets/postgres-bridge-database-url; do
	url=$(cat "$file")
	rest=${url#*://}
	role=${rest%%:*}
	password=${rest#*:}
	password=${password%%@*}
	database=${rest#*/}
	database=${database%%\?*}
	# On standard input, so that no password is on a command line.
	psql -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<-SQL
		CREATE ROLE "$role" LOGIN PASSWORD '$password';
		CREATE DATABASE "$database" OWNER "$role";
		REVOKE CONNECT ON DATABASE "$database" FROM PUBLIC;
	SQL
done
