#!/bin/sh
# Runs every suite with what this machine has, and says at the end what it left out.
# Under CI=true "make deps" runs first, and a suite that is left out is a failure.
set -u
if [ "${CI:-}" = true ]; then
	sh scripts/deps.sh || exit 1
fi
left_out=
leave_out() { left_out="$left_out
  $1"; }

# The race detector leaves two dependencies alone: in the password hash and in SQLite,
# which was translated from C, it finds nothing of ours and takes two thirds of the time.
# Only packages without locks are left out: one that uses sync.Map lends its copy of the
# generic map to all others, and then races are seen where none are.
race=
if command -v "${CC:-cc}" >/dev/null 2>&1; then
	race="-race -gcflags=golang.org/x/crypto/argon2=-race=false -gcflags=golang.org/x/crypto/blake2b=-race=false -gcflags=modernc.org/sqlite/lib=-race=false"
else
	leave_out "the race detector: no C compiler"
fi
. scripts/find.sh
[ -n "$(find_chromium)" ] || leave_out "the browser suite: no Chromium"
[ -n "$(find_axe)" ] || leave_out "the accessibility checker: no axe-core"
{ [ -n "$(find_provider)" ] && command -v node >/dev/null 2>&1; } || leave_out "sign-in by a real OpenID provider: no Node.js or no oidc-provider"
[ -n "$(find_postgres)" ] || leave_out "the Postgres suites: no server on 127.0.0.1:5432, and no initdb to make one"
[ -n "$(find_initdb)" ] || leave_out "Postgres servers that are stopped and killed: no initdb"
[ -n "$(find_redis)" ] || leave_out "the Redis suites: no redis-server or redis-cli"
[ -n "$(find_proxy nginx)" ] || leave_out "the sample of nginx: no nginx"
[ -n "$(find_proxy caddy)" ] || leave_out "the sample of Caddy: no caddy"

# Beside the rest, and without the race detector, run the suites that wait most of the
# time: the pages in Chromium, the same end-to-end tests as below once more, on Postgres
# and Redis, and after them what drives processes of core. Tables of thousands of requests
# one after the other are here too. The code of all is raced by the others.
# What looks at headers, words and pages alone is not asked again on Postgres and Redis.
pages='TestOtherOriginsOnEveryRoute|TestFailuresThatAnotherOriginCanRead|TestEveryViewIsTheOneThatWasLookedAt|TestRulesOfEveryPage|TestHeadersOfEveryRoute|TestEveryRouteRefusesOtherMedia'
tables="^($pages|TestEveryRouteForEveryCaller|TestCSRFOnEveryConsoleWrite|TestEveryLimitOfARowIsAsked|TestRefusedSignIn)\$"
beside=$(mktemp) stores=$(mktemp)
trap 'rm -f "$beside" "$stores"' EXIT
(
	(
		echo "On Postgres and Redis:"
		APITEST_STORES=fleet go test -count=1 -shuffle=on -timeout 18m -skip "InChromium\$|^($pages)\$" ./core/internal/apitest
	) >"$stores" 2>&1 &
	fleet=$!
	failed=0
	echo "In Chromium:"
	go test -count=1 -shuffle=on -timeout 18m -run 'InChromium$' ./core/internal/apitest || failed=1
	echo "Tables, embedded:"
	go test -count=1 -timeout 18m -run "$tables" ./core/internal/apitest || failed=1
	wait "$fleet" || failed=1
	cat "$stores"
	echo "Processes of core:"
	go test -count=1 -timeout 15m ./test/fault/... ./test/sso/... ./bench/... || failed=1
	exit "$failed"
) >"$beside" 2>&1 &
others=$!
# shellcheck disable=SC2086 # a list of packages
go test -count=1 -shuffle=on -timeout 18m -skip "InChromium\$|$tables" $race ${RACED:?run it by make test}
status=$?
wait "$others" || status=1
cat "$beside"
if [ -n "$left_out" ]; then
	printf '\nLeft out:%s\n"make deps" adds what is missing.\n' "$left_out"
	[ "${CI:-}" != true ] || status=1
fi
exit "$status"
