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

race=
if command -v "${CC:-cc}" >/dev/null 2>&1; then
	race=-race
else
	leave_out "the race detector: no C compiler"
fi
. scripts/find.sh
[ -n "$(find_chromium)" ] || leave_out "the browser suite: no Chromium"
[ -n "$(find_psql)" ] || leave_out "the Postgres migrations: no Postgres on 127.0.0.1:5432"

# shellcheck disable=SC2086 # a list of packages
go test -count=1 -shuffle=on -timeout 18m $race ${PACKAGES:?run it by make test}
status=$?
if [ -n "$left_out" ]; then
	printf '\nLeft out:%s\n"make deps" adds what is missing.\n' "$left_out"
	[ "${CI:-}" != true ] || status=1
fi
exit "$status"
