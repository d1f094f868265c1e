#!/bin/sh
# Finds or installs what the suites need beside Go: a C compiler for the race
# detector, Chromium with a Chinese font and axe for the pages, an OpenID provider that other
# people wrote, Postgres and Redis for the stores, nginx and Caddy for the samples of proxies. What is there already is left alone.
set -eu
. scripts/find.sh
packages=
command -v "${CC:-cc}" >/dev/null 2>&1 || packages="$packages gcc libc6-dev"
[ -n "$(find_chromium)" ] || packages="$packages chromium fonts-noto-cjk"
{ [ -n "$(find_axe)" ] && [ -n "$(find_provider)" ]; } || command -v npm >/dev/null 2>&1 || packages="$packages npm"
command -v node >/dev/null 2>&1 || packages="$packages nodejs"
[ -n "$(find_initdb)" ] || packages="$packages postgresql"
[ -n "$(find_redis)" ] || packages="$packages redis-server"
[ -n "$(find_proxy nginx)" ] || packages="$packages nginx-light"
[ -n "$(find_proxy caddy)" ] || packages="$packages caddy"

if [ -n "$packages" ]; then
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "deps: this machine has no apt-get; install by hand:$packages" >&2
		exit 1
	fi
	as_root=
	[ "$(id -u)" = 0 ] || as_root=sudo
	echo "Installing$packages"
	$as_root apt-get update -qq
	# shellcheck disable=SC2086 # a list of packages
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
fi

# fetch installs what a lock file names, with its versions and digests: fetch FROM INTO
fetch() {
	mkdir -p "$2"
	cp "$1/package.json" "$1/package-lock.json" "$2/"
	npm ci --prefix "$2" --ignore-scripts --no-audit --no-fund --loglevel=error
}
# The checker runs in a page and needs no Node.js.
[ -n "$(find_axe)" ] || fetch scripts/axe .cache/axe
[ -n "$(find_provider)" ] || fetch test/sso/provider .cache/oidc-provider

# A proxy that was installed just now serves port 80 by itself; the tests start their own.
for service in nginx caddy; do
	case "$packages" in *"$service"*) ;; *) continue ;; esac
	if [ -d /run/systemd/system ]; then
		$as_root systemctl disable --now "$service" >/dev/null 2>&1 || true
	else
		$as_root service "$service" stop >/dev/null 2>&1 || true
	fi
done
echo "C compiler: $(command -v "${CC:-cc}" || echo none)"
echo "Chromium:   $(find_chromium)"
echo "axe:        $(find_axe)"
echo "Provider:   $(find_provider)"
echo "Postgres:   $(find_postgres)"
echo "Redis:      $(find_redis)"
echo "Proxies:    $(find_proxy nginx) $(find_proxy caddy)"
if [ -z "$(find_postgres)" ]; then
	echo "deps: no Postgres answers user postgres on 127.0.0.1:5432, and there is none to start; PG_BIN names the folder of initdb" >&2
fi
