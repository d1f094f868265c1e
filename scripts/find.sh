# Where the suites' helpers are; each prints nothing when there is none.

find_chromium() {
	for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
		[ -n "$name" ] && command -v "$name" && return
	done
	return 0
}

# find_axe prints the accessibility checker that make deps keeps in the cache.
find_axe() {
	for path in "${AXE:-}" .cache/axe/node_modules/axe-core/axe.min.js; do
		if [ -n "$path" ] && [ -f "$path" ]; then
			echo "$path"
			return
		fi
	done
	return 0
}

# find_provider prints the folder of the OpenID provider that make deps keeps in the cache.
find_provider() {
	for dir in "${OIDC_PROVIDER:-}" .cache/oidc-provider; do
		if [ -n "$dir" ] && [ -d "$dir/node_modules/oidc-provider" ]; then
			echo "$dir"
			return
		fi
	done
	return 0
}

# find_redis prints a redis-server; redis-cli builds clusters of it.
find_redis() {
	command -v redis-cli >/dev/null 2>&1 && command -v redis-server
	return 0
}

# find_initdb prints the folder from which tests start Postgres servers of their own.
find_initdb() {
	on_path=$(command -v initdb || true)
	for dir in "${PG_BIN:-}" /usr/lib/postgresql/*/bin "${on_path%/initdb}"; do
		if [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ]; then
			echo "$dir"
			return
		fi
	done
	return 0
}

# find_proxy prints a proxy; nginx is outside the path of most users.
find_proxy() {
	command -v "$1" || command -v "/usr/sbin/$1" || true
}

# find_postgres prints where the tests get a database: the server they are told of, the
# one that answers here, or their own.
find_postgres() {
	if [ -n "${TEST_DATABASE_URL:-}" ]; then
		echo "TEST_DATABASE_URL"
		return
	fi
	if command -v psql >/dev/null 2>&1 && psql -h 127.0.0.1 -U postgres -w -Atqc 'SELECT 1' postgres >/dev/null 2>&1; then
		echo "127.0.0.1:5432"
		return
	fi
	find_initdb
}
