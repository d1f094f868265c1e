#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
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
[ -n "$(find_simplesamlphp)" ] || leave_out "sign-in by SimpleSAMLphp: no simplesamlphp or no php with its extensions"
{ [ -n "$(find_samlp)" ] && command -v node >/dev/null 2>&1; } || leave_out "sign-in by samlp: no Node.js or no samlp"
{ command -v xmlsec1 && command -v xmllint; } >/dev/null 2>&1 || leave_out "the second opinions on signed XML: no xmlsec1 or no xmllint"
[ -n "$(find_postgres)" ] || leave_out "the Postgres suites: no server on 127.0.0.1:5432, and no initdb to make one"
[ -n "$(find_initdb)" ] || leave_out "Postgres servers that are stopped and killed: no initdb"
[ -n "$(find_redis)" ] || leave_out "the Redis suites: no redis-server or redis-cli"
[ -n "$(find_proxy nginx)" ] || leave_out "the sample of nginx: no nginx"
[ -n "$(find_tool helm)" ] || leave_out "the chart: no helm"
[ -n "$(find_tool helm3)" ] || leave_out "the chart as Helm 3 renders it: no helm3"
[ -n "$(find_tool helm-docs)" ] || leave_out "the chart's README against its values: no helm-docs"
[ -n "$(find_kubernetes)" ] || leave_out "the chart against versions of Kubernetes: no descriptions of its API"
[ -n "$(find_proxy caddy)" ] || leave_out "the sample of Caddy: no caddy"
[ -n "$(find_prometheus)" ] || leave_out "alerts and the dashboard by a real Prometheus: no prometheus or no promtool"

# The race detector looks at every package but those of commands, of pages and of statements, whose races are the
# database's, and at the end-to-end tests in which many act at once; in requests one after the other it
# finds nothing ("make fault" races all of them). The end-to-end tests run on embedded stores, and those that stores can make a difference
# to on Postgres and Redis: not what looks at headers, words and pages alone, what puts faults of its
# own before the stores, and what builds programs.
ends=./core/internal/apitest
at_once='AtOnce|^TestMany|OnTwoReplicas|MeetsAnother|^TestFence$|ReplayStoreIsDown'
alike='TestOtherOriginsOnEveryRoute|TestFailuresThatAnotherOriginCanRead|TestEveryViewIsTheOneThatWasLookedAt|TestRulesOfEveryPage|TestHeadersOfEveryRoute'
alike="$alike|TestEveryRouteRefusesOtherMedia|TestEveryRouteForEveryCaller|TestEveryRouteWhenAStore.*|TestCSRFOnEveryConsoleWrite|TestEveryLimitOfARowIsAsked|TestFigures|TestStreamsBehindProxies|TestServingHTTPS|TestRefusedSignIn"
unraced='/core/cmd/demo$|/(core|sso-bridge)/internal/(cli|sqlstore)$|/core/internal/(access|webui)$|/dify-sso/(core|pkg|sso-bridge)$|/test/guards$'
# What is deployed in the tests is built once for all of their packages.
DEPLOY_PROGRAMS=$(mktemp -d)
chmod 755 "$DEPLOY_PROGRAMS" # some run as users of their own
export DEPLOY_PROGRAMS
CGO_ENABLED=0 go build -o "$DEPLOY_PROGRAMS/" ./core/cmd/core ./sso-bridge/cmd/sso-bridge ./sso-bridge/cmd/devidp ./pkg/deviceauth/cmd/difyauth || exit 1
# Four lanes, for the suites wait much of their time. "make lint" vets.
pages=$(mktemp) embedded=$(mktemp) stores=$(mktemp)
trap 'rm -rf "$pages" "$embedded" "$stores" "$DEPLOY_PROGRAMS"' EXIT
go test -count=1 -vet=off -shuffle=on -timeout 18m -run 'InChromium$' $ends >"$pages" 2>&1 &
first=$!
go test -count=1 -vet=off -shuffle=on -timeout 18m -skip "InChromium\$|$at_once" $ends >"$embedded" 2>&1 &
second=$!
(
	failed=0
	echo "On Postgres and Redis:"
	APITEST_STORES=fleet go test -count=1 -vet=off -shuffle=on -timeout 18m -skip "InChromium\$|^($alike)\$" $ends || failed=1
	echo "Stores that fail:"
	go test -count=1 -vet=off -timeout 15m ./test/fault/... || failed=1
	exit "$failed"
) >"$stores" 2>&1 &
third=$!
# shellcheck disable=SC2086 # a list of patterns
packages=$(go list ${RACED:?run it by make test} | grep -v '/core/internal/apitest$')
status=0
# shellcheck disable=SC2046,SC2086 # lists
{
	go test -count=1 -vet=off -shuffle=on -timeout 18m $race $(echo "$packages" | grep -vE "$unraced") || status=1
	go test -count=1 -vet=off -shuffle=on -timeout 18m $race -run "$at_once" $ends || status=1
	# What takes minutes of load or of waiting is "make deployed".
	go test -count=1 -vet=off -shuffle=on -timeout 18m -skip '^TestARealPrometheus$' $(echo "$packages" | grep -E "$unraced") ./test/sso/... ./test/chart/... \
		$(go list ./test/deploy/... | grep -E '/(visitor|supply|traces|onhost|oncluster|restored)$') ./deploy/image/... ./bench/... || status=1
}
wait "$first" || status=1
wait "$second" || status=1
wait "$third" || status=1
echo "In Chromium:"
cat "$pages"
echo "Embedded:"
cat "$embedded" "$stores"
if [ -n "$left_out" ]; then
	printf '\nLeft out:%s\n"make deps" adds what is missing.\n' "$left_out"
	[ "${CI:-}" != true ] || status=1
fi
exit "$status"
