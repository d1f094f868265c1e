# Where the suites' helpers are; each prints nothing when there is none.

find_chromium() {
	for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
		[ -n "$name" ] && command -v "$name" && return
	done
	return 0
}

# find_redis prints a redis-server; redis-cli builds clusters of it.
find_redis() {
	command -v redis-cli >/dev/null 2>&1 && command -v redis-server
	return 0
}

# find_psql prints a psql whose server answers.
find_psql() {
	psql=$(command -v psql) || return 0
	"$psql" -h 127.0.0.1 -U postgres -w -Atqc 'SELECT 1' postgres >/dev/null 2>&1 && echo "$psql"
	return 0
}
