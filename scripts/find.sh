# SPDX-License-Identifier: Apache-2.0
# Where the suites' helpers are; each prints nothing when there is none.

# Versions of what the tests of the chart use. helm 4 renders, helm 3 must render the same; the descriptions of the API
# are those of test/chart/versions_test.go.
HELM_4=v4.3.1 HELM_3=v3.22.0 HELM_DOCS_VERSION=v1.14.2 KUBERNETES="v1.35.0 v1.36.0 v1.37.2"

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

# find_samlp prints the folder of the SAML provider that make deps keeps in the cache.
find_samlp() {
	for dir in "${SAMLP:-}" .cache/samlp; do
		if [ -n "$dir" ] && [ -d "$dir/node_modules/samlp" ]; then
			echo "$dir"
			return
		fi
	done
	return 0
}

# find_simplesamlphp prints the folder of the SAML provider that the system has; php with
# the extensions it needs serves it.
find_simplesamlphp() {
	command -v php >/dev/null 2>&1 || return 0
	for module in dom mbstring curl; do
		php -m | grep -qix "$module" || return 0
	done
	for dir in "${SIMPLESAMLPHP:-}" /usr/share/simplesamlphp; do
		if [ -n "$dir" ] && [ -f "$dir/www/saml2/idp/SSOService.php" ]; then
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

# find_prometheus prints a Prometheus; promtool judges what it is to read.
find_prometheus() {
	command -v promtool >/dev/null 2>&1 && command -v prometheus
	return 0
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

# find_tool prints a program that make deps keeps in the cache, or the one that the variable of its name names.
find_tool() {
	variable=$(echo "$1" | tr 'a-z-' 'A-Z_')
	for path in "$(printenv "$variable" || true)" ".cache/bin/$1"; do
		if [ -n "$path" ] && [ -x "$path" ]; then
			echo "$path"
			return
		fi
	done
	return 0
}

# find_kubernetes prints the folder of the descriptions of Kubernetes' API, when all that the tests read are there.
find_kubernetes() {
	for version in $KUBERNETES; do
		[ -f ".cache/kubernetes/$version.json" ] || return 0
	done
	echo .cache/kubernetes
}
