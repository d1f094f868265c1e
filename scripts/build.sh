#!/bin/sh
# Builds one static binary and shows how far it is: build.sh PACKAGE OUTPUT VERSION
# The first build compiles the embedded database too and takes a minute or two.
set -eu
package=$1 output=$2 version=$3
log=$(mktemp)
trap 'rm -f "$log"' EXIT
mkdir -p "$(dirname "$output")"
printf 'Building %s\n' "$output" >&2
# Inlining is left out where no request waits for it, or waits for Redis or a TLS handshake: 2.3 MB of 34.
cold="github.com/redis/... github.com/molecule-man/... github.com/klauspost/... google.golang.org/protobuf/... github.com/prometheus/...
	github.com/goccy/... github.com/nicksnyder/... github.com/pressly/... github.com/spf13/... golang.org/x/text/...
	net/http encoding/xml text/template/... html/template regexp/... math/big mime/... archive/... compress/... go/... crypto/x509/... runtime/pprof
	vendor/golang.org/x/... flag log/... path/... os/... crypto/tls encoding/asn1
	github.com/dify-sso/dify-sso/pkg/command github.com/dify-sso/dify-sso/pkg/settings github.com/dify-sso/dify-sso/pkg/config github.com/dify-sso/dify-sso/pkg/control github.com/dify-sso/dify-sso/pkg/keyset github.com/dify-sso/dify-sso/pkg/datadir github.com/dify-sso/dify-sso/pkg/serve github.com/dify-sso/dify-sso/pkg/ownkeys github.com/dify-sso/dify-sso/pkg/schema github.com/dify-sso/dify-sso/core/internal/control
	github.com/dify-sso/dify-sso/core/internal/cli github.com/dify-sso/dify-sso/core/internal/app github.com/dify-sso/dify-sso/core/internal/openapi github.com/dify-sso/dify-sso/core/internal/operator"
# Functions begin at multiples of 16 bytes, as before Go 1.16, and not of 32: 0.4 MB. Loops that the assembler aligns stay aligned.
align=16
flags=
for pattern in $cold; do flags="$flags -gcflags=$pattern=-l"; done
# shellcheck disable=SC2086 # a list of flags
CGO_ENABLED=0 go build -v -trimpath $flags -ldflags "-s -w -funcalign=$align -X main.version=$version" -o "$output" "$package" 2>"$log" &
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
