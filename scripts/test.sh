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

# The end-to-end tests of core run once on embedded stores: those of files in which something
# happens at once under the race detector, which finds nothing in requests one after the other, and
# the rest without it ("make fault" races all of them). Beside them run the suites that wait most of
# the time: the same tests on Postgres and Redis, the pages in Chromium, and what drives processes.
# What looks at headers, words and pages alone is not asked again on Postgres and Redis.
pages='TestOtherOriginsOnEveryRoute|TestFailuresThatAnotherOriginCanRead|TestEveryViewIsTheOneThatWasLookedAt|TestRulesOfEveryPage|TestHeadersOfEveryRoute|TestEveryRouteRefusesOtherMedia'
ends=./core/internal/apitest
at_once=$(grep -lE 'together\(|go func|WaitGroup|errgroup|\.Go\(' $ends/*_test.go | xargs sed -nE 's/^func (Test[A-Za-z0-9_]+)\(t \*testing\.T\).*/\1/p' | grep -v 'InChromium$' | paste -sd '|' -)
beside=$(mktemp) stores=$(mktemp)
trap 'rm -f "$beside" "$stores"' EXIT
(
	(
		echo "On Postgres and Redis:"
		APITEST_STORES=fleet go test -count=1 -shuffle=on -timeout 18m -skip "InChromium\$|^($pages)\$" $ends
	) >"$stores" 2>&1 &
	fleet=$!
	failed=0
	echo "In Chromium:"
	go test -count=1 -shuffle=on -timeout 18m -run 'InChromium$' $ends || failed=1
	wait "$fleet" || failed=1
	cat "$stores"
	echo "Processes of both services:"
	go test -count=1 -timeout 15m ./test/fault/... ./test/sso/... ./bench/... || failed=1
	exit "$failed"
) >"$beside" 2>&1 &
others=$!
# shellcheck disable=SC2086 # a list of packages
go test -count=1 -shuffle=on -timeout 18m $race $(go list ${RACED:?run it by make test} | grep -v '/core/internal/apitest$')
status=$?
# shellcheck disable=SC2086 # a list of flags
go test -count=1 -shuffle=on -timeout 18m $race -run "^($at_once)\$" $ends || status=1
go test -count=1 -shuffle=on -timeout 18m -skip "InChromium\$|^($at_once)\$" $ends || status=1
wait "$others" || status=1
cat "$beside"
if [ -n "$left_out" ]; then
	printf '\nLeft out:%s\n"make deps" adds what is missing.\n' "$left_out"
	[ "${CI:-}" != true ] || status=1
fi
exit "$status"
