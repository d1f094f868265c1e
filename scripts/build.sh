#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds one static binary and shows how far it is: build.sh PACKAGE OUTPUT VERSION
# GOOS and GOARCH name another machine than this one.
# The first build compiles the embedded database too and takes a minute or two.
set -eu
package=$1 output=$2 version=$3
log=$(mktemp)
trap 'rm -f "$log"' EXIT
mkdir -p "$(dirname "$output")"
printf 'Building %s\n' "$output" >&2
here=$(dirname "$0")
flags=$(sh "$here/flags.sh")
# shellcheck disable=SC2086 # a list of flags
CGO_ENABLED=0 GOAMD64=v1 GOARM64=v8.0 go build -v $flags -ldflags "$(sh "$here/flags.sh" ld) -X main.version=$version" -o "$output" "$package" 2>"$log" &
build=$!
trap 'kill "$build" 2>/dev/null; rm -f "$log"; exit 130' INT TERM
seconds=0
while kill -0 "$build" 2>/dev/null; do
	if [ -t 2 ] && [ "$seconds" -gt 1 ]; then
		printf '\r  %ss, %s packages, the newest: %-48.48s' "$seconds" "$(grep -vc '^go: ' "$log" || true)" "$(tail -n 1 "$log" | tr -d '\r')" >&2
	elif [ "$seconds" -gt 0 ] && [ $((seconds % 10)) -eq 0 ]; then
		printf '  %ss, %s packages\n' "$seconds" "$(grep -vc '^go: ' "$log" || true)" >&2
	fi
	sleep 1
	seconds=$((seconds + 1))
done
if [ -t 2 ] && [ "$seconds" -gt 2 ]; then printf '\r%-90s\r' '' >&2; fi
if ! wait "$build"; then
	cat "$log" >&2
	exit 1
fi
